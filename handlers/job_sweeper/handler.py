"""The ``job_sweeper`` function, run on a schedule."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any

from handlers.common import services
from handlers.common.clock import now
from handlers.common.entry import entry
from handlers.common.settings import queue_variable, required
from handlers.job_sweeper.sweep import sweep

log = logging.getLogger(__name__)


@entry()
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Sweep once; answers which jobs were sent, freed, ended, and which are left for the next run."""
    done = asdict(
        sweep(services.database(), services.queues(), required(queue_variable("image_processing")), now=now())
    )
    log.info("swept", extra={name: len(ids) for name, ids in done.items()})
    return done
