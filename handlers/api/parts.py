"""What the routes work with, made once a process from the environment."""

from dataclasses import dataclass
from functools import cache

from handlers.common.database import Database
from handlers.common.keys import ApiKeys
from handlers.common.queues import Queues
from handlers.common.settings import (
    DatabaseSettings,
    Deployment,
    ImageSettings,
    queue_variable,
    required,
)
from handlers.common.storage import Storage


@dataclass(frozen=True)
class Parts:
    """The deployment's database, bucket, queues and keys."""

    deployment: Deployment
    database: Database
    storage: Storage
    cdn_url: str | None
    queues: Queues
    image_queue: str
    keys: ApiKeys


@cache
def parts() -> Parts:
    """Return the parts. Nothing is connected yet.

    Raises
    ------
    SettingError
        A declared variable is missing; the next call tries again, for an exception is not cached.
    """
    images = ImageSettings.from_environment()
    return Parts(
        deployment=Deployment.from_environment(),
        database=Database(DatabaseSettings.from_environment()),
        storage=Storage(images.bucket),
        cdn_url=images.cdn_url,
        queues=Queues(),
        image_queue=required(queue_variable("image_processing")),
        keys=ApiKeys(required("BMX_API_KEYS_SECRET_ARN")),
    )
