"""The deep health check: everything asked side by side, kept for a few seconds, and put together into one answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from handlers.api import health_questions as questions
from handlers.api.health_config import config_health
from handlers.api.health_flows import Seen, function_health, longest_wait, queue_health, unlisted
from handlers.api.health_models import (
    Checks,
    DeepHealth,
    DependencyHealth,
    FunctionsHealth,
    QueuesHealth,
    worst,
)
from handlers.api.health_threads import Answer, Question, side_by_side
from handlers.api.health_trouble import Asked, error_code, role_of, trouble
from handlers.common import registry as registries
from handlers.common.clock import now as _now
from handlers.common.registry import RegisteredFlow, Registry, RegistryError
from handlers.common.settings import DatabaseSettings, optional, required

# One copy a process, the whole answer: a crowd of callers costs AWS one look each time it is this old.
CACHE = timedelta(seconds=5)
# Each counts from the beginning of the check. With the second look at queues that seem to be missing, the whole is
# over in 9 s and the key's secret in 8 s before it, under the 29 s after which API Gateway gives up.
SECONDS = 5.0
DATABASE_SECONDS = 6.0
SECOND_LOOK_SECONDS = 3.0

Name = tuple[str, str]
"""What is asked, and of which thing."""


class DeepCheck:
    """Looks at everything that the deployment stands on.

    Parameters
    ----------
    clients, registry, clock
        Where AWS's clients, the flows and the time come from.
    """

    def __init__(
        self,
        clients: Callable[[], questions.Clients] = questions.Clients.of_this_process,
        registry: Callable[[], Registry] = registries.load,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self._clients = clients
        self._registry = registry
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: DeepHealth | None = None

    def recent(self) -> DeepHealth:
        """Return an answer of the last few seconds, or look anew."""
        with self._lock:
            kept = self._kept
            # A clock that was set back must not make the copy live longer.
            if kept is None or not timedelta(0) <= self._clock() - kept.timestamp < CACHE:
                kept = self._kept = self._look()
            return kept

    def fresh(self) -> DeepHealth:
        """Look anew, whatever is kept."""
        with self._lock:
            self._kept = self._look()
            return self._kept

    def _look(self) -> DeepHealth:
        began, timestamp = time.monotonic(), self._clock()
        try:
            registry, problem = self._registry(), None
        except RegistryError as error:
            registry, problem = None, str(error)
        flows = registry.flows if registry else ()
        config = config_health(registry, problem)
        clients = self._clients()
        answers = side_by_side(_questions(clients, flows, timestamp))
        seen = _seen(answers, timestamp)
        seen = _second_look(clients, seen, answers["caller", ""])
        checks = Checks(
            database=_dependency(answers["database", ""], _DATABASE, seen.role),
            s3=_dependency(answers["s3", ""], _BUCKET, seen.role),
            sqs=_queues(flows, seen, problem),
            lambdas=_functions(flows, seen, problem),
            config=config,
        )
        return DeepHealth(
            status=worst(*(getattr(checks, name).status for name in Checks.model_fields)),
            timestamp=timestamp,
            version=optional("BMX_VERSION"),
            environment=optional("BMX_ENVIRONMENT"),
            total_latency_ms=(time.monotonic() - began) * 1000,
            checks=checks,
        )


@cache
def deep_check() -> DeepCheck:
    """Return the process's check."""
    return DeepCheck()


_DATABASE = Asked("secretsmanager:GetSecretValue", "The database's secret", forbidden="unhealthy")
_BUCKET = Asked("s3:ListBucket", "The bucket of pictures", forbidden="unhealthy")


def _questions(
    clients: questions.Clients, flows: tuple[RegisteredFlow, ...], now: datetime
) -> dict[Name, Question[Any]]:
    def login() -> questions.DatabaseSight:
        return questions.database(
            DatabaseSettings.from_environment(), clients.secrets, now=now, threshold=longest_wait(flows)
        )

    def look_at(name: str) -> Callable[[], questions.Counts]:
        return lambda: questions.queue(clients.sqs, name)

    def look_up(name: str) -> Callable[[], questions.Function]:
        return lambda: questions.function(clients.functions, name)

    deployed = [flow for flow in flows if flow.deployed]
    longest = {flow.queue_name: flow.longest_delivery for flow in flows}
    # The database first: its chain of calls is the longest.
    asked: dict[Name, Question[Any]] = {
        ("database", ""): Question(login, DATABASE_SECONDS),
        ("metrics", ""): Question(
            lambda: questions.metrics(clients.cloudwatch, longest, now) if longest else {}, SECONDS
        ),
        ("mappings", ""): Question(lambda: questions.mappings(clients.functions) if deployed else [], SECONDS),
        ("caller", ""): Question(lambda: questions.caller(clients.sts), SECONDS),
        ("s3", ""): Question(lambda: questions.bucket(clients.s3, required("BMX_IMAGES_BUCKET")), SECONDS),
    }
    for flow in flows:
        for name in (flow.queue_name, flow.dead_letter_queue_name):
            asked["queue", name] = Question(look_at(name), SECONDS)
    for flow in deployed:
        asked["function", flow.key] = Question(look_up(flow.function_name), SECONDS)
    return asked


def _seen(answers: Mapping[Name, Answer[Any]], now: datetime) -> Seen:
    def of(kind: str) -> dict[str, Answer[Any]]:
        return {name: answer for (asked, name), answer in answers.items() if asked == kind}

    return Seen(
        at=now,
        role=_role(answers["caller", ""]),
        queues=of("queue"),
        functions=of("function"),
        mappings=answers["mappings", ""],
        metrics=answers["metrics", ""],
        database=answers["database", ""],
    )


def _role(caller: Answer[questions.Caller]) -> str:
    name = role_of(caller.value.arn) if caller.value else None
    if name:
        return f"the role {name}"
    if caller.value:
        return f"the caller {caller.value.arn}"
    return f"the role of the function {optional('AWS_LAMBDA_FUNCTION_NAME') or 'api'}"


def _second_look(clients: questions.Clients, seen: Seen, caller: Answer[questions.Caller]) -> Seen:
    """Ask queues of which SQS says that there is none by their address, which needs another permission.

    An answer proves that the queue is there and that only GetQueueUrl is not allowed; no answer proves nothing. AWS
    advises against making up addresses ("Queue and message identifiers"), so nothing but this diagnosis rests on one.
    """
    missing = [name for name in seen.queues if unlisted(name, seen)]
    if not missing or caller.value is None:
        return seen
    place = f"{clients.sqs.meta.endpoint_url}/{caller.value.account}"

    def look_at(name: str) -> Callable[[], questions.Counts]:
        return lambda: questions.queue_at(clients.sqs, f"{place}/{name}")

    answers = side_by_side({name: Question(look_at(name), SECOND_LOOK_SECONDS) for name in missing})
    return replace(seen, by_address=answers)


def _dependency(answer: Answer[Any], asked: Asked, role: str) -> DependencyHealth:
    if answer.error is None:
        return DependencyHealth(status="healthy", latency_ms=answer.latency_ms)
    # The database's errors are words already; where AWS refused its secret, the cause says which permission lacks.
    cause = answer.error.__cause__
    error = cause if isinstance(cause, Exception) and error_code(cause) else answer.error
    words = trouble(error, asked, role).words if error_code(error) else str(error)
    return DependencyHealth(status="unhealthy", latency_ms=answer.latency_ms, error=words)


def _queues(flows: tuple[RegisteredFlow, ...], seen: Seen, problem: str | None) -> QueuesHealth:
    queues = {flow.key: queue_health(flow, seen) for flow in flows}
    status = "unhealthy" if problem else worst(*(each.status for each in queues.values()))
    slowest = max((answer.latency_ms for answer in seen.queues.values()), default=0.0)
    return QueuesHealth(status=status, latency_ms=slowest, error=problem, queues=queues)


def _functions(flows: tuple[RegisteredFlow, ...], seen: Seen, problem: str | None) -> FunctionsHealth:
    functions = {flow.key: function_health(flow, seen) for flow in flows}
    status = "unhealthy" if problem else worst(*(each.status for each in functions.values()))
    slowest = max((answer.latency_ms for answer in seen.functions.values()), default=0.0)
    return FunctionsHealth(status=status, latency_ms=slowest, error=problem, lambdas=functions)
