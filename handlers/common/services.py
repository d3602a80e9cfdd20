"""What functions work with, made once a process from its environment. Nothing is connected before its first use."""

from __future__ import annotations

from functools import cache

from handlers.common.database import Database
from handlers.common.queues import Queues
from handlers.common.settings import DatabaseSettings, ImageSettings
from handlers.common.storage import Storage


@cache
def database() -> Database:
    """Return the deployment's database.

    Raises
    ------
    handlers.common.settings.SettingError
        A declared variable is missing; the next call tries again, for an exception is not cached.
    """
    return Database(DatabaseSettings.from_environment())


@cache
def pictures() -> Storage:
    """Return the bucket of pictures; raises as `database`."""
    return Storage(ImageSettings.from_environment().bucket)


@cache
def queues() -> Queues:
    """Return the flows' queues."""
    return Queues()


def forget() -> None:
    """Close what is open and let the next use read the environment again; for tests."""
    if database.cache_info().currsize:
        database().dispose()
    for service in (database, pictures, queues):
        service.cache_clear()
