"""``/api/v1/health``: needs no key, and without one tells nothing of what lies behind."""

from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.event_handler import Response, content_types
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from handlers.api import edge
from handlers.api.health import deep_check
from handlers.api.health_models import DeepHealth, HealthSummary
from handlers.api.models import Health, Version
from handlers.api.parts import whole
from handlers.common import services
from handlers.common.settings import Deployment

DeepAnswer = DeepHealth | HealthSummary
_DEEP: dict[int, Any] = {
    status: {"description": description, "content": {content_types.APPLICATION_JSON: {"model": DeepAnswer}}}
    for status, description in (
        (200, "Healthy or degraded; without a key only `status` and `timestamp`"),
        (503, "Unhealthy, in the same form; or the check itself is not possible at the moment"),
    )
}

router = APIGatewayHttpRouter()  # type: ignore[no-untyped-call]


@router.get("/live", summary="Say that the function runs")
def live() -> Health:
    """Say that the function runs."""
    return Health()


@router.get("/ready", summary="Prove that the database takes a login")
def ready() -> Health:
    """Prove that the settings are there and the database takes a login; 503 otherwise."""
    whole()
    services.database().ping()
    return Health()


@router.get("/version", summary="Say what runs where")
def version() -> Version:
    """Say which code runs in which environment."""
    deployment = Deployment.from_environment()
    return Version(version=deployment.version, environment=deployment.environment)


@router.get("/deep", summary="Look at everything that the deployment stands on", responses=_DEEP)
def deep() -> Response[DeepAnswer]:
    """Look at database, bucket, every flow of the registry, and the configuration; kept for a few seconds."""
    health = deep_check().recent()
    known = edge.owner(router.current_event.raw_event) is not None
    return Response(
        status_code=HTTPStatus.SERVICE_UNAVAILABLE if health.status == "unhealthy" else HTTPStatus.OK,
        content_type=content_types.APPLICATION_JSON,
        body=health if known else HealthSummary(status=health.status, timestamp=health.timestamp),
    )
