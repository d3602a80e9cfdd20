"""What callers do with image jobs: page through them, send them, try them again, end them with their picture."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from http import HTTPStatus
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from handlers.api.parts import Parts
from handlers.api.problems import ProblemError, invalid, not_found
from handlers.common import dispatch, jobs, services
from handlers.common.job_states import LEASE_ENDED, RETRY, UNFINISHED, Status
from handlers.common.queues import QueueError
from handlers.common.tables import image_processing_jobs as table

log = logging.getLogger(__name__)

RETRIED_STATES = RETRY.before
# Rows of the old system may lack a time; they come last.
_MADE = sa.func.coalesce(table.c.created_at, datetime(1970, 1, 1, tzinfo=UTC))


def send(parts: Parts, job: jobs.Job | None, *, now: datetime) -> jobs.Job | None:
    """Send a committed job's message unless it was sent, or somebody is sending it; return the job."""
    if job is not None and job.status in UNFINISHED and job.sent_at is None:
        parts.after_commit(
            lambda whole: dispatch.send(services.database(), whole.queues, whole.image_queue, job.id, now=now)
        )
    return job


def page(
    connection: sa.Connection, *, status: Status | None, after: UUID | None, limit: int
) -> tuple[list[jobs.Job], UUID | None]:
    """Return at most `limit` jobs, newest first, and the id after which the next page begins.

    Raises
    ------
    ProblemError
        422 there is no job `after`.
    """
    query = sa.select(table).order_by(_MADE.desc(), table.c.id.desc()).limit(limit + 1)
    if status is not None:
        query = query.where(table.c.status == status)
    if after is not None:
        made = connection.execute(sa.select(_MADE).where(table.c.id == after)).scalar_one_or_none()
        if made is None:
            raise invalid("query.after", f"there is no image job {after}; begin without it")
        query = query.where(sa.tuple_(_MADE, table.c.id) < sa.tuple_(sa.literal(made), sa.literal(after)))
    found = [jobs.Job(**row._mapping) for row in connection.execute(query)]
    return found[:limit], found[limit - 1].id if len(found) > limit else None


def retry(parts: Parts, job_id: UUID, *, now: datetime) -> jobs.Job:
    """Let an ended job begin again, with all its attempts; one that is under way stays as it is.

    A job that waits for a message which is not in its queue any more (discarded or expired outside of our commands) is
    sent again: only a look at the queue can tell.

    Raises
    ------
    ProblemError
        404 there is no such job; 409 it is completed, its photograph is deleted, or another job is at work on it.
    """
    try:
        with parts.database.begin() as connection:
            job = jobs.find(connection, job_id)
            if job is not None and job.status in LEASE_ENDED.before:
                job = jobs.free(connection, job, now=now) or job  # as the sweeper does, which may be off
            job = jobs.retry(connection, job_id, now=now) or job
    except IntegrityError:
        # The unique index: at most one active job a picture.
        raise ProblemError(HTTPStatus.CONFLICT, "Another job is at work on this job's photograph.") from None
    if job is None:
        raise not_found(f"There is no image job {job_id}.")
    if job.status == "completed":
        raise ProblemError(HTTPStatus.CONFLICT, "The job is completed; there is nothing to try again.")
    if job.status in RETRIED_STATES:
        raise ProblemError(HTTPStatus.CONFLICT, "The job's photograph was deleted; there is nothing to work on.")
    if _waits_in_vain(parts, job, now):
        with parts.database.begin() as connection:
            jobs.forget_message(connection, job.id, now=now)
            job = jobs.find(connection, job.id) or job
    send(parts, job, now=now)
    return job


def _waits_in_vain(parts: Parts, job: jobs.Job, now: datetime) -> bool:
    """Tell whether a job was sent a while ago and its queue is empty: its message cannot arrive by itself."""
    if job.status != "pending" or job.sent_at is None or job.sent_at > now - jobs.SEND_GRACE:
        return False
    try:
        return parts.queues.is_empty(parts.image_queue)
    except QueueError:
        log.exception("image job %s stays as it is: its queue cannot be looked at", job.id)
        return False
