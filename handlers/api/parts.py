"""What the routes work with, made once a process from the environment."""

from dataclasses import dataclass
from functools import cache

from handlers.common import services
from handlers.common.aws import quick_client
from handlers.common.database import Database
from handlers.common.keys import ApiKeys
from handlers.common.queues import Queues
from handlers.common.settings import Deployment, ImageSettings, queue_variable, required
from handlers.common.storage import Storage


@dataclass(frozen=True)
class Parts:
    """The deployment's database, bucket and queues."""

    deployment: Deployment
    database: Database
    storage: Storage
    cdn_url: str | None
    queues: Queues
    image_queue: str


@cache
def parts() -> Parts:
    """Return the parts. Nothing is connected yet.

    Raises
    ------
    SettingError
        A declared variable is missing; the next call tries again, for an exception is not cached.
    """
    return Parts(
        deployment=Deployment.from_environment(),
        database=services.database(),
        storage=services.pictures(),
        cdn_url=ImageSettings.from_environment().cdn_url,
        queues=services.queues(),
        image_queue=required(queue_variable("image_processing")),
    )


@cache
def keys() -> ApiKeys:
    """Return the callers' keys: not one of `parts`, so that a caller is known even where another setting is missing.

    Their client gives up early: whoever asks for health must be told of a secret that does not answer before the
    request's own time is up.

    Raises
    ------
    SettingError
        The variable is missing.
    """
    return ApiKeys(required("BMX_API_KEYS_SECRET_ARN"), quick_client("secretsmanager"))
