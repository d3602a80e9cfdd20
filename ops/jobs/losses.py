"""What can vanish under an image job or an upload, and who notices: no state without a way out, none without a watcher.

`docs/jobs.md` is made from this table; `tests/e2e/test_job_losses.py` takes each thing away on the embedded cloud.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal, get_args

from components.schedule import silence
from flows import catalogue
from handlers.api.health_jobs import SWEEP_EVERY, SWEEP_LATE
from handlers.common.job_states import STATES, Status
from handlers.common.jobs import LONGEST_PAUSE, RETENTION_MARGIN, SEND_GRACE
from handlers.common.uploads import COMPLETE_AFTER, REMOVE_AFTER

UploadState = Literal["reserved", "uploaded"]
"""An upload without its object, and one whose object lies in the bucket; once completed it is a photograph."""
Thing = Literal[
    "message", "row", "photograph", "object", "secret", "function", "schedule", "mapping", "queue", "permission"
]
JOB_THINGS: tuple[Thing, ...] = get_args(Thing)
UPLOAD_THINGS: tuple[Thing, ...] = ("row", "object", "secret", "function", "schedule", "permission")
WORDS: dict[Thing, str] = {
    "message": "its message",
    "row": "its row (deleted with its book)",
    "photograph": "its photograph (deleted through the API)",
    "object": "its object in the bucket",
    "secret": "the database's secret",
    "function": "the function that works on it",
    "schedule": "the sweeper's schedule",
    "mapping": "the event source mapping",
    "queue": "the queue",
    "permission": "the sweeper's permission",
}
"""Of each thing. Jobs are worked on by the flow's function, uploads by the sweeper's."""

GONE = "gone"
"""The end of a job or an upload whose row is deleted."""
UPLOADED = "a photograph of its book"
"""The end of an upload that was completed."""

_FLOW = catalogue("")[0]
VISIBILITY = timedelta(seconds=_FLOW.visibility_timeout)
AT_ONCE = timedelta(minutes=1)
"""The time that work takes which nothing keeps waiting, and the period of the alarm on dead letters."""
ALARM = timedelta(minutes=5)
"""Period of the alarms on functions and queues."""
STUCK = timedelta(seconds=_FLOW.oldest_message_threshold)
SPENT = _FLOW.receives * VISIBILITY + AT_ONCE
"""After so many deliveries a message is a dead letter."""
SWEPT = SEND_GRACE + SWEEP_EVERY + AT_ONCE
SENT_AGAIN = timedelta(seconds=_FLOW.retention) + RETENTION_MARGIN + SWEPT
# CloudWatch looks at data of two periods more before it counts one as missing: see local/alarm_state.py.
NOT_INVOKED = 3 * timedelta(seconds=silence(f"rate({SWEEP_EVERY.seconds // 60} minutes)") or 0) + ALARM
LEASE = timedelta(seconds=_FLOW.timeout) + AT_ONCE


@dataclass(frozen=True)
class Told:
    """Who tells of it: a code of the deep health check, or the end of an alarm's name; at the latest `within`."""

    by: Literal["health", "alarm"]
    name: str
    within: timedelta


@dataclass(frozen=True)
class Loss:
    """What follows when a thing vanishes under a job or an upload.

    Parameters
    ----------
    states
        Where it does.
    gone
        Any one of these.
    by_itself
        What happens without anybody, in words.
    end
        The state, or `GONE` or `UPLOADED`, that is reached without anybody, and at the latest `within`.
    told
        Who tells of it; nobody has to be told where it ends by itself within an hour.
    person
        What a person does.
    then
        The state that is reached once the person did it, within `LONGEST_PAUSE`.
    variant
        Tells apart two ways in which the same thing vanishes.
    """

    states: tuple[Status | UploadState, ...]
    gone: tuple[Thing, ...]
    by_itself: str
    end: str | None = None
    within: timedelta | None = None
    told: tuple[Told, ...] = ()
    person: str = ""
    then: str | None = None
    variant: str = ""


# A job waits from when the sweeper took a dead worker's lease off it.
_WAITING = Told("health", "jobs_waiting", LEASE + SWEEP_EVERY + STUCK + SWEEP_EVERY)
_SWEEPER_LATE = Told("health", "sweeper_late", SWEEP_LATE + SWEEP_EVERY)
_SWEEPER_FAILS = Told("alarm", "job-sweeper-errors", SWEEP_EVERY + ALARM)
_NO_SWEEPER = (Told("alarm", "job-sweeper-not-invoked", NOT_INVOKED), _SWEEPER_LATE)
_NO_MAPPING = (
    Told("health", "mapping_disabled", AT_ONCE),
    Told("alarm", "image-processing-oldest-message", STUCK + ALARM),
)
_GIVEN_UP = Told("health", "jobs_given_up", AT_ONCE)
_NO_QUEUE = Told("health", "not_there_or_not_permitted", AT_ONCE)
_NO_FUNCTION = Told("health", "error", AT_ONCE)
_DEAD_LETTER = (Told("alarm", "image-processing-dead-letters", SPENT), Told("health", "dead_letters", SPENT))

_UP = "`pulumi up` makes it again"
_RETRY = "`POST …/retry` sends it at once"

JOBS: Final = (
    Loss(
        ("pending",),
        ("message",),
        "it was never sent, because its sender died: the sweeper sends it",
        "completed",
        SWEPT,
        variant="never sent",
    ),
    Loss(
        ("pending", "processing"),
        ("message",),
        "it is sent again when its queue must have deleted its message",
        "completed",
        SENT_AGAIN,
        (_WAITING,),
        f"{_RETRY}, where the queue is empty",
        "completed",
        variant="deleted or expired",
    ),
    Loss(
        ("pending", "permanently_failed"),
        ("message",),
        "its dead letter is discarded by `./bmx dlq` or the page, which ends it first",
        "failed",
        AT_ONCE,
        variant="discarded",
    ),
    Loss(
        ("pending", "processing", "queue_failed", "permanently_failed", "completed", "failed"),
        ("row",),
        "a message of it that is still delivered is acknowledged",
        GONE,
        AT_ONCE,
    ),
    Loss(
        ("pending", "processing", "queue_failed", "permanently_failed"),
        ("photograph",),
        "it ends; a worker at it writes nothing",
        "failed",
        AT_ONCE,
    ),
    Loss(
        ("pending", "processing", "queue_failed"),
        ("object",),
        "its next delivery ends it",
        "failed",
        LONGEST_PAUSE + SWEPT,
    ),
    Loss(
        ("pending", "processing"),
        ("secret",),
        "it is delivered again until its message is a dead letter",
        told=_DEAD_LETTER,
        person="restore the secret, then `./bmx dlq redrive`",
        then="completed",
    ),
    Loss(
        ("queue_failed",),
        ("secret",),
        "nothing: the sweeper cannot read it",
        told=(_SWEEPER_FAILS,),
        person="restore the secret",
        then="completed",
    ),
    Loss(
        ("permanently_failed",),
        ("secret",),
        "nothing: it waits for a person",
        told=(_SWEEPER_FAILS,),
        person=f"restore the secret; {_RETRY}",
        then="completed",
    ),
    Loss(
        ("pending", "processing"),
        ("function",),
        "its message is delivered in vain, at last into the dead letters",
        told=(_NO_FUNCTION,),
        person=f"{_UP}; `./bmx dlq redrive` if there are dead letters by then",
        then="completed",
    ),
    Loss(("queue_failed",), ("function",), "the sweeper sends it", told=(_NO_FUNCTION,), person=_UP, then="completed"),
    Loss(
        ("pending", "processing"),
        ("schedule", "permission"),
        "its message is delivered all the same",
        "completed",
        VISIBILITY + AT_ONCE,
    ),
    Loss(
        ("queue_failed",),
        ("schedule",),
        "nothing: nobody sends it",
        told=_NO_SWEEPER,
        person=f"{_UP}; {_RETRY}",
        then="completed",
    ),
    Loss(
        ("queue_failed",),
        ("permission",),
        "the sweeper tries again every hour",
        told=(Told("health", "jobs_not_sent", LONGEST_PAUSE), _SWEEPER_FAILS),
        person=f"{_UP}; {_RETRY}",
        then="completed",
    ),
    Loss(
        ("pending", "processing"),
        ("mapping",),
        "its message waits",
        told=_NO_MAPPING,
        person=_UP,
        then="completed",
    ),
    Loss(
        ("queue_failed",),
        ("mapping",),
        "the sweeper sends it, and its message waits",
        told=(Told("health", "mapping_disabled", AT_ONCE),),
        person=_UP,
        then="completed",
    ),
    Loss(
        ("pending", "processing"),
        ("queue",),
        "once there is a queue again it is sent again, as a message that was deleted",
        told=(_NO_QUEUE, _WAITING),
        person=f"{_UP}; {_RETRY}",
        then="completed",
    ),
    Loss(
        ("queue_failed",),
        ("message",),
        "it has none: the sweeper tries every hour to send it",
        "completed",
        LONGEST_PAUSE + SWEPT,
    ),
    Loss(
        ("queue_failed",),
        ("queue",),
        "nothing: the sweeper tries every hour to send it",
        told=(Told("health", "jobs_not_sent", LONGEST_PAUSE), _SWEEPER_FAILS),
        person=f"{_UP}; {_RETRY}",
        then="completed",
    ),
    Loss(
        ("permanently_failed",),
        ("object",),
        "nothing: it waits for a person",
        told=(_GIVEN_UP,),
        person=_RETRY,
        then="failed",
    ),
    Loss(
        ("permanently_failed",),
        ("message", "function", "schedule", "mapping", "queue", "permission"),
        "nothing: it waits for a person",
        told=(_GIVEN_UP,),
        person=f"mend what was the cause; {_RETRY}",
        then="completed",
    ),
    Loss(
        ("completed", "failed"),
        ("message", "photograph", "object", "function", "schedule", "mapping", "queue", "permission", "secret"),
        "nothing: it has ended",
    ),
)

UPLOADS: Final = (
    Loss(
        ("reserved",),
        ("object",),
        "its caller never brought it, or it was deleted: the reservation is removed",
        GONE,
        REMOVE_AFTER + SWEPT,
    ),
    Loss(
        ("uploaded",),
        (),
        "its caller never completed it: the sweeper does",
        UPLOADED,
        COMPLETE_AFTER + SWEPT,
        variant="its caller",
    ),
    Loss(("uploaded",), ("object",), "as one that was never brought", GONE, REMOVE_AFTER + SWEPT),
    Loss(("reserved", "uploaded"), ("row",), "`…/complete` answers 404", GONE, AT_ONCE),
    Loss(
        ("reserved", "uploaded"),
        ("permission",),
        "nothing: the sweeper fails from when it may look at it",
        told=(Told("alarm", "job-sweeper-errors", COMPLETE_AFTER + SWEPT + ALARM),),
        person=f"{_UP}; the sweeper does the rest",
    ),
    Loss(
        ("reserved", "uploaded"),
        ("secret",),
        "nothing: the sweeper fails, each time",
        told=(_SWEEPER_FAILS,),
        person="restore the secret; the sweeper does the rest",
    ),
    Loss(
        ("reserved", "uploaded"),
        ("function", "schedule"),
        "nothing: nobody sweeps",
        told=_NO_SWEEPER,
        person=f"{_UP}; the sweeper does the rest",
    ),
)


def uncovered() -> list[tuple[str, Thing]]:
    """Return the states and things of which the table says nothing."""
    wanted: list[tuple[str, Thing]] = [(state, thing) for state in STATES for thing in JOB_THINGS]
    wanted += [(state, thing) for state in get_args(UploadState) for thing in UPLOAD_THINGS]
    said = {(state, thing) for loss in (*JOBS, *UPLOADS) for state in loss.states for thing in loss.gone}
    return [pair for pair in wanted if pair not in said]


def table(losses: Sequence[Loss]) -> str:
    """Return losses as a table of Markdown."""
    head = "| state | what vanishes | what happens by itself | who is told | what a person does |"
    return "\n".join([head, "|---|---|---|---|---|", *map(_row, losses)])


def _row(loss: Loss) -> str:
    states = ", ".join(f"`{state}`" for state in loss.states)
    gone = ", ".join(WORDS[thing] for thing in loss.gone) or loss.variant
    if loss.gone and loss.variant:
        gone += f": {loss.variant}"
    end = ""
    if loss.end is not None and loss.within is not None:
        end = f" → {loss.end if loss.end in {GONE, UPLOADED} else f'`{loss.end}`'} {_within(loss.within)}"
    told = "; ".join(f"{each.by} `{each.name}` {_within(each.within)}" for each in loss.told)
    return f"| {states} | {gone} | {loss.by_itself}{end} | {told} | {loss.person} |"


def _within(length: timedelta) -> str:
    """Word a time as people say it.

    >>> _within(timedelta(minutes=9)), _within(timedelta(hours=97, minutes=8)), _within(timedelta(minutes=1))
    ('within 9 min', 'within 4 d 2 h', 'at once')
    """
    if length <= AT_ONCE:
        return "at once"
    minutes = -(-int(length.total_seconds()) // 60)
    days, minutes = divmod(minutes, 24 * 60)
    hours, rest = divmod(minutes, 60)
    if days:
        hours, rest = hours + (rest > 0), 0
    return "within " + " ".join(
        f"{number} {unit}" for number, unit in ((days, "d"), (hours, "h"), (rest, "min")) if number
    )
