"""What callers do with image jobs: page through them, send them, try them again, end them with their picture."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from handlers.api.parts import Parts
from handlers.api.problems import ProblemError, invalid, not_found
from handlers.common import dispatch, jobs, services
from handlers.common.tables import ACTIVE_STATES
from handlers.common.tables import image_processing_jobs as table

RETRIED_STATES = ("failed", "queue_failed", "permanently_failed")
# Rows of the old system may lack a time; they come last.
_MADE = sa.func.coalesce(table.c.created_at, datetime(1970, 1, 1, tzinfo=UTC))


def send(parts: Parts, job: jobs.Job | None, *, now: datetime) -> jobs.Job | None:
    """Send a committed job's message unless it was sent; return the job."""
    if job is not None and job.status == "pending" and job.sent_at is None:
        parts.after_commit(
            lambda whole: dispatch.send(services.database(), whole.queues, whole.image_queue, job, now=now)
        )
    return job


def page(
    connection: sa.Connection, *, status: jobs.Status | None, after: UUID | None, limit: int
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
    """Let an ended job begin anew, with all its attempts; a job that is under way already stays as it is.

    Raises
    ------
    ProblemError
        404 there is no such job; 409 it is completed, its photograph is deleted, or another job is at work on it.
    """
    statement = (
        sa.update(table)
        .where(table.c.id == job_id, table.c.status.in_(RETRIED_STATES), table.c.source_image_id.is_not(None))
        .values(
            status="pending",
            attempt_count=0,
            queue_retry_count=0,
            failure_reason=None,
            sent_at=None,
            completed_at=None,
            updated_at=now,
        )
    )
    try:
        with parts.database.begin() as connection:
            connection.execute(statement)
            job = jobs.find(connection, job_id)
    except IntegrityError:
        # The unique index: at most one active job a picture.
        raise ProblemError(HTTPStatus.CONFLICT, "Another job is at work on this job's photograph.") from None
    if job is None:
        raise not_found(f"There is no image job {job_id}.")
    if job.status == "completed":
        raise ProblemError(HTTPStatus.CONFLICT, "The job is completed; there is nothing to try again.")
    if job.status in RETRIED_STATES:
        raise ProblemError(HTTPStatus.CONFLICT, "The job's photograph was deleted; there is nothing to work on.")
    send(parts, job, now=now)
    return job


def cancel_for(connection: sa.Connection, image_id: int, *, now: datetime) -> None:
    """End the jobs of a picture that is about to be deleted.

    A worker that is at one of them loses its lease by this, so it writes nothing and its message finds an ended job.
    """
    connection.execute(
        sa.update(table)
        .where(table.c.source_image_id == image_id, table.c.status.in_(ACTIVE_STATES))
        .values(
            status="failed",
            failure_reason="the photograph was deleted",
            lease_id=None,
            lease_expires_at=None,
            completed_at=now,
            updated_at=now,
        )
    )
