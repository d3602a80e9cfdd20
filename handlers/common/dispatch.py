"""The step between committed jobs and their messages; producers and the sweeper share it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from handlers.common import jobs
from handlers.common.database import Database
from handlers.common.queues import LARGEST_BATCH, NumberedMessage, Queues

log = logging.getLogger(__name__)


def send(database: Database, queues: Queues, queue_name: str, job_id: UUID, *, now: datetime) -> bool:
    """Send a committed job's message and record that it was sent.

    Parameters
    ----------
    database, queues, queue_name
        Where the job's row is, and where its message goes.
    job_id
        Its row must be committed: a message that is faster than its row finds no job and is dropped.
    now
        The time to record.

    Returns
    -------
    bool
        Whether the message is in the queue. If not, somebody else is sending it, or the failure is counted in the row
        and the sweeper tries again; the caller's own work (a photograph taken in) stands.
    """
    with database.begin() as connection:
        begun = jobs.begin_sending(connection, [job_id], now=now)
    return bool(send_begun(database, queues, queue_name, begun, now=now))


def send_begun(
    database: Database, queues: Queues, queue_name: str, begun: Sequence[jobs.Job], *, now: datetime
) -> list[jobs.Job]:
    """Send the messages of jobs from `jobs.begin_sending` and record what became of each.

    Dying before the record is written leaves a message whose number counts, so that it is worked on, and a job that is
    sent again with another number once `jobs.SEND_GRACE` is over, after which the first one is stale.

    Returns
    -------
    list of Job
        Those whose messages are in the queue.
    """
    sent: list[jobs.Job] = []
    for first in range(0, len(begun), LARGEST_BATCH):
        batch = begun[first : first + LARGEST_BATCH]
        refused = queues.send_numbered(queue_name, [NumberedMessage(job.message, job.message_number) for job in batch])
        with database.begin() as connection:
            for number, job in enumerate(batch):
                if number in refused:
                    # Callers read the reason in the row, and need not know AWS's words; the log has them.
                    log.error("image job %s waits for the sweeper: %s", job.id, refused[number])
                    jobs.mark_send_failed(connection, job, now=now)
                else:
                    jobs.mark_sent(connection, job, now=now)
                    sent.append(job)
    return sent
