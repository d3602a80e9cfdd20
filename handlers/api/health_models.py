"""The answers of the deep health check."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

Status = Literal["healthy", "degraded", "unhealthy", "skipped"]
Code = Literal[
    "reachable",
    "not_there_or_not_permitted",
    "not_permitted",
    "throttled",
    "mapping_disabled",
    "failing",
    "backlog",
    "dead_letters",
    "no_code_deployed",
    "timed_out",
    "jobs_waiting",
    "jobs_not_sent",
    "jobs_given_up",
    "sweeper_late",
    "error",
]
Milliseconds = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=0)]


def worst(*statuses: Status) -> Status:
    """Return the worst of some statuses; what was skipped does not count."""
    for status in ("unhealthy", "degraded"):
        if status in statuses:
            return status
    return "healthy"


class DependencyHealth(BaseModel):
    """One thing that the API stands on."""

    status: Status
    latency_ms: Milliseconds
    error: str | None = None


class MappingHealth(BaseModel):
    """The event source mapping between a queue and its function."""

    state: str
    uuid: str


class JobsHealth(BaseModel):
    """Image jobs that nobody may forget: waiting or abandoned for too long, not queued, given up; the sweeper's run."""

    waiting: Count
    abandoned: Count
    queue_failed: Count
    permanently_failed: Count
    swept_at: datetime | None = None


class QueueHealth(BaseModel):
    """One flow: its queue, its dead letters, and what moves between them. Ages in seconds."""

    status: Status
    queue_name: str
    messages: Count | None = None
    in_flight: Count | None = None
    delayed: Count | None = None
    dead_letters: Count | None = None
    oldest_message_age: float | None = None
    oldest_message_age_reason: str | None = None
    last_success: datetime | None = None
    last_success_reason: str | None = None
    mapping: MappingHealth | None = None
    jobs: JobsHealth | None = None
    error: str | None = None
    diagnosis: str
    diagnosis_code: Code
    diagnosis_codes: list[Code] = Field(description="Of everything that `diagnosis` says, the worst first.")


class QueuesHealth(DependencyHealth):
    """Every flow of the registry."""

    queues: dict[str, QueueHealth]


class FunctionHealth(BaseModel):
    """One flow's function."""

    status: Status
    function_name: str
    state: str | None = None
    error: str | None = None


class FunctionsHealth(DependencyHealth):
    """Every flow's function."""

    lambdas: dict[str, FunctionHealth]


class ConfigHealth(DependencyHealth):
    """What the function is told by its environment and its package; `missing` are names of variables."""

    missing: list[str]


class Checks(BaseModel):
    """Everything that was looked at."""

    database: DependencyHealth
    s3: DependencyHealth
    sqs: QueuesHealth
    lambdas: FunctionsHealth
    config: ConfigHealth


class HealthSummary(BaseModel):
    """What anybody may know."""

    status: Status
    timestamp: datetime


class DeepHealth(HealthSummary):
    """What operators see."""

    version: str | None
    environment: str | None
    total_latency_ms: Milliseconds
    checks: Checks
