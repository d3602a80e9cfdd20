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
from handlers.common.uploads import sweep_uploads
from handlers.job_sweeper.sweep import Rules, sweep

log = logging.getLogger(__name__)

SPARE_MILLISECONDS = 20_000
"""Kept back for what is under way: a batch of messages with their records, or an upload of 30 MB to be read."""


class UnfinishedSweepError(RuntimeError):
    """Something could not be done. The invocation fails, so that the function's alarm tells somebody."""


def rules() -> Rules:
    """Read what the program declares of the flow."""
    return Rules(
        max_attempts=int(required("BMX_MAX_RECEIVES")),
        retention=timedelta(seconds=int(required("BMX_MESSAGE_RETENTION"))),
    )


@entry()
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Sweep once; answers which jobs were sent, freed and ended, and which uploads were completed and removed.

    Raises
    ------
    UnfinishedSweepError
        After everything else was done: something is left for the next run.
    """
    moment = now()

    def has_time() -> bool:
        return context.get_remaining_time_in_millis() > SPARE_MILLISECONDS

    database, queue = services.database(), required(queue_variable("image_processing"))
    jobs = sweep(database, services.queues(), queue, rules(), now=moment, has_time=has_time)
    uploads = sweep_uploads(database, services.pictures(), now=moment, has_time=has_time)
    answers = sweep_requests(database, now=moment)
    done = asdict(jobs) | {f"uploads_{name}": ids for name, ids in asdict(uploads).items()}
    log.info("swept", extra={name: _size(found) for name, found in done.items()} | {"answers": answers})
    if left := len(jobs.errors) + len(uploads.errors):
        raise UnfinishedSweepError(f"{left} image jobs or uploads are left for the next sweep; the log names them")
    return done


def _size(found: Any) -> Any:
    return found if isinstance(found, bool) else len(found)
