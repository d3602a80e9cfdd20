"""Flow: the declaration of one worker flow, the numbers derived from it and what is refused.

Plain data, no Pulumi: tests, handlers' registry and operators' tools may read it without a deployment.
Every limit is AWS's own; the page that it comes from stands beside it.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from components.needs import Need
from components.refused import RefusedError

DAY = 24 * 60 * 60

# "Lambda quotas", developer guide.
LONGEST_TIMEOUT = 900
MEMORY = range(128, 10_240 + 1)
LONGEST_FUNCTION_NAME = 64
# "Amazon SQS message quotas" and "queue quotas", developer guide.
LONGEST_QUEUE_NAME = 80
LONGEST_VISIBILITY = 12 * 60 * 60
RETENTION = range(60, 14 * DAY + 1)
# "Using Lambda with Amazon SQS": a batch above 10 needs a window of at least 1 s; windows up to 300 s.
LARGEST_BATCH = 10_000
LARGEST_BATCH_WITHOUT_WINDOW = 10
LONGEST_WINDOW = 300
# "ScalingConfig", Lambda API reference.
CONCURRENCY = range(2, 1_000 + 1)
# "Configuring a queue to use with Lambda": visibility at least six times the timeout plus the window, five receives.
VISIBILITY_FACTOR = 6
RECEIVES = 5

DEAD_LETTER_SUFFIX = "-dlq"
_KEY = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_QUEUE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
# "Creating a rule that runs on a schedule": rate(1 minute), rate(5 hours), cron(six fields).
_SCHEDULE = re.compile(r"rate\((1 (minute|hour|day)|([2-9]|[1-9]\d+) (minutes|hours|days))\)|cron\(\S+( \S+){5}\)")


@dataclass(frozen=True, kw_only=True)
class Flow:
    """One worker flow: a queue, its dead letters, and the function that works through it.

    Parameters
    ----------
    key
        Lower-case name with underscores; gives the health key, the producers' variable and the function's name.
    queue
        Suffix of the queue's name: the queue is ``<prefix>-<queue>``.
    code
        Name under which the stack's configuration gives the function's artefact (`artefacts.<code>`).
    timeout
        Longest time that one invocation may take, seconds, 1 to 900.
    memory
        Memory of the function, MB, 128 to 10,240.
    needs
        What the function may do besides working through its own queue, e.g. ``(ReadObjects("photos/"),)``.
    producers
        Names of the functions that send to the queue, e.g. ``("api",)``. Each may send to this queue and gets the
        variable with its name; nobody else does.
    handler
        Entry point where the artefact is a zip; an image carries its own.
    batch_size, batch_window
        Messages per invocation, and seconds to wait for them; above 10 messages a window is needed.
    maximum_concurrency
        Invocations that the mapping runs side by side, 2 to 1,000.
    reserved_concurrency
        Concurrency set aside for the function, none by default; not below `maximum_concurrency`, or deliveries are
        throttled into the dead letters unprocessed.
    receives
        Times a message is delivered before it becomes a dead letter.
    visibility
        Seconds for which a delivered message stays hidden, where the derived `visibility_timeout` will not do.
    retention, dead_letter_retention
        Seconds; 4 and 14 days unless given.
    ephemeral_storage
        Megabytes under /tmp.
    schedule, dispatcher
        EventBridge's schedule expression, and the name of the program's own function that it invokes to send messages
        to the queue. Given together or not at all; the dispatcher is one of the flow's `senders`.
    backlog_threshold
        Waiting messages from which on the flow counts as not keeping up, 1 or more.
    """

    key: str
    queue: str
    code: str
    timeout: int
    memory: int
    needs: tuple[Need, ...] = ()
    producers: tuple[str, ...] = ()
    handler: str | None = None
    batch_size: int = 1
    batch_window: int = 0
    maximum_concurrency: int = 5
    reserved_concurrency: int | None = None
    receives: int = RECEIVES
    visibility: int | None = None
    retention: int = 4 * DAY
    dead_letter_retention: int = 14 * DAY
    ephemeral_storage: int = 512
    schedule: str | None = None
    dispatcher: str | None = None
    backlog_threshold: int = 1_000

    def __post_init__(self) -> None:
        self._refuse_names()
        self._refuse_numbers()
        self._refuse_contradictions()

    @property
    def visibility_timeout(self) -> int:
        """Seconds for which a delivered message stays hidden: six times the timeout plus the window, unless given."""
        return self._derived_visibility if self.visibility is None else self.visibility

    @property
    def _derived_visibility(self) -> int:
        return VISIBILITY_FACTOR * self.timeout + self.batch_window

    @property
    def duration_threshold(self) -> int:
        """Duration above which the function counts as near its timeout, ms: nine tenths of it."""
        return self.timeout * 900

    @property
    def oldest_message_threshold(self) -> int:
        """Age above which the oldest message counts as stuck, s: two visibility timeouts.

        After the first failed delivery a message waits out one of them, so this is the second failure in a row, or a
        backlog that the function does not keep up with.
        """
        return 2 * self.visibility_timeout

    @property
    def senders(self) -> tuple[str, ...]:
        """Names of all functions that send to the queue: the producers, and the dispatcher where there is one."""
        return (*self.producers, self.dispatcher) if self.dispatcher else self.producers

    @property
    def slug(self) -> str:
        """The key as resource names have it: hyphens for underscores."""
        return self.key.replace("_", "-")

    def queue_name(self, prefix: str) -> str:
        """Name of the queue."""
        return f"{prefix}-{self.queue}"

    def dead_letter_queue_name(self, prefix: str) -> str:
        """Name of the queue of dead letters."""
        return self.queue_name(prefix) + DEAD_LETTER_SUFFIX

    def function_name(self, prefix: str) -> str:
        """Name of the function, and of its role."""
        return f"{prefix}-{self.slug}"

    @property
    def variable(self) -> str:
        """Variable by which producers know the queue's name, without the program's own prefix."""
        return f"{self.key.upper()}_QUEUE_NAME"

    def registry_entry(self, prefix: str, variable_prefix: str = "", *, deployed: bool) -> dict[str, Any]:
        """Describe the flow for the programs that look at it: health check, admin page, operators' tools.

        Parameters
        ----------
        prefix
            Prefix of the stack's names.
        variable_prefix
            Put before the name of the producers' variable.
        deployed
            Whether the flow has its code, so that function and mapping exist.
        """
        return {
            "key": self.key,
            "queue_name": self.queue_name(prefix),
            "dead_letter_queue_name": self.dead_letter_queue_name(prefix),
            "function_name": self.function_name(prefix),
            "deployed": deployed,
            "variable": variable_prefix + self.variable,
            "timeout": self.timeout,
            "receives": self.receives,
            "visibility_timeout": self.visibility_timeout,
            "oldest_message_threshold": self.oldest_message_threshold,
            "backlog_threshold": self.backlog_threshold,
            "producers": sorted(self.senders),
            "schedule": self.schedule,
        }

    def _refuse_names(self) -> None:
        if not _KEY.fullmatch(self.key):
            raise RefusedError(f"Flow key {self.key!r}: use lower-case words joined by '_', as 'image_processing'.")
        if not _QUEUE.fullmatch(self.queue):
            raise self._refused(f"queue {self.queue!r} must be lower-case words joined by '-', as 'image-processing'.")
        if self.queue.endswith(DEAD_LETTER_SUFFIX):
            raise self._refused(
                f"queue {self.queue!r} ends like the name of dead letters; leave {DEAD_LETTER_SUFFIX!r} away."
            )

    def _refuse_numbers(self) -> None:
        ranges = (
            ("timeout", self.timeout, range(1, LONGEST_TIMEOUT + 1), "s"),
            ("memory", self.memory, MEMORY, "MB"),
            ("batch_size", self.batch_size, range(1, LARGEST_BATCH + 1), "messages"),
            ("batch_window", self.batch_window, range(LONGEST_WINDOW + 1), "s"),
            ("maximum_concurrency", self.maximum_concurrency, CONCURRENCY, "invocations"),
            ("receives", self.receives, range(1, 1_000 + 1), "times"),
            ("visibility", self.visibility_timeout, range(LONGEST_VISIBILITY + 1), "s"),
            ("retention", self.retention, RETENTION, "s"),
            ("dead_letter_retention", self.dead_letter_retention, RETENTION, "s"),
            ("ephemeral_storage", self.ephemeral_storage, range(512, 10_240 + 1), "MB"),
            # SQS holds any number of waiting messages; this is as many as may be in flight ("message quotas").
            ("backlog_threshold", self.backlog_threshold, range(1, 120_000 + 1), "messages"),
        )
        for name, value, allowed, unit in ranges:
            if value not in allowed:
                raise self._refused(f"{name} is {value} {unit}; AWS allows {allowed[0]:,} to {allowed[-1]:,} {unit}.")

    def _refuse_contradictions(self) -> None:
        if self.visibility_timeout < self.timeout:
            raise self._refused(
                f"visibility {self.visibility_timeout} s is below timeout {self.timeout} s, so a message would be "
                f"delivered again while it is being worked on; leave it away to get {self._derived_visibility} s."
            )
        if self.batch_size > LARGEST_BATCH_WITHOUT_WINDOW and not self.batch_window:
            raise self._refused(
                f"batch_size {self.batch_size} is above {LARGEST_BATCH_WITHOUT_WINDOW} and batch_window is 0 s; "
                "give a window of at least 1 s, or a smaller batch."
            )
        if self.reserved_concurrency is not None and self.reserved_concurrency < self.maximum_concurrency:
            raise self._refused(
                f"reserved_concurrency {self.reserved_concurrency} is below maximum_concurrency "
                f"{self.maximum_concurrency}, so deliveries would be throttled into the dead letters; reserve at least "
                f"{self.maximum_concurrency}, or lower the maximum."
            )
        if self.dead_letter_retention <= self.retention:
            raise self._refused(
                f"dead_letter_retention {self.dead_letter_retention} s is not above retention {self.retention} s; a "
                "dead letter keeps the age that it had, so it would vanish unseen. Keep dead letters longer."
            )
        repeated = _repeated(self.senders)
        if repeated:
            raise self._refused(f"producer {repeated!r} is named twice; name it once.")
        if (self.schedule is None) != (self.dispatcher is None):
            raise self._refused(
                f"schedule is {self.schedule!r} and dispatcher is {self.dispatcher!r}; give both, or neither: a "
                "schedule needs a function to invoke, and only a schedule invokes a dispatcher."
            )
        if self.schedule is not None and not _SCHEDULE.fullmatch(self.schedule):
            raise self._refused(f"schedule {self.schedule!r} is none of EventBridge's; write it as 'rate(1 hour)'.")

    def _refused(self, why: str) -> RefusedError:
        return RefusedError(f"Flow {self.key!r}: {why}")


def together(flows: Iterable[Flow], prefix: str, producers: Iterable[str] = ()) -> tuple[Flow, ...]:
    """Return the flows of one stack, or refuse what they cannot be together.

    Parameters
    ----------
    flows
        The declarations, in order.
    prefix
        Prefix of every name in the stack.
    producers
        Functions of the program that flows may name as their producers.

    Raises
    ------
    RefusedError
        Two flows have the same key or queue, a producer is none, or a name is longer than AWS takes.
    """
    flows, known = tuple(flows), sorted(producers)
    dispatchers = [flow.dispatcher for flow in flows if flow.dispatcher]
    for what, values in (
        ("key", [flow.key for flow in flows]),
        ("queue", [flow.queue for flow in flows]),
        ("dispatcher", dispatchers),
    ):
        repeated = _repeated(values)
        if repeated:
            raise RefusedError(f"Two flows have the {what} {repeated!r}; give each its own.")
    for flow in flows:
        strangers = sorted(set(flow.producers).difference(known))
        if strangers:
            raise RefusedError(
                f"Flow {flow.key!r}: producer {strangers[0]!r} is no function of this program, so nobody would get the "
                f"queue's grants; name one of {', '.join(known)}."
            )
        for name, longest in (
            (flow.dead_letter_queue_name(prefix), LONGEST_QUEUE_NAME),
            (flow.function_name(prefix), LONGEST_FUNCTION_NAME),
        ):
            if len(name) > longest:
                raise RefusedError(
                    f"Flow {flow.key!r}: the name {name!r} has {len(name)} characters and AWS takes {longest}; "
                    "shorten the flow's key or queue, or the stack's prefix."
                )
    return flows


def _repeated(values: Iterable[str]) -> str | None:
    return next((value for value, count in Counter(values).items() if count > 1), None)
