"""Picks up image jobs that nobody is at work on: never sent, abandoned by a worker that died, or without a message."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError

from handlers.common import dispatch, jobs
from handlers.common.database import Database, DatabaseUnavailableError
from handlers.common.queues import Queues
from handlers.common.tables import IMAGE_JOBS_SWEEP, sweeps

log = logging.getLogger(__name__)

BATCH = 100
"""Jobs of one transaction. A run goes on with the next batch as long as it has time."""


@dataclass(frozen=True)
class Rules:
    """What the sweeper must know of the flow: how often a message is delivered, and how long its queue keeps one."""

    max_attempts: int
    retention: timedelta


@dataclass
class Sweep:
    """What one run did, by job id; `errors` holds those that are left for the next one, with the kind of error."""

    sent: list[str] = field(default_factory=list)
    freed: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)
    out_of_time: bool = False


def sweep(
    database: Database,
    queues: Queues,
    queue_name: str,
    rules: Rules,
    *,
    now: datetime,
    has_time: Callable[[], bool] = lambda: True,
    batch: int = BATCH,
) -> Sweep:
    """Sweep once.

    Jobs without a photograph are ended, expired leases taken off, and every job is sent whose message cannot arrive by
    itself.

    One job's error is counted and does not stop the others. Two sweeps at once do no harm: each step is one
    conditional UPDATE, and only one of them gets to send a job.

    Parameters
    ----------
    database, queues, queue_name
        Where the jobs are, and where their messages go.
    rules
        Of the flow.
    now
        The time that leases and pauses are measured against.
    has_time
        Asked before each batch.
    batch
        Jobs of one transaction.
    """
    run = _Run(database, queues, queue_name, rules, now, has_time, batch)
    run.end()
    run.free()
    run.send()
    with database.begin() as connection:
        statement = insert(sweeps).values(name=IMAGE_JOBS_SWEEP, finished_at=now, left_undone=len(run.done.errors))
        kept = {name: statement.excluded[name] for name in ("finished_at", "left_undone")}
        connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=kept))
    return run.done


@dataclass
class _Run:
    database: Database
    queues: Queues
    queue_name: str
    rules: Rules
    now: datetime
    has_time: Callable[[], bool]
    batch: int
    done: Sweep = field(default_factory=Sweep)

    def end(self) -> None:
        """End jobs whose photograph is gone: nobody can lead them out of their state."""
        with self.database.begin() as connection:
            ended = jobs.cancel_without_source(connection, now=self.now)
        self.done.ended += [str(job.id) for job in ended]

    def free(self) -> None:
        """Take expired leases off, batch by batch."""
        while self._has_time():
            with self.database.begin() as connection:
                # Those that failed in this run are found again, so that the batch must hold more than them.
                found = jobs.expired(connection, now=self.now, limit=self.batch + len(self.done.errors))
            expired = [job for job in found if str(job.id) not in self.done.errors]
            if not expired:
                return
            for job in expired:
                self._free(job)

    def _free(self, job: jobs.Job) -> None:
        try:
            with self.database.begin() as connection:
                row = jobs.free(connection, job, now=self.now, max_attempts=self.rules.max_attempts)
        except (SQLAlchemyError, DatabaseUnavailableError) as error:
            log.error("image job %s is left for the next sweep", job.id, exc_info=error)
            self.done.errors[str(job.id)] = type(error).__name__
            return
        if row is not None:  # else a worker took it over in the meantime
            (self.done.freed if row.status == "pending" else self.done.ended).append(str(job.id))

    def send(self) -> None:
        """Send what is to be sent, batch by batch; what SQS refuses is put off, so that no batch finds it again."""
        while self._has_time():
            with self.database.begin() as connection:
                begun = jobs.begin_sending(
                    connection,
                    now=self.now,
                    retention=self.rules.retention,
                    limit=self.batch,
                    before=self.now - jobs.SEND_GRACE,
                )
            if not begun:
                return
            sent = dispatch.send_begun(self.database, self.queues, self.queue_name, begun, now=self.now)
            ids = {str(job.id) for job in sent}
            self.done.sent += sorted(ids)
            self.done.errors |= {str(job.id): "not sent" for job in begun if str(job.id) not in ids}

    def _has_time(self) -> bool:
        has = self.has_time()
        self.done.out_of_time |= not has
        return has
