"""The states of an image job and every way from one to another. Whatever is not listed here is refused.

Six states, by contract. `completed`, `failed` and `permanently_failed` are ends; a person leads out of the last two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["pending", "processing", "completed", "failed", "queue_failed", "permanently_failed"]

STATES: tuple[Status, ...] = ("pending", "processing", "completed", "failed", "queue_failed", "permanently_failed")
UNFINISHED: tuple[Status, ...] = ("pending", "processing", "queue_failed")
"""States that end by themselves."""


@dataclass(frozen=True)
class Transition:
    """One way from a state to another.

    Parameters
    ----------
    before
        States from which it leads.
    after
        The state that it leads to.
    when
        What causes it.
    """

    before: tuple[Status, ...]
    after: Status
    when: str


ACCEPT_AGAIN = Transition(("queue_failed",), "pending", "the photograph is asked for again before its job was queued")
CLAIM = Transition(("pending", "queue_failed", "processing"), "processing", "a worker receives the job's message")
REVIVE = Transition(("permanently_failed",), "processing", "an operator sent the dead letter back")
RELEASE = Transition(("processing",), "pending", "the worker failed; its message comes again")
LEASE_ENDED = Transition(("processing",), "pending", "the worker died; its message comes again")
SENT = Transition(("pending", "queue_failed"), "pending", "SQS took the job's message")
NOT_SENT = Transition(("pending", "queue_failed"), "queue_failed", "SQS refused the job's message again and again")
COMPLETE = Transition(("processing",), "completed", "the processed picture is in its book")
FAIL = Transition(("processing",), "failed", "the photograph can never work")
GIVE_UP = Transition(("pending", "processing", "queue_failed"), "permanently_failed", "its attempts are used up")
CANCEL = Transition(
    ("pending", "processing", "queue_failed", "permanently_failed"), "failed", "its photograph was deleted"
)
DISCARD = Transition(
    ("pending", "processing", "queue_failed", "permanently_failed"), "failed", "an operator discarded its dead letter"
)
SUPERSEDE = Transition(("queue_failed", "permanently_failed"), "failed", "a newer job works on its photograph")
RETRY = Transition(("failed", "queue_failed", "permanently_failed"), "pending", "a person asked for another try")

TRANSITIONS: dict[str, Transition] = {
    name.lower(): value for name, value in list(globals().items()) if isinstance(value, Transition)
}
