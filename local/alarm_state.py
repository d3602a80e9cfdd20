"""What CloudWatch makes of an alarm of our form and its datapoints: a state, and the sentence that says why.

Our form is the one that `components/alarms.py` declares: one metric, one statistic, at or above a threshold or below it
in each of the last periods, missing data breaching, not breaching or ignored. Anything else is refused by name, never
guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

State = Literal["OK", "ALARM", "INSUFFICIENT_DATA"]
Missing = Literal["breaching", "notBreaching", "ignore"]

STATISTICS = ("Average", "Maximum", "Minimum", "SampleCount", "Sum")
INITIAL_REASON = "Unchecked: Initial alarm creation"
"""CloudWatch's reason for the INSUFFICIENT_DATA that every alarm begins in."""

# CloudWatch fetches more periods than it needs, by a number that it does not publish; its own examples look at five for
# an alarm of three: "How alarm state is evaluated when data is missing",
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
_MORE_PERIODS = 2
# What makes an alarm another kind of alarm, by DescribeAlarms' names.
_OTHER_KINDS = ("AlarmRule", "EvaluateLowSampleCountPercentile", "ExtendedStatistic", "Metrics", "ThresholdMetricId")
_MINUTE = 60


class UnsupportedAlarmError(ValueError):
    """An alarm that is not of our form; the message names the alarm and what is different."""


@dataclass(frozen=True)
class AlarmForm:
    """An alarm of our form.

    Attributes
    ----------
    dimensions
        Pairs of name and value, sorted.
    threshold
        In the metric's own unit.
    period
        Seconds, a multiple of 60.
    periods
        Periods in a row that must breach the threshold.
    missing
        What a period without data counts as.
    below
        Whether values below the threshold breach it, instead of those at or above.
    """

    name: str
    namespace: str
    metric: str
    dimensions: tuple[tuple[str, str], ...]
    statistic: str
    threshold: float
    period: int
    periods: int
    missing: Missing = "notBreaching"
    below: bool = False

    @property
    def window(self) -> int:
        """Seconds before now whose datapoints an evaluation looks at (CloudWatch's evaluation range)."""
        return (self.periods + _MORE_PERIODS) * self.period

    def breached_by(self, value: float) -> bool:
        """Tell whether a value is on the wrong side of the threshold."""
        return value < self.threshold if self.below else value >= self.threshold


@dataclass(frozen=True)
class Datapoint:
    """The statistic over one period that begins `at`, in seconds since the epoch."""

    at: float
    value: float


@dataclass(frozen=True)
class Verdict:
    """A state, CloudWatch's sentence for it, and the datapoints that decided, the newest first."""

    state: State
    reason: str
    datapoints: tuple[Datapoint, ...]


def alarm_form(alarm: Mapping[str, Any]) -> AlarmForm:
    """Read an alarm as DescribeAlarms answers it.

    Raises
    ------
    UnsupportedAlarmError
        If it is not of our form.
    """
    name = str(alarm.get("AlarmName"))
    for member in _OTHER_KINDS:
        if alarm.get(member):
            raise UnsupportedAlarmError(f"alarm {name}: {member} is not modelled by the embedded cloud")
    periods = int(alarm.get("EvaluationPeriods") or 1)
    expected: dict[str, tuple[Any, ...]] = {
        "Statistic": STATISTICS,
        "ComparisonOperator": ("GreaterThanOrEqualToThreshold", "LessThanThreshold"),
        "TreatMissingData": ("breaching", "notBreaching", "ignore"),
        "DatapointsToAlarm": (None, periods),
        "Unit": (None,),
    }
    for member, choices in expected.items():
        found = alarm.get(member) or None
        if found not in choices:
            wanted = ", ".join("not given" if each is None else str(each) for each in choices)
            raise UnsupportedAlarmError(f"alarm {name}: {member} is {found}; the embedded cloud evaluates {wanted}")
    for member in ("Namespace", "MetricName", "Threshold", "Period"):
        if alarm.get(member) is None:
            raise UnsupportedAlarmError(f"alarm {name}: {member} is missing")
    period = int(alarm["Period"])
    if period < _MINUTE or period % _MINUTE:
        raise UnsupportedAlarmError(
            f"alarm {name}: Period is {period} s; the embedded cloud's metrics are by the minute"
        )
    dimensions = sorted((str(each["Name"]), str(each["Value"])) for each in alarm.get("Dimensions") or [])
    return AlarmForm(
        name=name,
        namespace=str(alarm["Namespace"]),
        metric=str(alarm["MetricName"]),
        dimensions=tuple(dimensions),
        statistic=str(alarm["Statistic"]),
        threshold=float(alarm["Threshold"]),
        period=period,
        periods=periods,
        missing=alarm["TreatMissingData"],
        below=alarm["ComparisonOperator"] == "LessThanThreshold",
    )


def evaluate(form: AlarmForm, datapoints: Sequence[Datapoint], now: float) -> Verdict | None:
    """Decide an alarm's state.

    Real datapoints count before missing ones, as far back as the evaluation range goes: with enough of them the newest
    decide and missing ones are not looked at; with too few, all of them and as many missing as are needed. So an alarm
    on a metric that is only there when something happens stays in ALARM for two more periods than one would think
    (https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html).

    Parameters
    ----------
    datapoints
        In any order; those outside `form.window` before `now` are left alone.
    now
        End of the last whole minute, in seconds since the epoch.

    Returns
    -------
    Verdict or None
        OK or ALARM; None where too little data is there and missing data is ignored: the state stays what it is. A new
        alarm begins in INSUFFICIENT_DATA.
    """
    real = sorted((each for each in datapoints if now - form.window <= each.at < now), key=lambda each: -each.at)
    decisive = tuple(real[: form.periods])
    missing = form.periods - len(decisive)
    breaching = sum(form.breached_by(each.value) for each in decisive)
    if breaching == form.periods:
        minimum = f"{_datapoints(form.periods)} for OK -> ALARM"
        return Verdict("ALARM", _crossed(form, decisive, breaching, minimum), decisive)
    if form.missing == "ignore" and breaching == len(decisive):
        return None
    state: State = "ALARM" if form.missing == "breaching" and breaching == len(decisive) else "OK"
    if not decisive:
        filled = f"{form.periods} period{_s(form.periods)} and {_treated(form, missing)}"
        return Verdict(state, f"Threshold Crossed: no datapoints were received for {filled}.", ())
    if state == "ALARM":
        minimum = f"{_datapoints(form.periods)} for OK -> ALARM"
        reason = _crossed(form, decisive, breaching, minimum).removesuffix(".")
        return Verdict("ALARM", f"{reason}; {_treated(form, missing)}.", decisive)
    minimum = "1 datapoint for ALARM -> OK"
    reason = _crossed(form, decisive, len(decisive) - breaching, minimum, negated=True)
    if missing:
        reason = f"{reason.removesuffix('.')}; {_treated(form, missing)}."
    return Verdict("OK", reason, decisive)


def _crossed(form: AlarmForm, decisive: Sequence[Datapoint], count: int, minimum: str, *, negated: bool = False) -> str:
    values = ", ".join(map(_datapoint, decisive))
    verb = ("was" if count == 1 else "were") + (" not" if negated else "")
    side = "less than" if form.below else "greater than or equal to"
    return (
        f"Threshold Crossed: {count} out of the last {len(decisive)} datapoints [{values}] {verb} {side} the threshold "
        f"({form.threshold}) (minimum {minimum} transition)."
    )


def _datapoint(point: Datapoint) -> str:
    return f"{point.value} ({datetime.fromtimestamp(point.at, UTC):%d/%m/%y %H:%M:%S})"


def _datapoints(count: int) -> str:
    return f"{count} datapoint{_s(count)}"


def _treated(form: AlarmForm, missing: int) -> str:
    word = {"breaching": "Breaching", "notBreaching": "NonBreaching", "ignore": "Ignored"}[form.missing]
    return f"{missing} missing datapoint{_s(missing)} {'was' if missing == 1 else 'were'} treated as [{word}]"


def _s(count: int) -> str:
    return "" if count == 1 else "s"
