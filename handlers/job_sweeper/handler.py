"""The ``job_sweeper`` function, run on a schedule."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.common import logs
from handlers.common.clock import now
from handlers.common.database import Database
from handlers.common.queues import Queues
from handlers.common.settings import DatabaseSettings, queue_variable, required
from handlers.common.version import version_answer
from handlers.job_sweeper.sweep import Rules, sweep

logger = logs.configure()

SPARE_MILLISECONDS = 15_000
"""Kept back for the batch under way: ten calls to SQS at most, and their records."""


class UnfinishedSweepError(RuntimeError):
    """Some jobs could not be sent or freed. The invocation fails, so that the function's alarm tells somebody."""


@cache
def _parts() -> tuple[Database, Queues]:
    return Database(DatabaseSettings.from_environment()), Queues()


def rules() -> Rules:
    """Read what the program declares of the flow."""
    return Rules(
        max_attempts=int(required("BMX_MAX_RECEIVES")),
        retention=timedelta(seconds=int(required("BMX_MESSAGE_RETENTION"))),
    )


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Sweep once; answers which jobs were sent, freed and ended.

    Raises
    ------
    UnfinishedSweepError
        After everything else was done: some jobs are left for the next run.
    """
    if answer := version_answer(event):
        return dict(answer)
    database, queues = _parts()
    done = sweep(
        database,
        queues,
        required(queue_variable("image_processing")),
        rules(),
        now=now(),
        has_time=lambda: context.get_remaining_time_in_millis() > SPARE_MILLISECONDS,
    )
    counts = {name: len(ids) for name, ids in asdict(done).items() if name != "out_of_time"}
    logger.info("swept", extra=counts | {"out_of_time": done.out_of_time})
    if done.errors:
        raise UnfinishedSweepError(f"{len(done.errors)} image jobs are left for the next sweep; the log names them")
    return asdict(done)
