"""The ``job_sweeper`` function, run on a schedule."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from typing import Any

from handlers.common import logs
from handlers.common.clock import now
from handlers.common.database import Database
from handlers.common.queues import Queues
from handlers.common.settings import DatabaseSettings, queue_variable, required
from handlers.common.version import version_answer
from handlers.job_sweeper.sweep import sweep

logger = logs.configure()


@cache
def _parts() -> tuple[Database, Queues]:
    return Database(DatabaseSettings.from_environment()), Queues()


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Sweep once; answers which jobs were sent, freed, ended, and which are left for the next run."""
    if answer := version_answer(event):
        return dict(answer)
    database, queues = _parts()
    done = asdict(sweep(database, queues, required(queue_variable("image_processing")), now=now()))
    logger.info("swept", extra={name: len(ids) for name, ids in done.items()})
    return done
