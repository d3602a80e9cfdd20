"""The ``tracking_dispatcher`` function, run on the tracking flow's schedule."""

from __future__ import annotations

from functools import cache
from typing import Any

from handlers.common import logs
from handlers.common.database import Database
from handlers.common.queues import Queues
from handlers.common.settings import DatabaseSettings, queue_variable, required
from handlers.common.version import version_answer
from handlers.tracking_dispatcher.dispatch import dispatch

logger = logs.configure()


@cache
def _parts() -> tuple[Database, Queues]:
    return Database(DatabaseSettings.from_environment()), Queues()


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Send one message a book; answers how many."""
    if answer := version_answer(event):
        return dict(answer)
    database, queues = _parts()
    sent = dispatch(database, queues, required(queue_variable("tracking")))
    logger.info("dispatched", extra={"books": sent})
    return {"books": sent}
