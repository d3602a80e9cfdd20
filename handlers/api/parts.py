"""What the routes work with: made once a process from the environment, or joined to one transaction for a request."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Protocol

import sqlalchemy as sa

from handlers.common import services
from handlers.common.aws import quick_client
from handlers.common.keys import ApiKeys
from handlers.common.queues import Queues
from handlers.common.settings import Deployment, ImageSettings, queue_variable, required
from handlers.common.storage import Storage


class Transactions(Protocol):
    """Where transactions come from: the database, or one of its transactions, in which each is a savepoint."""

    def begin(self) -> AbstractContextManager[sa.Connection]:
        """Open one; it is committed at the end of the block, rolled back if the block raises."""


@dataclass(frozen=True)
class Joined:
    """Lets everything that a request does be one transaction, whoever begins and ends parts of it."""

    connection: sa.Connection
    after: list[Callable[[Parts], object]] = field(default_factory=list)

    @contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        """Open a savepoint."""
        with self.connection.begin_nested():
            yield self.connection


@dataclass(frozen=True)
class Parts:
    """The deployment's database, bucket and queues."""

    deployment: Deployment
    database: Transactions
    storage: Storage
    cdn_url: str | None
    queues: Queues
    image_queue: str

    def after_commit(self, act: Callable[[Parts], object]) -> None:
        """Do what must not be done before the rows are committed: at once, or when the joined transaction is."""
        if isinstance(self.database, Joined):
            self.database.after.append(act)
        else:
            act(self)


@cache
def whole() -> Parts:
    """Return the parts as they are outside any request. Nothing is connected yet.

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


_joined: ContextVar[Parts | None] = ContextVar("joined", default=None)


def parts() -> Parts:
    """Return the parts for the request at hand; raises as `whole`."""
    return _joined.get() or whole()


@contextmanager
def joined(connection: sa.Connection) -> Iterator[Joined]:
    """Let `parts` give, within the block, parts whose transactions all belong to this connection's."""
    database = Joined(connection)
    token = _joined.set(replace(whole(), database=database))
    try:
        yield database
    finally:
        _joined.reset(token)


@cache
def keys() -> ApiKeys:
    """Return the first key: not one of `parts`, so that a caller is known even where another setting is missing.

    Their client gives up early: whoever asks for health must be told of a secret that does not answer before the
    request's own time is up.

    Raises
    ------
    SettingError
        The variable is missing.
    """
    return ApiKeys(required("BMX_API_KEYS_SECRET_ARN"), quick_client("secretsmanager"))
