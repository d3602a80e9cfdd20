"""What moto's SQS keeps and does not tell: the redrive-allow policy, which it takes and leaves out of its answers."""

from __future__ import annotations

from typing import Any

from moto.sqs.models import Queue

from local.patching import Patches

ATTRIBUTE = "RedriveAllowPolicy"


def install() -> Patches:
    """Let GetQueueAttributes answer a queue's redrive-allow policy, as SQS does; undone by the caller."""
    patches = Patches()
    known: property = vars(Queue)["attributes"]

    def attributes(queue: Queue) -> dict[str, Any]:
        answer: dict[str, Any] = known.__get__(queue)
        policy = getattr(queue, "redrive_allow_policy", None)
        return answer | {ATTRIBUTE: policy} if policy else answer

    patches.set(Queue, "attributes", property(attributes))
    return patches
