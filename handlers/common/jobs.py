"""Image jobs: their states, the lease on a job in work, and the order of a book's pictures.

A worker's path through this module::

    with database.begin() as c:
        claim = jobs.claim(c, job_id, now=now(), lease=timedelta(seconds=…))
    if claim.outcome == "busy":      give the message back (another worker's lease is alive)
    if claim.outcome in ("finished", "superseded", "unknown"):   acknowledge the message
    job = claim.job                  # job.lease_id is the proof of possession for all that follows
    …work…
    with database.begin() as c:
        jobs.complete(c, job, processed=ProcessedImage(…), model_used=…, result={…}, now=now())

and when it goes wrong: `release` (transient: the message comes again), `fail` (can never work), `permanently_fail`
(the last receive). Each is one conditional UPDATE that only the lease's holder passes; `LeaseLostError` says that
somebody else has the job now.
Time is always an argument. `processing` does not mean done, nor that anybody is at work: only a live lease means that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from handlers.common.order import BookMissingError, image_order, lock_book, reordered, write_order
from handlers.common.tables import ACTIVE_STATES, active_job_index, book_images
from handlers.common.tables import image_processing_jobs as table

Status = Literal["pending", "processing", "completed", "failed", "queue_failed", "permanently_failed"]

# How often a job may be begun (AWS: at least five receives) and its message be sent, before a person must look.
MAX_ATTEMPTS = 5
MAX_SENDS = 10
MAX_REASON_LENGTH = 2000
# A job that the old system's worker took has no lease; that worker's time was up after five minutes.
LEASELESS_AFTER = timedelta(hours=1)
# States in which a message that arrives is work to be done. `permanently_failed` is one of them, because its message
# lies in the dead-letter queue and arrives only when an operator sends it back.
CLAIMABLE_STATES = ("pending", "queue_failed", "permanently_failed")


class LeaseLostError(RuntimeError):
    """The job is no longer this worker's: its lease ended and another took it, or its book is gone."""


@dataclass(frozen=True)
class Job:
    """One row of ``image_processing_jobs``."""

    id: UUID
    book_id: int
    source_image_id: int | None
    processed_image_id: int | None
    status: Status
    attempt_count: int
    queue_retry_count: int
    model_used: str | None
    failure_reason: str | None
    created_at: datetime | None
    updated_at: datetime | None
    completed_at: datetime | None
    lease_id: UUID | None
    lease_expires_at: datetime | None
    sent_at: datetime | None
    result: dict[str, Any] | None

    @property
    def message(self) -> dict[str, Any]:
        """The message's body by contract: ``job_id, book_id, image_id``."""
        return {"job_id": str(self.id), "book_id": self.book_id, "image_id": self.source_image_id}


@dataclass(frozen=True)
class Claim:
    """What became of a claim; `job` is the row as it is now, and ``None`` only when `outcome` is ``unknown``.

    ``claimed``: the job is the caller's until ``job.lease_expires_at``. ``busy``: another lease is alive.
    ``finished``: completed or failed. ``superseded``: its message was sent back, but a newer job does this picture.
    ``unknown``: no such job (its book was deleted).
    """

    outcome: Literal["claimed", "busy", "finished", "superseded", "unknown"]
    job: Job | None


@dataclass(frozen=True)
class ProcessedImage:
    """The picture that a job made, already uploaded.

    `source_image_id` is the picture it was made from, which need not be the one asked for (source priority);
    it goes last in the book's order.
    """

    s3_key: str
    source_image_id: int
    content_hash: str
    cloudfront_url: str | None = None
    original_filename: str | None = None
    image_type: str | None = None


def _job(row: sa.Row[Any]) -> Job:
    return Job(**row._mapping)


def find(connection: sa.Connection, job_id: UUID) -> Job | None:
    """Return a job, or ``None``."""
    row = connection.execute(sa.select(table).where(table.c.id == job_id)).one_or_none()
    return None if row is None else _job(row)


def latest_for(connection: sa.Connection, source_image_id: int) -> Job | None:
    """Return the newest job of a picture, or ``None``."""
    query = sa.select(table).where(table.c.source_image_id == source_image_id)
    row = connection.execute(query.order_by(table.c.created_at.desc().nulls_last()).limit(1)).one_or_none()
    return None if row is None else _job(row)


def create(connection: sa.Connection, book_id: int, source_image_id: int, *, now: datetime) -> Job:
    """Return the active job of a picture; a new one, ``pending``, where there is none.

    The caller commits before it sends the message (`handlers.common.dispatch.send`), never the other way round. Where
    the unique index refuses a second active job, the first one is the answer.
    """
    statement = (
        insert(table)
        .values(
            id=uuid4(),
            book_id=book_id,
            source_image_id=source_image_id,
            status="pending",
            created_at=now,
            updated_at=now,
        )
        .on_conflict_do_nothing(
            index_elements=["book_id", "source_image_id"],
            index_where=active_job_index.dialect_options["postgresql"]["where"],
        )
        .returning(table)
    )
    active = sa.select(table).where(
        table.c.book_id == book_id, table.c.source_image_id == source_image_id, table.c.status.in_(ACTIVE_STATES)
    )
    while True:
        row = connection.execute(statement).one_or_none() or connection.execute(active).one_or_none()
        # Neither: the other job ended between the two statements, so the next insert goes through.
        if row is not None:
            return _job(row)


def mark_sent(connection: sa.Connection, job_id: UUID, *, now: datetime) -> None:
    """Record that the job's message is in the queue."""
    connection.execute(sa.update(table).where(table.c.id == job_id).values(sent_at=now, updated_at=now))


def mark_send_failed(connection: sa.Connection, job_id: UUID, reason: str, *, now: datetime) -> Job | None:
    """Count a send that failed; after `MAX_SENDS` of them the job becomes ``queue_failed``.

    Returns the row, or ``None`` if the job was no longer waiting to be sent.
    """
    count = table.c.queue_retry_count + 1
    statement = (
        sa.update(table)
        .where(table.c.id == job_id, table.c.status == "pending", table.c.sent_at.is_(None))
        .values(
            queue_retry_count=count,
            status=sa.case((count >= MAX_SENDS, "queue_failed"), else_="pending"),
            failure_reason=reason[:MAX_REASON_LENGTH],
            updated_at=now,
        )
        .returning(table)
    )
    row = connection.execute(statement).one_or_none()
    return None if row is None else _job(row)


def claim(connection: sa.Connection, job_id: UUID, *, now: datetime, lease: timedelta) -> Claim:
    """Take a job into work, if nobody else has it.

    Parameters
    ----------
    connection
        In a transaction that the caller commits at once: others wait on the row until then.
    lease
        How long the job is the caller's. It must end before the message becomes visible again.
    """
    free = table.c.status.in_(CLAIMABLE_STATES) | (
        # Rows of the old system lie in `processing` without a lease; nobody is at work on them.
        (table.c.status == "processing") & (table.c.lease_expires_at.is_(None) | (table.c.lease_expires_at <= now))
    )
    statement = (
        sa.update(table)
        .where(table.c.id == job_id, free)
        .values(
            status="processing",
            lease_id=uuid4(),
            lease_expires_at=now + lease,
            # Who sends a dead letter back has mended the cause; with the old count `free` would end the job at once.
            attempt_count=sa.case((table.c.status == "permanently_failed", 1), else_=table.c.attempt_count + 1),
            # A message that came was sent, even if the sender died before it could write that down.
            sent_at=sa.func.coalesce(table.c.sent_at, now),
            completed_at=None,
            failure_reason=None,
            updated_at=now,
        )
        .returning(table)
    )
    try:
        with connection.begin_nested():
            row = connection.execute(statement).one_or_none()
    except IntegrityError:
        # An ended job whose message was sent back, while a newer job does the same picture.
        return Claim("superseded", find(connection, job_id))
    if row is not None:
        return Claim("claimed", _job(row))
    job = find(connection, job_id)
    if job is None:
        return Claim("unknown", None)
    return Claim("finished" if job.status in {"completed", "failed"} else "busy", job)


def release(connection: sa.Connection, job: Job, *, now: datetime, reason: str) -> Job:
    """Give a job back after a transient error; its message comes again. Raises `LeaseLostError`."""
    return _leave(connection, job, now, status="pending", failure_reason=reason[:MAX_REASON_LENGTH])


def fail(connection: sa.Connection, job: Job, *, now: datetime, reason: str) -> Job:
    """End a job that can never work, with the reason that people read. Raises `LeaseLostError`."""
    return _leave(connection, job, now, status="failed", failure_reason=reason[:MAX_REASON_LENGTH], completed_at=now)


def permanently_fail(connection: sa.Connection, job: Job, *, now: datetime, reason: str) -> Job:
    """End a job whose message goes to the dead-letter queue. Raises `LeaseLostError`."""
    return _leave(
        connection, job, now, status="permanently_failed", failure_reason=reason[:MAX_REASON_LENGTH], completed_at=now
    )


def complete(
    connection: sa.Connection,
    job: Job,
    *,
    processed: ProcessedImage,
    model_used: str,
    result: Mapping[str, Any],
    now: datetime,
) -> Job:
    """Record a processed picture, make it the book's primary, and end the job: all of it, or nothing.

    The book's row is locked from the first statement to the caller's commit, so two jobs of one book cannot
    interleave their orders. A picture that is there already (same key) is used again.

    Raises
    ------
    LeaseLostError
        The job is another's by now, or the book is gone. Nothing was changed.
    """
    # A savepoint, so that a caller who handles the error inside its own transaction commits nothing of this.
    with connection.begin_nested():
        try:
            lock_book(connection, job.book_id)
        except BookMissingError as error:
            raise LeaseLostError(f"image job {job.id}: {error}") from error
        image_id = _processed_row(connection, job.book_id, processed)
        ended = _leave(
            connection,
            job,
            now,
            status="completed",
            processed_image_id=image_id,
            model_used=model_used,
            result=dict(result),
            failure_reason=None,
            completed_at=now,
        )
        order = reordered(image_order(connection, job.book_id), image_id, processed.source_image_id)
        write_order(connection, job.book_id, order)
    return ended


def _leave(connection: sa.Connection, job: Job, now: datetime, **values: Any) -> Job:
    statement = (
        sa.update(table)
        .where(table.c.id == job.id, table.c.status == "processing", table.c.lease_id == job.lease_id)
        .values(lease_id=None, lease_expires_at=None, updated_at=now, **values)
        .returning(table)
    )
    row = connection.execute(statement).one_or_none()
    if row is None:
        raise LeaseLostError(f"image job {job.id}: the lease {job.lease_id} is no longer the job's")
    return _job(row)


def _processed_row(connection: sa.Connection, book_id: int, processed: ProcessedImage) -> int:
    """Find or insert the processed picture's row. Only under the book's lock, or two of them appear."""
    # Imported late: `storage` is about S3, and only the two spellings of a key are wanted here.
    from handlers.common.storage import object_key, stored_key  # noqa: PLC0415

    values = {
        "content_hash": processed.content_hash,
        "cloudfront_url": processed.cloudfront_url,
        "is_background_processed": True,
    }
    spellings = (stored_key(processed.s3_key), object_key(processed.s3_key))
    there = connection.execute(
        sa.select(book_images.c.id).where(book_images.c.book_id == book_id, book_images.c.s3_key.in_(spellings))
    ).scalar()
    if there is not None:
        connection.execute(sa.update(book_images).where(book_images.c.id == there).values(**values))
        return int(there)
    values |= {"original_filename": processed.original_filename, "image_type": processed.image_type}
    inserted = connection.execute(
        sa.insert(book_images)
        .values(book_id=book_id, s3_key=spellings[0], is_primary=False, **values)
        .returning(book_images.c.id)
    )
    return int(inserted.scalar_one())


def never_sent(connection: sa.Connection, *, before: datetime, limit: int) -> list[Job]:
    """Return jobs made before a moment whose message was never recorded as sent, oldest first."""
    query = sa.select(table).where(table.c.status == "pending", table.c.sent_at.is_(None), table.c.updated_at <= before)
    return [_job(row) for row in connection.execute(query.order_by(table.c.created_at).limit(limit))]


def _abandoned(now: datetime) -> sa.ColumnElement[bool]:
    leaseless = table.c.lease_expires_at.is_(None) & (table.c.updated_at <= now - LEASELESS_AFTER)
    return (table.c.status == "processing") & ((table.c.lease_expires_at <= now) | leaseless)


def expired(connection: sa.Connection, *, now: datetime, limit: int) -> list[Job]:
    """Return jobs in ``processing`` whose lease has ended, oldest lease first."""
    query = sa.select(table).where(_abandoned(now))
    return [_job(row) for row in connection.execute(query.order_by(table.c.lease_expires_at).limit(limit))]


def free(connection: sa.Connection, job: Job, *, now: datetime) -> Job | None:
    """Take an expired lease off a job: ``pending`` again and to be sent, or ended after `MAX_ATTEMPTS`.

    Returns the row, or ``None`` if a worker took the job over in the meantime.
    """
    worn_out = job.attempt_count >= MAX_ATTEMPTS
    reason = f"the worker ended {job.attempt_count} times without an answer (time or memory); its log says why"
    statement = (
        sa.update(table)
        .where(table.c.id == job.id, table.c.lease_id.is_not_distinct_from(job.lease_id), _abandoned(now))
        .values(
            status="permanently_failed" if worn_out else "pending",
            failure_reason=reason if worn_out else table.c.failure_reason,
            completed_at=now if worn_out else None,
            sent_at=None,
            lease_id=None,
            lease_expires_at=None,
            updated_at=now,
        )
        .returning(table)
    )
    row = connection.execute(statement).one_or_none()
    return None if row is None else _job(row)
