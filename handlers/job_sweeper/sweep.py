"""Picks up image jobs that nobody is at work on: never sent, or abandoned by a worker that died."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError

from handlers.common import dispatch, jobs
from handlers.common.database import Database, DatabaseUnavailableError
from handlers.common.queues import Queues

log = logging.getLogger(__name__)

# A sender commits and sends within a second; two minutes later it is dead.
SEND_GRACE = timedelta(minutes=2)
# What one run may take on; the schedule brings the next one.
BATCH = 100


@dataclass
class Sweep:
    """What one run did, by job id."""

    sent: list[str] = field(default_factory=list)
    freed: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)


def sweep(database: Database, queues: Queues, queue_name: str, *, now: datetime, limit: int = BATCH) -> Sweep:
    """Free expired leases, then send every job that waits for its message.

    One job's error is counted and does not stop the others. Two sweeps at once do no harm: freeing is one conditional
    UPDATE, and a message sent twice meets the lease.

    Parameters
    ----------
    database, queues, queue_name
        Where the jobs are, and where their messages go.
    now
        The time that leases and graces are measured against.
    limit
        Most jobs of each kind to take on.
    """
    done = Sweep()
    with database.begin() as connection:
        expired = jobs.expired(connection, now=now, limit=limit)
        unsent = jobs.never_sent(connection, before=now - SEND_GRACE, limit=limit)
    freed = _free(database, expired, now, done)
    for job in [*freed, *unsent]:
        try:
            if dispatch.send(database, queues, queue_name, job, now=now):
                done.sent.append(str(job.id))
            else:
                done.errors[str(job.id)] = "not sent"
        except (SQLAlchemyError, DatabaseUnavailableError) as error:
            _note(done, job, error)
    return done


def _free(database: Database, expired: Iterable[jobs.Job], now: datetime, done: Sweep) -> list[jobs.Job]:
    freed = []
    for job in expired:
        try:
            with database.begin() as connection:
                row = jobs.free(connection, job, now=now)
        except (SQLAlchemyError, DatabaseUnavailableError) as error:
            _note(done, job, error)
            continue
        if row is None:
            continue  # a worker took it over in the meantime
        if row.status == "pending":
            done.freed.append(str(job.id))
            freed.append(row)
        else:
            done.ended.append(str(job.id))
    return freed


def _note(done: Sweep, job: jobs.Job, error: Exception) -> None:
    log.error("image job %s is left for the next sweep", job.id, exc_info=error)
    done.errors[str(job.id)] = type(error).__name__
