"""The ``tracking_dispatcher`` function, run on the tracking flow's schedule."""

from __future__ import annotations

import logging
from typing import Any

from handlers.common import services
from handlers.common.entry import entry
from handlers.common.settings import queue_variable, required
from handlers.tracking_dispatcher.dispatch import dispatch

log = logging.getLogger(__name__)


@entry()
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Send one message a book; answers how many."""
    sent = dispatch(services.database(), services.queues(), required(queue_variable("tracking")))
    log.info("dispatched", extra={"books": sent})
    return {"books": sent}
