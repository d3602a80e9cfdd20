"""EventBridge's schedule expressions: what `rate(…)` and `cron(…)` may say, and when they come true, in UTC.

Plain data. A `Flow` refuses by it, the embedded cloud runs by it. Source: "Cron expressions reference" and "Rate
expressions reference", EventBridge user guide.
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

_RATE = re.compile(r"rate\(([0-9]+) (minute|minutes|hour|hours|day|days)\)")
_CRON = re.compile(r"cron\((\S+) (\S+) (\S+) (\S+) (\S+) (\S+)\)")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_UNIT_SECONDS = {"minute": 60, "hour": 3600, "day": 86_400}
_FRIDAY = 5
_HORIZON_DAYS = 366 * 5


class ScheduleError(ValueError):
    """An expression that EventBridge does not take; the message quotes it and says what to write."""


@dataclass(frozen=True)
class Rate:
    """``rate(n unit)``."""

    seconds: float

    def after(self, moment: float) -> float:
        """Return the occurrence after the one at `moment`, seconds since 1970."""
        return moment + self.seconds


@dataclass(frozen=True)
class DaysOfMonth:
    """The third field of a cron: days by number, nearest weekdays (``3W``), the last day (``L``), the last weekday."""

    days: frozenset[int] = frozenset()
    nearest: frozenset[int] = frozenset()
    last: bool = False
    last_weekday: bool = False

    def on(self, day: date) -> bool:
        """Tell whether the field names this day."""
        length = calendar.monthrange(day.year, day.month)[1]
        if day.day in self.days or (self.last and day.day == length):
            return True
        nearest = {*self.nearest, *([length] if self.last_weekday else [])}
        return any(_nearest_weekday(day.replace(day=min(each, length))) == day for each in nearest)


@dataclass(frozen=True)
class DaysOfWeek:
    """The fifth field of a cron: days by number from Sunday, 1, the last one of a month (``6L``), the nth (``3#2``)."""

    days: frozenset[int] = frozenset()
    last: frozenset[int] = frozenset()
    nth: tuple[int, int] | None = None

    def on(self, day: date) -> bool:
        """Tell whether the field names this day."""
        weekday = day.isoweekday() % 7 + 1
        in_last_week = day.day + 7 > calendar.monthrange(day.year, day.month)[1]
        which = (weekday, (day.day - 1) // 7 + 1)
        return weekday in self.days or (weekday in self.last and in_last_week) or which == self.nth


@dataclass(frozen=True)
class Cron:
    """``cron(minutes hours day-of-month month day-of-week year)``, of the two kinds of days the one that is given."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: DaysOfMonth | DaysOfWeek
    months: frozenset[int]
    years: frozenset[int]

    def after(self, moment: float) -> float:
        """Return the first occurrence later than `moment`, infinity where there is none within five years."""
        start = datetime.fromtimestamp(moment, UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
        for offset in range(_HORIZON_DAYS):
            day = (start + timedelta(days=offset)).replace(hour=0, minute=0) if offset else start
            if not (day.year in self.years and day.month in self.months and self.days.on(day.date())):
                continue
            for hour in sorted(self.hours):
                for minute in sorted(self.minutes):
                    found = day.replace(hour=hour, minute=minute)
                    if found >= start:
                        return found.timestamp()
        return float("inf")


def parse(expression: str) -> Rate | Cron:
    """Read a schedule expression.

    Raises
    ------
    ScheduleError
        EventBridge would refuse it.
    """
    if match := _RATE.fullmatch(expression):
        count, unit = int(match[1]), match[2]
        if count < 1 or (count == 1) == unit.endswith("s"):
            raise ScheduleError(
                f"{expression!r}: a rate is 1 minute, hour or day, or a number above 1 of minutes, hours or days; "
                "write it as 'rate(1 hour)' or 'rate(5 minutes)'"
            )
        return Rate(count * _UNIT_SECONDS[unit.rstrip("s")])
    if expression.startswith("cron(") and (match := _CRON.fullmatch(expression)):
        minutes, hours, of_month, months, of_week, years = match.groups()
        if (of_month == "?") == (of_week == "?"):
            raise ScheduleError(
                f"{expression!r}: day-of-month is {of_month!r} and day-of-week is {of_week!r}, and exactly one of them "
                "must be '?'; write every day as 'cron(0 12 * * ? *)'"
            )
        field = _Fields(expression)
        return Cron(
            minutes=field.numbers("minutes", minutes, 0, 59),
            hours=field.numbers("hours", hours, 0, 23),
            days=field.days_of_month(of_month) if of_week == "?" else field.days_of_week(of_week),
            months=field.numbers("month", months, 1, 12, _MONTHS),
            years=field.numbers("year", years, 1970, 2199),
        )
    raise ScheduleError(
        f"{expression!r} is neither a rate nor a cron of six fields; write it as 'rate(1 hour)', or as "
        "'cron(minutes hours day-of-month month day-of-week year)' with '?' for one of the days"
    )


@dataclass(frozen=True)
class _Fields:
    expression: str

    def days_of_month(self, text: str) -> DaysOfMonth:
        special, plain = self._apart(text, r"L|LW|[0-9]+W")
        nearest = {int(part[:-1]) for part in special if part[0] != "L"}
        if beyond := nearest - set(range(1, 32)):
            raise self._wrong("day-of-month", f"{beyond.pop()}W", 1, 31)
        days = self.numbers("day-of-month", plain, 1, 31) if plain else frozenset()
        return DaysOfMonth(days, frozenset(nearest), "L" in special, "LW" in special)

    def days_of_week(self, text: str) -> DaysOfWeek:
        one = rf"[1-7]|{'|'.join(_DAYS)}"
        if match := re.fullmatch(rf"({one})#([1-5])", text):
            return DaysOfWeek(nth=(_number(match[1], _DAYS), int(match[2])))
        special, plain = self._apart(text, rf"L|({one})L")
        # A lone L is the last day of the week, Saturday; behind a day it is that day's last one in the month.
        plain = ",".join([part for part in [plain] if part] + ["7"] * ("L" in special))
        days = self.numbers("day-of-week", plain, 1, 7, _DAYS) if plain else frozenset()
        return DaysOfWeek(days, frozenset(_number(part[:-1], _DAYS) for part in special if part != "L"))

    def numbers(self, field: str, text: str, low: int, high: int, names: tuple[str, ...] = ()) -> frozenset[int]:
        """Read numbers, ranges and increments, separated by commas."""
        values: set[int] = set()
        for part in text.split(","):
            span, slash, step = part.partition("/")
            first, dash, last = span.partition("-")
            try:
                begin = low if span == "*" else _number(first, names)
                end = _number(last, names) if dash else high if slash or span == "*" else begin
                found = range(begin, end + 1, _number(step) if slash else 1)
            except ValueError:
                raise self._wrong(field, part, low, high) from None
            if begin < low or end > high or not found:
                raise self._wrong(field, part, low, high)
            values.update(found)
        return frozenset(values)

    def _apart(self, text: str, special: str) -> tuple[list[str], str]:
        parts = text.split(",")
        found = [part for part in parts if re.fullmatch(special, part)]
        return found, ",".join(part for part in parts if part not in found)

    def _wrong(self, field: str, part: str, low: int, high: int) -> ScheduleError:
        return ScheduleError(f"{self.expression!r}: {field} takes {low} to {high}, and {part!r} is not within that")


def _number(text: str, names: tuple[str, ...] = ()) -> int:
    if text.upper() in names:
        return names.index(text.upper()) + 1
    if not re.fullmatch("[0-9]+", text):
        raise ValueError(text)
    return int(text)


def _nearest_weekday(day: date) -> date:
    """Return the Monday to Friday of the same month that is nearest to a day."""
    beyond = day.isoweekday() - _FRIDAY
    if beyond <= 0:
        return day
    # Friday before a Saturday, Monday after a Sunday; at the month's edge the other way round.
    first, second = (
        (day - timedelta(days=1), day + timedelta(days=2))
        if beyond == 1
        else (
            day + timedelta(days=1),
            day - timedelta(days=2),
        )
    )
    return first if first.month == day.month else second
