"""``{"version": true}``: every function answers it without doing work."""

from collections.abc import Mapping

from handlers.common.settings import Deployment


def version_answer(event: object) -> dict[str, str] | None:
    """Return version and environment if that is what the event asks for, else ``None``."""
    if isinstance(event, Mapping) and event.get("version") is True:
        deployment = Deployment.from_environment()
        return {"version": deployment.version, "environment": deployment.environment}
    return None
