"""EventBridge's scheduled rules, driven by the embedded cloud's clock.

A jump of the clock over several occurrences of a rule runs it once, for the last of them.
"""

from __future__ import annotations

import json
import logging
import re
import threading
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from moto.events.models import events_backends

from local.iam_policy import UnsupportedPolicyError
from local.invocation import InvokeError

if TYPE_CHECKING:
    from local.lambda_runtime import LambdaRuntime

_TICK_SECONDS = 0.5
_RATE = re.compile(r"rate\((\d+) (minute|minutes|hour|hours|day|days)\)")
_CRON = re.compile(r"cron\((\S+) (\S+) (\S+) (\S+) (\S+) (\S+)\)")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_UNIT_SECONDS = {"minute": 60, "hour": 3600, "day": 86_400}
_HORIZON_DAYS = 366 * 5
_SUPPORTED_TARGET = {"Id", "Arn", "Input", "RetryPolicy"}
_log = logging.getLogger(__name__)


class ScheduleError(ValueError):
    """A schedule expression that EventBridge, or the embedded cloud, does not take."""


@dataclass(frozen=True)
class Rate:
    """rate(n unit)."""

    seconds: float

    def after(self, moment: float) -> float:
        """The occurrence after the one at `moment`."""
        return moment + self.seconds


@dataclass(frozen=True)
class Cron:
    """cron(minutes hours day-of-month month day-of-week year), in UTC; None takes every day."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int] | None
    months: frozenset[int]
    weekdays: frozenset[int] | None
    years: frozenset[int]

    def after(self, moment: float) -> float:
        """The first occurrence later than `moment`, infinity if there is none within five years."""
        start = datetime.fromtimestamp(moment, UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
        for offset in range(_HORIZON_DAYS):
            day = (start + timedelta(days=offset)).replace(hour=0, minute=0) if offset else start
            if not self._on(day):
                continue
            for hour in sorted(self.hours):
                for minute in sorted(self.minutes):
                    found = day.replace(hour=hour, minute=minute)
                    if found >= start:
                        return found.timestamp()
        return float("inf")

    def _on(self, day: datetime) -> bool:
        return (
            day.year in self.years
            and day.month in self.months
            and (self.days is None or day.day in self.days)
            and (self.weekdays is None or day.isoweekday() % 7 + 1 in self.weekdays)
        )


def parse(expression: str) -> Rate | Cron:
    """A schedule expression (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html).

    Raises
    ------
    ScheduleError
        If it is none; also for `L`, `W` and `#` in cron, which the embedded cloud does not know.
    """
    if match := _RATE.fullmatch(expression):
        count, unit = int(match[1]), match[2]
        if count < 1 or (count == 1) == unit.endswith("s"):
            raise ScheduleError(f"{expression}: a rate is `1 minute`, or a number above 1 and `minutes` (hours, days)")
        return Rate(count * _UNIT_SECONDS[unit.rstrip("s")])
    match = _CRON.fullmatch(expression)
    if match is None:
        raise ScheduleError(f"{expression}: neither rate(number unit) nor cron(six fields)")
    minutes, hours, days, months, weekdays, years = match.groups()
    if (days == "?") == (weekdays == "?"):
        raise ScheduleError(f"{expression}: exactly one of day-of-month and day-of-week must be `?`")
    return Cron(
        minutes=_field(expression, minutes, 0, 59),
        hours=_field(expression, hours, 0, 23),
        days=None if days == "?" else _field(expression, days, 1, 31),
        months=_field(expression, months, 1, 12, _MONTHS),
        weekdays=None if weekdays == "?" else _field(expression, weekdays, 1, 7, _DAYS),
        years=_field(expression, years, 1970, 2199),
    )


def _field(expression: str, text: str, low: int, high: int, names: tuple[str, ...] = ()) -> frozenset[int]:
    values: set[int] = set()
    for part in text.split(","):
        span, slash, step = part.partition("/")
        first, dash, last = span.partition("-")
        try:
            begin = low if first == "*" else _number(first, names)
            end = _number(last, names) if dash else high if slash or first == "*" else begin
            found = range(begin, end + 1, int(step) if slash else 1)
        except ValueError as error:
            raise ScheduleError(f"{expression}: {part!r} is not a value the embedded cloud knows") from error
        if begin < low or end > high or not found:
            raise ScheduleError(f"{expression}: {part!r} is not within {low}-{high}")
        values.update(found)
    return frozenset(values)


def _number(text: str, names: tuple[str, ...]) -> int:
    return names.index(text.upper()) + 1 if text.upper() in names else int(text)


class Schedules:
    """Runs the enabled scheduled rules of the default event bus that have Lambda functions as targets."""

    def __init__(self, runtime: LambdaRuntime) -> None:
        self._runtime = runtime
        self._stop = threading.Event()
        self._next: dict[tuple[str, str], float] = {}
        self._thread = runtime.background.thread("schedules", self._run, self._stop)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Run nothing more."""
        self._stop.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._runtime.clock.wait(_TICK_SECONDS, self._stop):
            self._tick(self._runtime.clock.now())

    def _tick(self, now: float) -> None:
        """Run what is due."""
        backend = events_backends[self._runtime.account][self._runtime.region]
        rules = [
            rule for rule in list(backend.describe_event_bus("default").rules.values()) if rule.scheduled_expression
        ]
        enabled = {(rule.arn, rule.scheduled_expression): rule for rule in rules if rule.state == "ENABLED"}
        self._next = {key: due for key, due in self._next.items() if key in enabled}
        for key, rule in enabled.items():
            try:
                schedule = parse(rule.scheduled_expression)
            except ScheduleError as error:
                if key not in self._next:
                    _log.error("rule %s never runs: %s", rule.name, error)
                self._next[key] = float("inf")
                continue
            # A rate counts from when its rule was enabled
            due = self._next.setdefault(key, schedule.after(now))
            if due <= now:
                while (following := schedule.after(due)) <= now:
                    due = following
                self._next[key] = following
                with self._runtime.background.guarded(f"rule {rule.name}"):
                    self._fire(rule, due)

    def _fire(self, rule: Any, due: float) -> None:
        event = scheduled_event(rule.arn, self._runtime.account, self._runtime.region, due)
        for target in list(rule.targets):
            arn = target["Arn"]
            unknown = sorted(key for key, value in target.items() if value and key not in _SUPPORTED_TARGET)
            if ":lambda:" not in arn or unknown:
                _log.error("target %s of rule %s is not run: %s", arn, rule.name, unknown or "not a function")
                continue
            if refusal := self._refusal(rule, arn):
                _log.error("rule %s may not invoke %s: %s", rule.name, arn, refusal)
                continue
            payload = target["Input"].encode() if target.get("Input") else json.dumps(event).encode()
            try:
                self._runtime.invoke_async(arn, payload)
            except InvokeError as error:
                _log.error("rule %s could not invoke %s: %s", rule.name, arn, error)

    def _refusal(self, rule: Any, arn: str) -> str | None:
        """Why EventBridge may not invoke a function, in words."""
        iam = self._runtime.iam
        try:
            decision = iam.service_may("events.amazonaws.com", "lambda:InvokeFunction", arn, rule.arn)
        except UnsupportedPolicyError as error:
            return f"its resource policy cannot be decided here: {error}"
        return None if decision.allowed else "its resource policy does not allow it"


def scheduled_event(rule_arn: str, account: str, region: str, due: float) -> dict[str, Any]:
    """The event of a scheduled rule.

    Shape: https://docs.aws.amazon.com/lambda/latest/dg/with-eventbridge-scheduler.html.
    """
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": account,
        "time": datetime.fromtimestamp(due, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": region,
        "resources": [rule_arn],
        "detail": {},
    }
