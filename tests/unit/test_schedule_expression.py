"""Schedule expressions, by EventBridge's own page: what is taken, when it comes true, what is refused."""

import re
from datetime import UTC, datetime

import pytest

from components.schedule_expression import Cron, ScheduleError, parse


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("expression", "moment", "following"),
    [
        ("rate(5 minutes)", "2026-01-01T00:00:30", "2026-01-01T00:05:30"),
        ("rate(1 day)", "2026-01-01T00:00:00", "2026-01-02T00:00:00"),
        ("cron(0 10 * * ? *)", "2026-01-01T10:00:00", "2026-01-02T10:00:00"),
        ("cron(15 12 * * ? *)", "2026-01-01T10:00:00", "2026-01-01T12:15:00"),
        ("cron(0 18 ? * MON-FRI *)", "2026-01-02T18:00:00", "2026-01-05T18:00:00"),
        ("cron(0/15 * * * ? *)", "2026-01-01T10:16:00", "2026-01-01T10:30:00"),
        ("cron(0 0 29 2 ? *)", "2026-01-01T00:00:00", "2028-02-29T00:00:00"),
        ("cron(30 4 1 JAN,JUL ? *)", "2026-01-02T00:00:00", "2026-07-01T04:30:00"),
        ("cron(0 0 L * ? *)", "2026-02-01T00:00:00", "2026-02-28T00:00:00"),
        ("cron(0 0 LW * ? *)", "2026-02-01T00:00:00", "2026-02-27T00:00:00"),
        ("cron(0 8 3W * ? *)", "2026-01-01T00:00:00", "2026-01-02T08:00:00"),
        ("cron(0 8 1W * ? *)", "2026-08-01T00:00:00", "2026-08-03T08:00:00"),
        ("cron(0 8 31W * ? *)", "2026-05-01T00:00:00", "2026-05-29T08:00:00"),
        ("cron(0 8 1,15W * ? *)", "2026-11-02T00:00:00", "2026-11-16T08:00:00"),
        ("cron(0 10 ? * 3#2 *)", "2026-01-01T00:00:00", "2026-01-13T10:00:00"),
        ("cron(0 10 ? * FRIL *)", "2026-01-01T00:00:00", "2026-01-30T10:00:00"),
        ("cron(0 10 ? * 6L 2022-2030)", "2026-01-31T00:00:00", "2026-02-27T10:00:00"),
        ("cron(0 10 ? * L *)", "2026-01-01T00:00:00", "2026-01-03T10:00:00"),
    ],
)
def test_the_next_occurrence_of_a_schedule(expression, moment, following):
    # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html
    assert parse(expression).after(seconds(moment)) == seconds(following)


@pytest.mark.parametrize(
    "expression",
    ["rate(0 minutes)", "rate(1 minutes)", "rate(5 minute)", "rate(5 seconds)", "every hour", "cron(0 10 * * * *)",
     "cron(0 10 * ?)", "cron(60 10 * * ? *)", "cron(99 99 * * ? *)", "cron(0 10 32W * ? *)", "cron(0 10 ? * 6#6 *)",
     "cron(0 10 ? * 3#1,6#3 *)", "cron(0 10 ? * ? *)", "cron(0 10 * 13 ? *)", "cron(0 10 * * ? 1969)",
     "cron(0 10 * * * )", "cron(0 10 * * ?)", "cron(1_0 10 * * ? *)", "cron(+1 10 * * ? *)", "cron(*-5 10 * * ? *)",
     "cron(0/0 10 * * ? *)", "cron(5-1 10 * * ? *)", "rate(\u0665 minutes)", "cron(0 10 * * ? *) "],
)  # fmt: skip
def test_a_schedule_that_eventbridge_refuses_is_refused_by_name(expression):
    with pytest.raises(ScheduleError, match=re.escape(expression)):
        parse(expression)


def test_a_cron_that_is_over_never_runs_again():
    schedule = parse("cron(0 0 1 1 ? 2020)")
    assert isinstance(schedule, Cron) and schedule.after(seconds("2026-01-01T00:00:00")) == float("inf")
