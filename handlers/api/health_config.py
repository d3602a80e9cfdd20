"""What the API is told by its environment and its package, and whether the two agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from handlers.api.health_models import ConfigHealth
from handlers.common.registry import Registry
from handlers.common.settings import optional

VARIABLES = (
    "BMX_ENVIRONMENT",
    "BMX_VERSION",
    "BMX_DATABASE_SECRET_ARN",
    "BMX_IMAGES_BUCKET",
    "BMX_API_KEYS_SECRET_ARN",
)


def config_health(
    registry: Registry | None, problem: str | None, environ: Mapping[str, str] | None = None
) -> ConfigHealth:
    """Hold the environment's variables against the registry.

    Parameters
    ----------
    registry
        The flows, if they could be read.
    problem
        Why they could not.
    environ
        The function's environment, unless given.
    """
    flows = registry.flows if registry else ()
    wanted = [*VARIABLES, *(flow.variable for flow in flows if flow.fed_by_api)]
    missing = [name for name in wanted if optional(name, environ) is None]
    wrong = [problem] if problem else []
    if missing:
        wrong.append(f"Not set: {', '.join(missing)}; the program declares them for this function.")
    if registry:
        wrong += _disagreements(registry, environ)
    return ConfigHealth(
        status="unhealthy" if wrong else "healthy", latency_ms=0, error=" ".join(wrong) or None, missing=missing
    )


def _disagreements(registry: Registry, environ: Mapping[str, str] | None) -> Iterator[str]:
    environment = optional("BMX_ENVIRONMENT", environ)
    if environment not in {None, registry.environment}:
        yield f"BMX_ENVIRONMENT is {environment!r} and the registry of flows says {registry.environment!r}."
    for flow in registry.flows:
        named = optional(flow.variable, environ)
        if flow.fed_by_api and named not in {None, flow.queue_name}:
            yield f"{flow.variable} is {named!r} and the registry of flows says {flow.queue_name!r}."
