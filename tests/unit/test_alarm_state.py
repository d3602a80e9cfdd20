"""The evaluator of our alarms' form, against what AWS's page on missing data says."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.alarm_state import AlarmForm, Datapoint, UnsupportedAlarmError, alarm_form, evaluate

NOW = 1_800_000_000.0 - 1_800_000_000 % 60
ALARM: dict[str, Any] = {
    "AlarmName": "dead-letters",
    "Namespace": "AWS/SQS",
    "MetricName": "ApproximateNumberOfMessagesVisible",
    "Dimensions": [{"Name": "QueueName", "Value": "books-dlq"}],
    "Statistic": "Maximum",
    "ComparisonOperator": "GreaterThanOrEqualToThreshold",
    "Threshold": 1.0,
    "Period": 60,
    "EvaluationPeriods": 1,
    "TreatMissingData": "notBreaching",
}
FORM = alarm_form(ALARM)


def points(form: AlarmForm, *values: float | None) -> list[Datapoint]:
    """One value a period, the newest last; None where nothing was reported."""
    return [
        Datapoint(NOW - (len(values) - index) * form.period, value)
        for index, value in enumerate(values)
        if value is not None
    ]


def state(form: AlarmForm, *values: float | None) -> str | None:
    verdict = evaluate(form, points(form, *values), NOW)
    return verdict.state if verdict else None


@pytest.mark.parametrize(
    ("values", "not_breaching", "ignored", "breaching"),
    [
        # "Configuring how CloudWatch alarms treat missing data", the table of an alarm of three periods: X is 1, - None
        ((0, None, 1, None, 1), "OK", "OK", "OK"),
        ((None, None, None, None, 0), "OK", "OK", "OK"),
        ((None, None, None, None, None), "OK", None, "ALARM"),
        ((0, 1, 1, None, 1), "ALARM", "ALARM", "ALARM"),
        ((None, None, 1, None, None), "OK", None, "ALARM"),
    ],
)
def test_missing_data_counts_as_on_the_page_of_aws(values, not_breaching, ignored, breaching) -> None:
    form = replace(FORM, periods=3)
    assert state(form, *values) == not_breaching
    assert state(replace(form, missing="ignore"), *values) == ignored
    assert state(replace(form, missing="breaching"), *values) == breaching


def test_an_alarm_below_its_threshold_goes_off_there_and_without_data() -> None:
    form = replace(FORM, threshold=1, below=True, missing="breaching")
    assert [state(form, value) for value in (0.0, 0.999, 1.0, 2.0)] == ["ALARM", "ALARM", "OK", "OK"]
    assert state(form) == "ALARM"
    silent = evaluate(form, [], NOW)
    assert silent and silent.reason.endswith("1 period and 1 missing datapoint was treated as [Breaching].")
    low = evaluate(form, points(form, 0.0), NOW)
    assert low and "was less than the threshold (1)" in low.reason


def test_a_value_at_the_threshold_is_an_alarm_and_one_below_is_not() -> None:
    assert state(replace(FORM, threshold=1), 1.0) == "ALARM"
    assert state(replace(FORM, threshold=1), 0.999) == "OK"


def test_the_reasons_are_sentences_of_cloudwatch() -> None:
    at = "15/01/27 07:59:00"
    alarm, calm, silent = (evaluate(FORM, points(FORM, *values), NOW) for values in [(1.0,), (0.0,), ()])
    assert alarm and calm and silent
    assert alarm.reason == (
        f"Threshold Crossed: 1 out of the last 1 datapoints [1.0 ({at})] was greater than or equal to the threshold "
        "(1.0) (minimum 1 datapoint for OK -> ALARM transition)."
    )
    assert calm.reason == (
        f"Threshold Crossed: 1 out of the last 1 datapoints [0.0 ({at})] was not greater than or equal to the "
        "threshold (1.0) (minimum 1 datapoint for ALARM -> OK transition)."
    )
    assert silent.reason == (
        "Threshold Crossed: no datapoints were received for 1 period and 1 missing datapoint was treated as "
        "[NonBreaching]."
    )


def test_an_alarm_that_ignores_missing_data_outlives_the_queue_falling_idle() -> None:
    form = replace(FORM, missing="ignore")
    assert state(form, 1.0) == "ALARM"
    assert state(form, 1.0, None, None, None) is None


def test_a_lone_error_keeps_its_alarm_for_two_more_periods() -> None:
    assert [state(FORM, 1.0, *[None] * quiet) for quiet in range(4)] == ["ALARM", "ALARM", "ALARM", "OK"]


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("ComparisonOperator", "LessThanOrEqualToThreshold"),
        ("ComparisonOperator", None),
        ("DatapointsToAlarm", 2),
        ("ExtendedStatistic", "p99"),
        ("MetricName", None),
        ("Metrics", [{"Id": "m1"}]),
        ("AlarmRule", "ALARM(other)"),
        ("Period", 10),
        ("Period", 90),
        ("Statistic", None),
        ("Threshold", None),
        ("TreatMissingData", "missing"),
        ("TreatMissingData", None),
        ("Unit", "Count"),
    ],
)
def test_another_form_is_refused_by_the_names_of_alarm_and_member(member, value) -> None:
    with pytest.raises(UnsupportedAlarmError, match=f"dead-letters: {member} "):
        alarm_form(ALARM | {member: value})


def test_as_many_datapoints_to_alarm_as_periods_is_our_form() -> None:
    assert alarm_form(ALARM | {"DatapointsToAlarm": 3, "EvaluationPeriods": 3}) == replace(FORM, periods=3)


forms = st.builds(
    replace,
    st.just(FORM),
    periods=st.integers(1, 5),
    period=st.sampled_from([60, 300, 3600]),
    threshold=st.floats(-1e6, 1e6),
    missing=st.sampled_from(["notBreaching", "ignore"]),
)
series = st.lists(st.none() | st.floats(-2e6, 2e6), max_size=8)


@given(forms, series)
def test_an_alarm_needs_a_breaching_datapoint_for_every_period(form, values) -> None:
    verdict = evaluate(form, points(form, *values), NOW)
    if verdict and verdict.state == "ALARM":
        assert len(verdict.datapoints) == form.periods
        assert min(each.value for each in verdict.datapoints) >= form.threshold


@given(forms, st.lists(st.floats(-2e6, 2e6), min_size=5, max_size=8))
def test_without_gaps_the_last_periods_alone_decide(form, values) -> None:
    assert (state(form, *values) == "ALARM") == all(each >= form.threshold for each in values[-form.periods :])


@given(forms, series, st.floats(0, 1e6))
def test_a_higher_threshold_never_makes_an_alarm_of_what_was_none(form, values, more) -> None:
    if state(form, *values) == "OK":
        assert state(replace(form, threshold=form.threshold + more), *values) == "OK"


@given(forms, series, st.randoms(use_true_random=False))
def test_the_order_of_the_datapoints_does_not_matter(form, values, random) -> None:
    ordered = points(form, *values)
    shuffled = random.sample(ordered, len(ordered))
    assert evaluate(form, shuffled, NOW) == evaluate(form, ordered, NOW)


@given(forms, series, st.lists(st.floats(-2e6, 2e6), max_size=3))
def test_datapoints_outside_the_evaluation_range_change_nothing(form, values, others) -> None:
    old = [Datapoint(NOW - form.window - 60 * (index + 1), value) for index, value in enumerate(others)]
    coming = [Datapoint(NOW + 60 * index, value) for index, value in enumerate(others)]
    known = points(form, *values)
    assert evaluate(form, old + known + coming, NOW) == evaluate(form, known, NOW)


@given(forms)
def test_silence_ends_an_alarm_or_leaves_it_alone_as_it_says(form) -> None:
    assert state(form) == (None if form.missing == "ignore" else "OK")
