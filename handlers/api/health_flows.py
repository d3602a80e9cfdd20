"""From what was seen to what it means: the health of each flow's queue and function. Pure; asks nobody."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from handlers.api import health_jobs
from handlers.api.health_jobs import JobsSight
from handlers.api.health_models import FunctionHealth, JobsHealth, MappingHealth, QueueHealth, Status, worst
from handlers.api.health_questions import (
    FRESH,
    SUCCESSES_WITHIN,
    Counts,
    DatabaseSight,
    EventSource,
    Function,
    Metrics,
    QueueQuestionError,
)
from handlers.api.health_threads import Answer
from handlers.api.health_trouble import Asked, Trouble, denied, error_code, no_such_queue, trouble
from handlers.common.registry import RegisteredFlow

#: The flow whose successes the jobs table knows.
IMAGE_FLOW = "image_processing"
NO_CODE = "No code deployed: the flow's queues wait for the artefact that the stack's configuration names."
# "Configuring event source mappings": in these a mapping delivers, or is about to.
DELIVERING = frozenset({"Creating", "Enabling", "Enabled", "Updating"})


@dataclass(frozen=True)
class Seen:
    """The answers to everything that was asked.

    Parameters
    ----------
    at
        When.
    role
        Who asked, in words: ``the role bluemoxon-staging-api``.
    queues
        By name, dead-letter queues among them.
    by_address
        Where SQS said that a queue is not there: what it said when asked by the queue's address.
    functions
        By the flow's key.
    """

    at: datetime
    role: str
    queues: Mapping[str, Answer[Counts]]
    functions: Mapping[str, Answer[Function]]
    mappings: Answer[list[EventSource]]
    metrics: Answer[dict[str, Metrics]]
    database: Answer[DatabaseSight]
    by_address: Mapping[str, Answer[Counts]] = field(default_factory=dict)


def queue_health(flow: RegisteredFlow, seen: Seen) -> QueueHealth:
    """Say how a flow is, with everything that is wrong with it: the worst gives status, code and error."""
    counts, dead = _counts(flow.queue_name, seen), _counts(flow.dead_letter_queue_name, seen)
    mapping = _mapping(flow, seen)
    age, age_reason = _oldest(flow, counts, seen)
    success, success_reason = _last_success(flow, seen)
    troubles = [
        *_queue_troubles(flow, flow.queue_name, "The queue", seen),
        *_queue_troubles(flow, flow.dead_letter_queue_name, "The dead-letter queue", seen),
        *_delivery_troubles(flow, mapping, seen),
        *_failing(flow, counts, seen),
        *_load_troubles(flow, counts, dead, age),
        *_job_troubles(flow, seen),
    ]
    if seen.metrics.error:
        troubles.append(_metrics_trouble(seen.metrics.error, seen.role))
    said = troubles or [Trouble("reachable", "Reachable: both queues answer, and the mapping delivers.", "healthy")]
    status = worst(*(each.status for each in said))
    worst_first = sorted(said, key=lambda each: each.status != status)
    first = worst_first[0]
    return QueueHealth(
        status=status,
        queue_name=flow.queue_name,
        messages=counts.messages if counts else None,
        in_flight=counts.in_flight if counts else None,
        delayed=counts.delayed if counts else None,
        dead_letters=dead.total if dead else None,
        oldest_message_age=age,
        oldest_message_age_reason=age_reason,
        last_success=success,
        last_success_reason=success_reason,
        mapping=MappingHealth(state=mapping.state, uuid=mapping.uuid) if mapping else None,
        jobs=_jobs_health(flow, seen),
        error=first.error,
        diagnosis=" ".join(dict.fromkeys(each.words for each in said)),
        diagnosis_code=first.code,
        diagnosis_codes=list(dict.fromkeys(each.code for each in worst_first)),
    )


def function_health(flow: RegisteredFlow, seen: Seen) -> FunctionHealth:
    """Say how a flow's function is."""

    def health(status: Status, state: str | None = None, error: str | None = None) -> FunctionHealth:
        return FunctionHealth(status=status, function_name=flow.function_name, state=state, error=error)

    if not flow.deployed:
        return health("degraded", error=NO_CODE)
    answer = seen.functions[flow.key]
    if answer.error is not None:
        if error_code(answer.error) == "ResourceNotFoundException":
            return health("unhealthy", error=f"The function {flow.function_name} is not there: {answer.error}")
        found = _function_trouble(flow, answer.error, seen.role)
        return health(found.status, error=found.words)
    function = answer.value
    if function is None:
        raise AssertionError("an answer is a value or an error")
    wrong = f"State {function.state}, last update {function.update}. {function.detail}".strip()
    if function.state == "Failed":
        return health("unhealthy", function.state, wrong)
    # Inactive is a function that slept for weeks; its next message wakes it.
    if function.state == "Pending" or function.update == "Failed":
        return health("degraded", function.state, wrong)
    return health("healthy", function.state)


def unlisted(name: str, seen: Seen) -> bool:
    """Tell whether SQS said of a queue's name that there is none, or that one may not ask."""
    error = seen.queues[name].error
    return isinstance(error, QueueQuestionError) and no_such_queue(error.cause)


def _counts(name: str, seen: Seen) -> Counts | None:
    answer = seen.queues[name]
    if answer.value is None and name in seen.by_address:
        answer = seen.by_address[name]
    return answer.value


def _queue_troubles(flow: RegisteredFlow, name: str, what: str, seen: Seen) -> Iterator[Trouble]:
    error = seen.queues[name].error
    if error is None:
        return
    cause, action = (
        (error.cause, error.action)
        if isinstance(error, QueueQuestionError)
        else (error, "sqs:GetQueueUrl or sqs:GetQueueAttributes")
    )
    thing = f"{what} {name}"
    by_address = seen.by_address.get(name)
    if by_address is not None and by_address.value is not None:
        # It answers at its address, so it is there, and one of the two possibilities is ruled out.
        sends = flow.fed_by_api and name == flow.queue_name
        yield Trouble(
            "not_permitted",
            f"{thing} is there, but {seen.role} lacks {action} on it"
            + (", so the API cannot send to it." if sends else "."),
            "unhealthy" if sends else "degraded",
            f"{action}: {cause}",
        )
        return
    yield trouble(cause, Asked(action, thing), seen.role)
    refused = by_address.error if by_address is not None else None
    if isinstance(refused, QueueQuestionError) and denied(refused.cause):
        yield trouble(refused.cause, Asked(refused.action, f"The number of messages in {name}"), seen.role)


def _mapping(flow: RegisteredFlow, seen: Seen) -> EventSource | None:
    """Return the mapping from the flow's queue to its function; a function's ARN may end with an alias."""
    return next(
        (
            each
            for each in seen.mappings.value or ()
            if each.queue_name == flow.queue_name and flow.function_name in each.function_arn.split(":")
        ),
        None,
    )


def _delivery_troubles(flow: RegisteredFlow, mapping: EventSource | None, seen: Seen) -> Iterator[Trouble]:
    """Say what keeps messages from reaching the function, or from being seen to."""
    if not flow.deployed:
        yield Trouble("no_code_deployed", NO_CODE, "degraded")
        return
    if seen.mappings.error is not None:
        asked = Asked("lambda:ListEventSourceMappings", f"The mapping to {flow.function_name}", "degraded")
        yield trouble(seen.mappings.error, asked, seen.role)
    elif mapping is None:
        words = f"No event source mapping joins {flow.queue_name} to {flow.function_name}: nothing is worked through."
        yield Trouble("mapping_disabled", words, "unhealthy")
    elif mapping.state not in DELIVERING:
        words = f"The mapping to {flow.function_name} is {mapping.state}: messages wait until it is enabled."
        yield Trouble("mapping_disabled", words, "degraded")
    error = seen.functions[flow.key].error
    if error is not None and error_code(error) != "ResourceNotFoundException":
        yield _function_trouble(flow, error, seen.role)
    elif error is not None:
        yield Trouble("error", f"The function {flow.function_name} is not there.", "unhealthy", str(error))


def _failing(flow: RegisteredFlow, counts: Counts | None, seen: Seen) -> Iterator[Trouble]:
    """Say that what is delivered fails, long before it is old or given up: a retry waits a visibility timeout."""
    found = _metrics(flow, seen)
    if not flow.deployed or not found.failed or found.failing_since is None or (counts and not counts.total):
        return
    count, they = ("1 delivery", "it was not") if found.failed == 1 else (f"{found.failed:,} deliveries", "none was")
    words = (
        f"Failing: {count} since {found.failing_since:%Y-%m-%d %H:%M} UTC, and {they} worked through. "
        f"{flow.log_group} says why; SQS delivers again after {flow.visibility_timeout:,} s, "
        f"{flow.receives} times in all."
    )
    yield Trouble("failing", words, "degraded")


def _load_troubles(
    flow: RegisteredFlow, counts: Counts | None, dead: Counts | None, age: float | None
) -> Iterator[Trouble]:
    if dead is not None and dead.total:
        count, them = (
            ("1 dead letter waits", "it") if dead.total == 1 else (f"{dead.total:,} dead letters wait", "them")
        )
        words = f"{count} in {flow.dead_letter_queue_name}: find the cause, then redrive {them}."
        yield Trouble("dead_letters", words, "degraded")
    if counts is not None and counts.messages >= flow.backlog_threshold:
        count = "1 message waits" if counts.messages == 1 else f"{counts.messages:,} messages wait"
        words = f"Backlog: {count}; the threshold is {flow.backlog_threshold:,}."
        yield Trouble("backlog", words, "degraded")
    if age is not None and age >= flow.oldest_message_threshold:
        words = f"Backlog: the oldest message waits {age:,.0f} s; the threshold is {flow.oldest_message_threshold:,} s."
        yield Trouble("backlog", words, "degraded")


def longest_wait(flows: Iterable[RegisteredFlow]) -> timedelta:
    """Return how long an image job may wait before somebody is told."""
    seconds = next((flow.oldest_message_threshold for flow in flows if flow.key == IMAGE_FLOW), 0)
    return timedelta(seconds=seconds)


def _job_troubles(flow: RegisteredFlow, seen: Seen) -> Iterator[Trouble]:
    sight = _jobs_sight(flow, seen)
    if sight is not None:
        yield from health_jobs.troubles(sight, now=seen.at, threshold=longest_wait([flow]))


def _jobs_sight(flow: RegisteredFlow, seen: Seen) -> JobsSight | None:
    return seen.database.value.jobs if flow.key == IMAGE_FLOW and seen.database.value else None


def _jobs_health(flow: RegisteredFlow, seen: Seen) -> JobsHealth | None:
    sight = _jobs_sight(flow, seen)
    if sight is None:
        return None
    return JobsHealth(
        waiting=sight.waiting,
        abandoned=sight.abandoned,
        queue_failed=sight.queue_failed,
        permanently_failed=sight.permanently_failed,
        swept_at=sight.swept_at,
    )


def _oldest(flow: RegisteredFlow, counts: Counts | None, seen: Seen) -> tuple[float | None, str | None]:
    if counts is not None and not counts.messages + counts.in_flight:
        return None, "The queue is empty."
    if seen.metrics.error is not None:
        return None, _metrics_trouble(seen.metrics.error, seen.role).words
    age = _metrics(flow, seen).oldest_message_age
    minutes = int(FRESH.total_seconds() // 60)
    reason = (
        f"CloudWatch has no value of the last {minutes} minutes; it has none for an idle queue, nor for messages that "
        "were received three times or more."
    )
    return age, reason if age is None else None


def _last_success(flow: RegisteredFlow, seen: Seen) -> tuple[datetime | None, str | None]:
    if flow.key == IMAGE_FLOW:
        return _last_image_job(seen.database)
    if seen.metrics.error is not None:
        return None, _metrics_trouble(seen.metrics.error, seen.role).words
    success = _metrics(flow, seen).last_success
    hours = int(SUCCESSES_WITHIN.total_seconds() // 3600)
    return success, f"By CloudWatch no message was worked through in the last {hours} hours." if not success else None


def _last_image_job(answer: Answer[DatabaseSight]) -> tuple[datetime | None, str | None]:
    error = answer.error or (answer.value.error if answer.value else None)
    if error is not None:
        return None, f"The jobs table cannot be read: {_first_line(error)}"
    success = answer.value.jobs.last_success if answer.value and answer.value.jobs else None
    return success, None if success else "No image job has been completed yet."


def _metrics(flow: RegisteredFlow, seen: Seen) -> Metrics:
    return (seen.metrics.value or {}).get(flow.queue_name, Metrics())


def _metrics_trouble(error: Exception, role: str) -> Trouble:
    asked = Asked("cloudwatch:GetMetricData", "The age of the oldest message and the last success", "degraded")
    return trouble(error, asked, role)


def _function_trouble(flow: RegisteredFlow, error: Exception, role: str) -> Trouble:
    asked = Asked("lambda:GetFunctionConfiguration", f"The state of the function {flow.function_name}", "degraded")
    return trouble(error, asked, role)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
