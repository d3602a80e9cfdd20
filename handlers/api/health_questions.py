"""What the deep health check asks of AWS and the database; each function is one question and raises what goes wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from handlers.api import health_jobs
from handlers.api.health_jobs import JobsSight
from handlers.common import aws
from handlers.common.database import Database
from handlers.common.settings import DatabaseSettings

DATABASE_CONNECT_SECONDS = 3
DATABASE_STATEMENT_SECONDS = 2
# SQS sends its metrics every minute, some minutes late. What is older tells of a queue as it was.
FRESH = timedelta(minutes=10)
# An hourly flow shows its last success.
SUCCESSES_WITHIN = timedelta(hours=3)
# A failure is told a minute after it must have ended. AWS charges by the metric asked for, not by the value.
METRIC_SECONDS = 60
# "GetMetricData", CloudWatch API reference: at most 500 metrics and 100,800 values a call.
METRICS_A_CALL = 500


@dataclass(frozen=True)
class Clients:
    """AWS clients that give up early."""

    sqs: Any
    functions: Any
    cloudwatch: Any
    s3: Any
    sts: Any
    secrets: Any

    @classmethod
    def of_this_process(cls) -> Clients:
        """Make them, or return those that were made before; one thread at a time."""
        services = ("sqs", "lambda", "cloudwatch", "s3", "sts", "secretsmanager")
        return cls(*(aws.quick_client(service) for service in services))


@dataclass(frozen=True)
class Caller:
    """Who asks: the account, and the ARN of the role's session."""

    account: str
    arn: str


@dataclass(frozen=True)
class Counts:
    """Messages of a queue: waiting, being worked on, not to be delivered yet. SQS calls all three approximate."""

    messages: int
    in_flight: int
    delayed: int

    @property
    def total(self) -> int:
        """All messages that the queue holds."""
        return self.messages + self.in_flight + self.delayed


@dataclass(frozen=True)
class EventSource:
    """One event source mapping."""

    uuid: str
    state: str
    queue_name: str
    function_arn: str


@dataclass(frozen=True)
class Function:
    """What Lambda says of a function; `detail` why it is not as it should be."""

    state: str
    update: str
    detail: str


@dataclass(frozen=True)
class Metrics:
    """What CloudWatch says of a queue: age of the oldest message in seconds, and when one was last worked through.

    `failed` deliveries since then (or within `SUCCESSES_WITHIN`) have ended, the first of them begun at
    `failing_since`, without any message worked through.
    """

    oldest_message_age: float | None = None
    last_success: datetime | None = None
    failed: int = 0
    failing_since: datetime | None = None


@dataclass(frozen=True)
class DatabaseSight:
    """A login that worked, and what the tables of jobs say, or why that is not known."""

    jobs: JobsSight | None = None
    error: Exception | None = None


class QueueQuestionError(RuntimeError):
    """One of the two questions that a queue is asked failed: `action`; the cause says how."""

    def __init__(self, action: str, cause: Exception) -> None:
        super().__init__(f"{action}: {cause}")
        self.action = action
        self.cause = cause


def caller(sts: Any) -> Caller:
    """Return who asks; the one call that needs no permission."""
    answer = sts.get_caller_identity()
    return Caller(answer["Account"], answer["Arn"])


def queue(sqs: Any, name: str) -> Counts:
    """Look a queue up by its name and count its messages.

    Its address is asked for each time: one remembered would hide that the role may no longer ask.

    Raises
    ------
    QueueQuestionError
        Which of the two calls failed, and how.
    """
    try:
        url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    except Exception as error:
        raise QueueQuestionError("sqs:GetQueueUrl", error) from error
    return queue_at(sqs, url)


def queue_at(sqs: Any, url: str) -> Counts:
    """Count the messages of a queue whose address is known; raises as `queue`."""
    names = [f"ApproximateNumberOfMessages{kind}" for kind in ("", "NotVisible", "Delayed")]
    try:
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return Counts(*(int(attributes[name]) for name in names))
    except Exception as error:
        raise QueueQuestionError("sqs:GetQueueAttributes", error) from error


def function(functions: Any, name: str) -> Function:
    """Ask for a function's state."""
    answer = functions.get_function_configuration(FunctionName=name)
    detail = " ".join(filter(None, (answer.get("StateReason"), answer.get("LastUpdateStatusReason"))))
    return Function(answer.get("State", "Active"), answer.get("LastUpdateStatus", "Successful"), detail)


def mappings(functions: Any) -> list[EventSource]:
    """List every event source mapping of the account that reads from a queue.

    All at once, not one flow at a time: Lambda's control plane answers 15 requests a second in all ("Lambda quotas").
    """
    return [
        EventSource(entry["UUID"], entry["State"], entry["EventSourceArn"].rpartition(":")[2], entry["FunctionArn"])
        for page in functions.get_paginator("list_event_source_mappings").paginate()
        for entry in page["EventSourceMappings"]
        if ":sqs:" in entry.get("EventSourceArn", "")
    ]


def metrics(cloudwatch: Any, longest: Mapping[str, int], now: datetime) -> dict[str, Metrics]:
    """Ask for the metrics of all queues in one call (one for each 166 queues).

    A message is deleted from a flow's queue when it was worked through, and by nothing else, so that
    NumberOfMessagesDeleted tells of successes; Lambda's own metrics count a batch whose messages failed as one.

    Parameters
    ----------
    longest
        By the queue's name, seconds after which whatever was delivered from it has ended.

    Returns
    -------
    dict
        For each queue; a value that is not fresh (`FRESH`, `SUCCESSES_WITHIN`) is ``None``.
    """
    names = list(longest)
    queries = [
        query
        for number, name in enumerate(names)
        for query in (
            _query(f"age{number}", name, "ApproximateAgeOfOldestMessage", "Maximum"),
            _query(f"done{number}", name, "NumberOfMessagesDeleted", "Sum"),
            _query(f"taken{number}", name, "NumberOfMessagesReceived", "Sum"),
        )
    ]
    values: dict[str, list[tuple[datetime, float]]] = {}
    for first in range(0, len(queries), METRICS_A_CALL):
        pages = cloudwatch.get_paginator("get_metric_data").paginate(
            MetricDataQueries=queries[first : first + METRICS_A_CALL],
            StartTime=now - SUCCESSES_WITHIN,
            EndTime=now,
            ScanBy="TimestampDescending",
        )
        for result in (result for page in pages for result in page["MetricDataResults"]):
            values.setdefault(result["Id"], []).extend(zip(result["Timestamps"], result["Values"], strict=True))
    found = {}
    for number, (name, seconds) in enumerate(longest.items()):
        success = _success(values.get(f"done{number}", ()))
        # The last minute whose deliveries have all ended.
        ended = now - timedelta(seconds=seconds + METRIC_SECONDS)
        # Those of the minute of the last success may have been it.
        taken = [
            (at, value)
            for at, value in values.get(f"taken{number}", ())
            if value > 0 and at <= ended and (success is None or at > success)
        ]
        found[name] = Metrics(
            oldest_message_age=_age(values.get(f"age{number}", ()), now),
            last_success=success,
            failed=int(sum(value for _, value in taken)),
            failing_since=min((at for at, _ in taken), default=None),
        )
    return found


def bucket(s3: Any, name: str) -> None:
    """Ask whether a bucket is there and may be looked at."""
    s3.head_bucket(Bucket=name)


def database(settings: DatabaseSettings, secrets: Any, *, now: datetime, threshold: timedelta) -> DatabaseSight:
    """Log in anew, and look at the image jobs; `threshold` is how long one may wait.

    A connection that was made before would prove nothing of today's password.

    Raises
    ------
    handlers.common.database.DatabaseUnavailableError, handlers.common.secrets.SecretError
        No login. What goes wrong after it is in the answer.
    """
    anew = Database(
        settings,
        secrets,
        connect_seconds=DATABASE_CONNECT_SECONDS,
        statement_seconds=DATABASE_STATEMENT_SECONDS,
    )
    try:
        with anew.begin() as connection:
            try:
                return DatabaseSight(health_jobs.look(connection, now=now, threshold=threshold))
            except sa.exc.SQLAlchemyError as error:
                return DatabaseSight(error=error)
    finally:
        anew.dispose()


def _query(identifier: str, queue_name: str, metric: str, statistic: str) -> Mapping[str, Any]:
    dimensions = [{"Name": "QueueName", "Value": queue_name}]
    return {
        "Id": identifier,
        "MetricStat": {
            "Metric": {"Namespace": "AWS/SQS", "MetricName": metric, "Dimensions": dimensions},
            "Period": METRIC_SECONDS,
            "Stat": statistic,
        },
    }


def _age(values: Iterable[tuple[datetime, float]], now: datetime) -> float | None:
    # A value stands at the beginning of its period.
    fresh = [(at, value) for at, value in values if at + timedelta(seconds=METRIC_SECONDS) >= now - FRESH]
    return max(fresh)[1] if fresh else None


def _success(values: Iterable[tuple[datetime, float]]) -> datetime | None:
    return max((at for at, value in values if value > 0), default=None)
