"""The metrics that SQS and Lambda send to CloudWatch, from real calls and moto's real queues, a minute at a time.

What SQS reports, and what not: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/
sqs-available-cloudwatch-metrics.html; Lambda: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
"""

from __future__ import annotations

import functools
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from moto.cloudwatch.models import MetricAggregatedDatum, cloudwatch_backends
from moto.sqs.models import Queue, SQSBackend, sqs_backends

from local.clock import Clock
from local.patching import Patches
from local.sqs import expires_at

KEPT_SECONDS = 3 * 3600
"""How long datapoints are kept; a long-running cloud would fill the memory otherwise."""
ACTIVE_SECONDS = 6 * 3600
"""A queue that no action accesses and no message reaches for longer is idle, and emits nothing.

"Monitoring Amazon SQS queues using CloudWatch", SQS developer guide. The page can be read so that messages alone keep a
queue awake; an alarm that holds without them holds either way.
"""

_MINUTE = 60
_POISONED_RECEIVES = 3
_COUNTERS = ("NumberOfMessagesSent", "NumberOfMessagesReceived", "NumberOfMessagesDeleted", "NumberOfEmptyReceives")
_UNITS = {"ApproximateAgeOfOldestMessage": "Seconds", "Duration": "Milliseconds"}


@dataclass(frozen=True)
class _Series:
    namespace: str
    metric: str
    dimension: str
    value: str


@dataclass
class _Statistics:
    """CloudWatch's statistic set of the samples of one minute."""

    count: int
    total: float
    least: float
    most: float

    @classmethod
    def of(cls, value: float) -> _Statistics:
        return cls(1, value, value, value)

    def add(self, value: float) -> None:
        self.count += 1
        self.total += value
        self.least = min(self.least, value)
        self.most = max(self.most, value)


class Metrics:
    """Counts calls and samples queues; `write` puts each minute that has ended into moto's CloudWatch.

    A jump of the clock leaves no gap: the queues are looked at as they were at the end of each minute passed over.

    Parameters
    ----------
    account, region : str
        Where the queues, the functions and the metrics are.
    clock : Clock
        The embedded cloud's clock.
    """

    def __init__(self, account: str, region: str, clock: Clock) -> None:
        self._account, self._region, self._clock = account, region, clock
        self._lock = threading.Lock()
        self._samples: dict[int, dict[_Series, _Statistics]] = {}
        self._counts: dict[int, dict[str, Counter[str]]] = {}
        self._accessed: dict[str, int] = {}
        self._next = self._minute()

    def invoked(self, function: str, started: float, duration: float, *, failed: bool) -> None:
        """Count an invocation that has ended.

        Lambda's timestamp of all of its metrics is the invocation's start, so what took minutes appears minutes ago.

        Parameters
        ----------
        started : float
            Seconds since the epoch, by the cloud's clock.
        duration : float
            Seconds in the function's code.
        failed : bool
            Whether the function ended in an error, its timeout or its memory limit among them.
        """
        self._sample(function, started, Invocations=1, Errors=int(failed), Duration=duration * 1000)

    def concurrent(self, function: str, executions: int) -> None:
        """Note how many invocations of a function run, as one more begins."""
        self._sample(function, self._clock.now(), ConcurrentExecutions=executions)

    def throttled(self, function: str) -> None:
        """Count an invocation that Lambda refused for want of concurrency; it counts as no invocation and no error."""
        self._sample(function, self._clock.now(), Throttles=1)

    def write(self) -> None:
        """Put every minute that has ended into CloudWatch, and drop what is older than `KEPT_SECONDS`."""
        current = self._minute()
        oldest = current - KEPT_SECONDS // _MINUTE
        with self._lock:
            samples = {minute: self._samples.pop(minute) for minute in sorted(self._samples) if minute < current}
            counts = {minute: self._counts.pop(minute) for minute in sorted(self._counts) if minute < current}
            first, self._next = self._next, current
        backend = cloudwatch_backends[self._account][self._region]
        for minute in [each for each in counts if each < oldest]:
            self._accessed.update(dict.fromkeys(counts[minute], minute))
        for minute in range(max(first, oldest), current):
            counted = counts.get(minute, {})
            self._accessed.update(dict.fromkeys(counted, minute))
            for queue in list(sqs_backends[self._account][self._region].queues.values()):
                for metric, value in self._of_queue(queue, minute, counted.get(queue.name, Counter())):
                    series = _Series("AWS/SQS", metric, "QueueName", queue.name)
                    samples.setdefault(minute, {})[series] = _Statistics.of(value)
        for minute, found in samples.items():
            if minute >= oldest:
                backend.metric_data += [_datum(series, minute, statistics) for series, statistics in found.items()]
        self._forget(backend, oldest)

    def install(self) -> Patches:
        """Count what is done with queues, until that is undone."""
        patches = Patches()
        arrive = Queue.add_message

        def add_message(queue: Queue, message: Any) -> None:
            # the dead-letter queue's age counts from here, not from when the message was sent
            message.arrived_at, message.receives_before = self._clock.now() * 1000, message.approximate_receive_count
            self._count(queue.name)
            arrive(queue, message)

        patches.set(Queue, "add_message", add_message)
        self._observe(patches, "create_queue", lambda name, answer: self._count(name))
        self._observe(patches, "get_queue", lambda name, answer: self._count(name))
        # redrive does not pass through here: what a queue moves to its dead letters is not counted as sent
        self._observe(patches, "send_message", lambda name, answer: self._count(name, "NumberOfMessagesSent"))
        self._observe(patches, "delete_message", lambda name, answer: self._count(name, "NumberOfMessagesDeleted"))
        self._observe(patches, "receive_message", self._received)
        return patches

    def _observe(self, patches: Patches, name: str, done: Callable[[str, Any], None]) -> None:
        original = getattr(SQSBackend, name)

        @functools.wraps(original)
        def observed(backend: SQSBackend, *args: Any, **kwargs: Any) -> Any:
            answer = original(backend, *args, **kwargs)
            queue = kwargs.get("queue_name") or kwargs.get("name") or args[0]
            done(queue, answer)
            return answer

        patches.set(SQSBackend, name, observed)

    def _received(self, queue: str, messages: list[Any]) -> None:
        if messages:
            self._count(queue, "NumberOfMessagesReceived", len(messages))
        else:
            self._count(queue, "NumberOfEmptyReceives")

    def _count(self, queue: str, metric: str = "", amount: int = 1) -> None:
        """Note an action on a queue; without a metric only that there was one."""
        with self._lock:
            counted = self._counts.setdefault(self._minute(), {}).setdefault(queue, Counter())
            if metric:
                counted[metric] += amount

    def _sample(self, function: str, at: float, **values: float) -> None:
        with self._lock:
            found = self._samples.setdefault(int(at // _MINUTE), {})
            for metric, value in values.items():
                series = _Series("AWS/Lambda", metric, "FunctionName", function)
                if series in found:
                    found[series].add(value)
                else:
                    found[series] = _Statistics.of(value)

    def _of_queue(self, queue: Queue, minute: int, counted: Counter[str]) -> Iterator[tuple[str, float]]:
        accessed = self._accessed.get(queue.name)
        if accessed is None or (minute - accessed) * _MINUTE > ACTIVE_SECONDS:
            return
        for metric in _COUNTERS:
            yield metric, counted[metric]
        yield from _depths(queue, (minute + 1) * _MINUTE * 1000)

    def _forget(self, backend: Any, oldest: int) -> None:
        limit = _timestamp(oldest)
        data = backend.metric_data
        # from the front, in place: a function may put a metric of its own at the end meanwhile
        old = next((index for index, each in enumerate(data) if each.timestamp >= limit), len(data))
        del data[:old]
        present = sqs_backends[self._account][self._region].queues
        self._accessed = {name: minute for name, minute in self._accessed.items() if name in present}

    def _minute(self) -> int:
        return int(self._clock.now() // _MINUTE)


def _depths(queue: Queue, at: float) -> Iterator[tuple[str, float]]:
    """What lies in a queue `at` a moment, in milliseconds since the epoch.

    Visible messages are reported by every active queue, the others only where there are such messages.
    """
    visible = in_flight = delayed = 0
    arrivals = []
    for message in list(queue._messages):
        if message.arrived_at > at or expires_at(queue, message) <= at:
            continue
        if message.delayed_until > at:
            delayed += 1
        elif message.visible_at > at:
            in_flight += 1
        else:
            visible += 1
        # Received three times or more, it goes to the back of the queue and leaves the metric; FIFO keeps the order.
        if queue.fifo_queue or message.approximate_receive_count - message.receives_before < _POISONED_RECEIVES:
            arrivals.append(message.arrived_at)
    yield "ApproximateNumberOfMessagesVisible", visible
    if in_flight:
        yield "ApproximateNumberOfMessagesNotVisible", in_flight
    if delayed:
        yield "ApproximateNumberOfMessagesDelayed", delayed
    if arrivals:
        yield "ApproximateAgeOfOldestMessage", (at - min(arrivals)) // 1000


def _datum(series: _Series, minute: int, statistics: _Statistics) -> MetricAggregatedDatum:
    return MetricAggregatedDatum(
        series.namespace,
        series.metric,
        statistics.least,
        statistics.most,
        statistics.count,
        statistics.total,
        [{"Name": series.dimension, "Value": series.value}],
        _timestamp(minute),
        _UNITS.get(series.metric, "Count"),
    )


def _timestamp(minute: int) -> datetime:
    # moto compares naive datetimes throughout
    return datetime.fromtimestamp(minute * _MINUTE, UTC).replace(tzinfo=None)
