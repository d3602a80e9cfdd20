"""The ``job_sweeper`` function, run on a schedule."""

from __future__ import annotations

import logging
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.common import services
from handlers.common.clock import now
from handlers.common.entry import entry
from handlers.common.idempotency import sweep_requests
from handlers.common.settings import queue_variable, required
from handlers.job_sweeper.sweep import Rules, sweep

log = logging.getLogger(__name__)

SPARE_MILLISECONDS = 15_000
"""Kept back for the batch under way: ten calls to SQS at most, and their records."""


class UnfinishedSweepError(RuntimeError):
    """Some jobs could not be sent or freed. The invocation fails, so that the function's alarm tells somebody."""


def rules() -> Rules:
    """Read what the program declares of the flow."""
    return Rules(
        max_attempts=int(required("BMX_MAX_RECEIVES")),
        retention=timedelta(seconds=int(required("BMX_MESSAGE_RETENTION"))),
    )


@entry()
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Sweep once, and remove answers to requests that are older than a day; answers what became of which job.

    Raises
    ------
    UnfinishedSweepError
        After everything else was done: some jobs are left for the next run.
    """
    done = sweep(
        services.database(),
        services.queues(),
        required(queue_variable("image_processing")),
        rules(),
        now=now(),
        has_time=lambda: context.get_remaining_time_in_millis() > SPARE_MILLISECONDS,
    )
    answers = sweep_requests(services.database(), now=now())
    counts = {name: len(ids) for name, ids in asdict(done).items() if name != "out_of_time"}
    log.info("swept", extra=counts | {"out_of_time": done.out_of_time, "answers_removed": answers})
    if done.errors:
        raise UnfinishedSweepError(f"{len(done.errors)} image jobs are left for the next sweep; the log names them")
    return asdict(done)
