"""``/api/v1/health``: needs no key and tells nothing of what lies behind."""

from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from handlers.api.models import Health, Version
from handlers.api.parts import parts
from handlers.common.settings import Deployment

router = APIGatewayHttpRouter()  # type: ignore[no-untyped-call]


@router.get("/live", summary="Say that the function runs")
def live() -> Health:
    """Say that the function runs."""
    return Health()


@router.get("/ready", summary="Prove that the database takes a login")
def ready() -> Health:
    """Prove that the settings are there and the database takes a login; 503 otherwise."""
    parts().database.ping()
    return Health()


@router.get("/version", summary="Say what runs where")
def version() -> Version:
    """Say which code runs in which environment."""
    deployment = Deployment.from_environment()
    return Version(version=deployment.version, environment=deployment.environment)
