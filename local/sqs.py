"""SQS as moto does not have it: the redrive-allow policy in its answers, and message sizes in bytes.

moto counts the characters of a body; SQS counts bytes, and the message's attributes among them
(https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from moto.sqs.constants import MAXIMUM_MESSAGE_LENGTH
from moto.sqs.exceptions import BatchRequestTooLong, InvalidParameterValue
from moto.sqs.models import Queue, SQSBackend

from local.patching import Patches

ATTRIBUTE = "RedriveAllowPolicy"


def install() -> Patches:
    """Let GetQueueAttributes answer a queue's redrive-allow policy and hold messages to their size, until undone."""
    patches = Patches()
    known: property = vars(Queue)["attributes"]

    def attributes(queue: Queue) -> dict[str, Any]:
        answer: dict[str, Any] = known.__get__(queue)
        redrive = answer.get("RedrivePolicy")
        if redrive:
            # As it was set but for blanks, which SQS takes out and moto puts in; clients compare the text.
            answer = answer | {"RedrivePolicy": json.dumps(json.loads(redrive), separators=(",", ":"))}
        policy = getattr(queue, "redrive_allow_policy", None)
        return answer | {ATTRIBUTE: policy} if policy else answer

    patches.set(Queue, "attributes", property(attributes))
    send, send_batch = SQSBackend.send_message, SQSBackend.send_message_batch

    def send_message(
        backend: SQSBackend,
        queue_name: str,
        message_body: str,
        message_attributes: Mapping[str, Any] | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        _check(backend.get_queue(queue_name), message_size(message_body, message_attributes or {}))
        return send(backend, queue_name, message_body, message_attributes, *args, **kwargs)

    def send_message_batch(backend: SQSBackend, queue_name: str, entries: Mapping[str, Mapping[str, Any]]) -> Any:
        sizes = [message_size(each["MessageBody"], each.get("MessageAttributes") or {}) for each in entries.values()]
        if sum(sizes) > MAXIMUM_MESSAGE_LENGTH:
            raise BatchRequestTooLong(sum(sizes))
        for size in sizes:  # all of them before the first is in the queue
            _check(backend.get_queue(queue_name), size)
        return send_batch(backend, queue_name, entries)

    patches.set(SQSBackend, "send_message", send_message)
    patches.set(SQSBackend, "send_message_batch", send_message_batch)
    return patches


def message_size(body: str, attributes: Mapping[str, Any]) -> int:
    """Bytes that a message counts for: its body, and each attribute's name, type and value.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html (MessageAttributes)
    """
    size = len(body.encode())
    for name, attribute in attributes.items():
        binary = attribute.get("BinaryValue")
        value = str(attribute.get("StringValue") or "").encode() if binary is None else _raw(binary)
        size += len(name.encode()) + len(str(attribute.get("DataType")).encode()) + len(value)
    return size


def _raw(value: bytes | str) -> bytes:
    # over the wire, in JSON, binary values are base64
    return base64.b64decode(value) if isinstance(value, str) else value


def _check(queue: Any, size: int) -> None:
    if size > queue.maximum_message_size:
        raise InvalidParameterValue(
            "One or more parameters are invalid. Reason: Message must be shorter than "
            f"{queue.maximum_message_size} bytes."
        )
