"""The ``job_sweeper`` function, run on a schedule."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.common import services
from handlers.common.clock import now
from handlers.common.entry import entry
from handlers.common.idempotency import sweep_requests
from handlers.common.settings import queue_variable, required
from handlers.common.uploads import sweep_uploads
from handlers.job_sweeper.sweep import sweep

log = logging.getLogger(__name__)

SPARE_MILLISECONDS = 20_000
"""Kept back for the upload under way: 30 MB to be read, and its rows."""


@entry()
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Sweep once; answers which jobs were sent, freed, ended, which uploads completed, removed, and what is left."""
    moment = now()
    jobs = sweep(services.database(), services.queues(), required(queue_variable("image_processing")), now=moment)
    uploads = sweep_uploads(
        services.database(),
        services.pictures(),
        now=moment,
        has_time=lambda: context.get_remaining_time_in_millis() > SPARE_MILLISECONDS,
    )
    answers = sweep_requests(services.database(), now=moment)
    done = asdict(jobs) | {f"uploads_{name}": ids for name, ids in asdict(uploads).items()}
    log.info("swept", extra={name: len(ids) for name, ids in done.items()} | {"answers": answers})
    return done
