"""The step between the committed job and its message; the sender and the sweeper share it."""

from __future__ import annotations

import logging
from datetime import datetime

from handlers.common import jobs
from handlers.common.database import Database
from handlers.common.queues import QueueError, Queues

log = logging.getLogger(__name__)


def send(database: Database, queues: Queues, queue_name: str, job: jobs.Job, *, now: datetime) -> bool:
    """Send a committed job's message and record that it was sent.

    Parameters
    ----------
    database, queues, queue_name
        Where the job's row is, and where its message goes.
    job
        Its row must be committed: a message that is faster than its row finds no job and is dropped.
    now
        The time to record.

    Returns
    -------
    bool
        Whether the message is in the queue. If not, the failure is counted in the row and the sweeper tries again;
        the caller's own work (a photograph taken in) stands.
    """
    try:
        queues.send(queue_name, job.message)
    except QueueError:
        log.exception("image job %s waits for the sweeper", job.id)
        with database.begin() as connection:
            # The reason is shown to callers, who need not know the queue's name and AWS's words; the log has them.
            jobs.mark_send_failed(connection, job.id, "the job could not be queued; it is tried again", now=now)
        return False
    # Dying here sends the message twice, which the lease makes harmless; recording first could lose it.
    with database.begin() as connection:
        jobs.mark_sent(connection, job.id, now=now)
    return True
