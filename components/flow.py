"""Flow: the declaration of one worker flow, the numbers derived from it and what is refused.

Plain data, no Pulumi: tests, handlers' registry and operators' tools may read it without a deployment.
Every limit is AWS's own; the page that it comes from stands beside it.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from components.needs import Need
from components.refused import RefusedError
from components.schedule_expression import ScheduleError, parse

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
# The policy pack holds every other queue to the same numbers.
VISIBILITY_FACTOR = 6
RECEIVES = 5
# "CreateFunction", Lambda API reference: at most 128 characters without white space; Python's are module.function.
LONGEST_HANDLER = 128

DEAD_LETTER_SUFFIX = "-dlq"
_KEY = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_QUEUE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_HANDLER = re.compile(r"[^\s.]+(\.[^\s.]+)+")


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
        Times a message is delivered before it becomes a dead letter, 5 or more.
    visibility
        Seconds for which a delivered message stays hidden, where more than the derived `visibility_timeout` is wanted.
    retention, dead_letter_retention
        Seconds; 4 and 14 days unless given.
    ephemeral_storage
        Megabytes under /tmp.
    schedule, dispatcher
        EventBridge's schedule expression, and the name of the program's own function that it invokes to send messages
        to the queue. Given together or not at all; the dispatcher is one of the flow's `senders`. There is neither
        where the flow has no code.
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
        faults = [*self._wrong_kinds()]
        if not faults:
            faults = [*self._wrong_names(), *self._wrong_numbers()]
        if not faults:
            faults = [*self._contradictions()]
        if faults:
            raise RefusedError(f"Flow {self.key!r}: {' '.join(faults)}")

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

    def queue_name(self, prefix: str) -> str:
        """Name of the queue."""
        return f"{prefix}-{self.queue}"

    def dead_letter_queue_name(self, prefix: str) -> str:
        """Name of the queue of dead letters."""
        return self.queue_name(prefix) + DEAD_LETTER_SUFFIX

    def function_name(self, prefix: str) -> str:
        """Name of the function, and of its role."""
        return function_name(prefix, self.key)

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
            Whether the flow has its code, so that function and mapping exist, and the dispatcher where it has one.
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
            "producers": sorted(self.senders if deployed else self.producers),
            "schedule": self.schedule if deployed else None,
        }

    def _wrong_kinds(self) -> Iterator[str]:
        """Yield what is no value of its argument at all; nothing else can be said of it then."""
        for name in ("key", "queue", "code"):
            if not isinstance(getattr(self, name), str):
                yield f"{name} is {getattr(self, name)!r}; give a text."
        for name in ("handler", "schedule", "dispatcher"):
            if not isinstance(getattr(self, name), str | None):
                yield f"{name} is {getattr(self, name)!r}; give a text, or leave it away."
        optional = [name for name in ("reserved_concurrency", "visibility") if getattr(self, name) is not None]
        for name in (*_NUMBERS, *optional):
            value = getattr(self, name)
            # True is an int to Python.
            if type(value) is not int:
                yield f"{name} is {value!r}; give a whole number, as 256."
        yield from _not_a_tuple("needs", self.needs, Need, "of components/needs.py, as UseDatabase()")
        yield from _not_a_tuple("producers", self.producers, str, "by name, as 'api'")

    def _wrong_names(self) -> Iterator[str]:
        if not _KEY.fullmatch(self.key):
            yield f"key {self.key!r} must be lower-case words joined by '_', as 'image_processing'."
        if not _QUEUE.fullmatch(self.queue):
            yield f"queue {self.queue!r} must be lower-case words joined by '-', as 'image-processing'."
        if self.queue.endswith(DEAD_LETTER_SUFFIX):
            yield f"queue {self.queue!r} ends like the name of dead letters; leave {DEAD_LETTER_SUFFIX!r} away."
        if not self.code.strip():
            yield f"code {self.code!r} must be the artefact's name in the stack's configuration."
        if self.handler is not None and (len(self.handler) > LONGEST_HANDLER or not _HANDLER.fullmatch(self.handler)):
            yield (
                f"handler {self.handler!r} must be module.function, as 'worker.handler', in at most "
                f"{LONGEST_HANDLER} characters."
            )
        if self.dispatcher is not None and not _KEY.fullmatch(self.dispatcher):
            yield f"dispatcher {self.dispatcher!r} must be lower-case words joined by '_', as 'tracking_dispatcher'."
        repeated = _repeated(self.senders)
        if repeated:
            yield f"producer {repeated!r} is named twice; name it once."
        yield from self._wrong_schedule()

    def _wrong_schedule(self) -> Iterator[str]:
        if (self.schedule is None) != (self.dispatcher is None):
            yield (
                f"schedule is {self.schedule!r} and dispatcher is {self.dispatcher!r}; give both, or neither: a "
                "schedule needs a function to invoke, and only a schedule invokes a dispatcher."
            )
        if self.schedule is not None:
            try:
                parse(self.schedule)
            except ScheduleError as error:
                yield f"schedule {error}."

    def _wrong_numbers(self) -> Iterator[str]:
        for name, (allowed, unit) in _NUMBERS.items():
            value = getattr(self, name)
            if value not in allowed:
                yield f"{name} is {value} {unit}; it may be {allowed[0]:,} to {allowed[-1]:,} {unit}."
        if self.visibility_timeout > LONGEST_VISIBILITY:
            yield f"visibility is {self.visibility_timeout} s; it may be {LONGEST_VISIBILITY:,} s at most."

    def _contradictions(self) -> Iterator[str]:
        if self.visibility_timeout < self._derived_visibility:
            yield (
                f"visibility {self.visibility_timeout} s is below {VISIBILITY_FACTOR} x timeout {self.timeout} s + "
                f"batch_window {self.batch_window} s, so a message could be delivered again while it is being worked "
                f"on; leave visibility away to get {self._derived_visibility} s."
            )
        if self.batch_size > LARGEST_BATCH_WITHOUT_WINDOW and not self.batch_window:
            yield (
                f"batch_size {self.batch_size} is above {LARGEST_BATCH_WITHOUT_WINDOW} and batch_window is 0 s; "
                "give a window of at least 1 s, or a smaller batch."
            )
        if self.reserved_concurrency is not None and self.reserved_concurrency < self.maximum_concurrency:
            yield (
                f"reserved_concurrency {self.reserved_concurrency} is below maximum_concurrency "
                f"{self.maximum_concurrency}, so deliveries would be throttled into the dead letters; reserve at least "
                f"{self.maximum_concurrency}, or lower the maximum."
            )
        tried_for = self.receives * self.visibility_timeout
        if tried_for >= self.retention:
            yield (
                f"receives {self.receives} x visibility {self.visibility_timeout} s = {tried_for} s is not below "
                f"retention {self.retention} s, so a failing message would expire before it became a dead letter; keep "
                "messages longer, or try them less often."
            )
        if self.dead_letter_retention <= self.retention:
            yield (
                f"dead_letter_retention {self.dead_letter_retention} s is not above retention {self.retention} s; a "
                "dead letter keeps the age that it had, so it would vanish unseen. Keep dead letters longer."
            )


#: Numbers that every flow has: what AWS takes (or the project, where that is less), and the unit.
_NUMBERS = {
    "timeout": (range(1, LONGEST_TIMEOUT + 1), "s"),
    "memory": (MEMORY, "MB"),
    "batch_size": (range(1, LARGEST_BATCH + 1), "messages"),
    "batch_window": (range(LONGEST_WINDOW + 1), "s"),
    "maximum_concurrency": (CONCURRENCY, "invocations"),
    "receives": (range(RECEIVES, 1_000 + 1), "times"),
    "retention": (RETENTION, "s"),
    "dead_letter_retention": (RETENTION, "s"),
    "ephemeral_storage": (range(512, 10_240 + 1), "MB"),
    # SQS holds any number of waiting messages; this is as many as may be in flight ("message quotas").
    "backlog_threshold": (range(1, 120_000 + 1), "messages"),
}


def _not_a_tuple(name: str, value: Any, kind: Any, how: str) -> Iterator[str]:
    if not isinstance(value, tuple):
        yield f"{name} is {value!r}; give a tuple, as {name}=({value!r},)."
        return
    for each in value:
        if not isinstance(each, kind):
            yield f"{name} holds {each!r}; give each {how}."


def together(
    flows: Iterable[Flow], prefix: str, producers: Iterable[str] = (), functions: Iterable[str] = ()
) -> tuple[Flow, ...]:
    """Return the flows of one stack, or refuse what they cannot be together.

    Parameters
    ----------
    flows
        The declarations, in order.
    prefix
        Prefix of every name in the stack.
    producers
        Functions of the program that flows may name as their producers.
    functions
        All functions that the program has of its own, the dispatchers apart: their names are taken.

    Raises
    ------
    RefusedError
        Two flows have the same key or queue, a flow or a dispatcher has a name that is taken, a producer is no function
        of the program, or a name is longer than AWS takes. One message says all of it.
    """
    flows = tuple(flows)
    faults = [*_met_twice(flows), *_taken(flows, frozenset(functions))]
    for flow in flows:
        faults += [f"Flow {flow.key!r}: {why}" for why in _misfits(flow, prefix, sorted(producers))]
    if faults:
        raise RefusedError(" ".join(faults))
    return flows


def _met_twice(flows: Iterable[Flow]) -> Iterator[str]:
    for what in ("key", "queue", "dispatcher"):
        repeated = _repeated(value for flow in flows if (value := getattr(flow, what)))
        if repeated:
            yield f"Two flows have the {what} {repeated!r}; give each its own."


def _taken(flows: Iterable[Flow], functions: frozenset[str]) -> Iterator[str]:
    """Yield the names that would be those of two functions on AWS."""
    keys = {flow.key for flow in flows}
    for flow in flows:
        names = [("key", flow.key, functions)]
        if flow.dispatcher is not None:
            names.append(("dispatcher", flow.dispatcher, functions | keys))
        for what, name, taken in names:
            if name in taken:
                owner = "program's own function" if name in functions else "flow"
                yield f"Flow {flow.key!r}: {what} {name!r} is the name of the {owner} {name!r}; choose another."


def _misfits(flow: Flow, prefix: str, producers: list[str]) -> Iterator[str]:
    strangers = sorted(set(flow.producers).difference(producers))
    if strangers:
        yield (
            f"producer {strangers[0]!r} is no function of this program, so nobody would get the queue's grants; "
            f"name one of {', '.join(producers)}."
        )
    names = [
        ("queue", flow.dead_letter_queue_name(prefix), LONGEST_QUEUE_NAME),
        ("function", flow.function_name(prefix), LONGEST_FUNCTION_NAME),
    ]
    if flow.dispatcher is not None:
        # Its schedule's rule has the same name and the same limit ("PutRule", EventBridge API reference).
        names.append(("dispatcher", function_name(prefix, flow.dispatcher), LONGEST_FUNCTION_NAME))
    for what, name, longest in names:
        if len(name) > longest:
            yield (
                f"the {what}'s name {name!r} has {len(name)} characters and AWS takes {longest}; shorten the flow's "
                f"{'key' if what == 'function' else what}, or the stack's prefix."
            )


def function_name(prefix: str, name: str) -> str:
    """Name on AWS of one of the stack's functions, of its role, and of the rule that starts it."""
    return f"{prefix}-{name.replace('_', '-')}"


def _repeated(values: Iterable[str]) -> str | None:
    return next((value for value, count in Counter(values).items() if count > 1), None)
