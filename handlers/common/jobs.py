"""Image jobs: accepted, sent, claimed under a lease, and ended; and what they do to the order of a book's pictures.

Three rules hold for everything here.

- **One message.** A job has one message that counts: the one whose number stands in its row. `begin_sending` alone
  gives numbers, and only to a job whose earlier message cannot arrive by itself any more. Whatever arrives with another
  number is acknowledged without work, unless an operator sent it back: then it is the one that counts. An ended job is
  taken up by nothing else.
- **The user's will.** The source is chosen at acceptance and stands in the row. Deleting it ends the job. The last
  choice of primary or order beats every job that was accepted before it.
- **Listed ways only.** Each function below carries out one `Transition` of `job_states` in one conditional UPDATE.

A worker's path::

    with database.begin() as c:
        claim = jobs.claim(c, job_id, message, now=now(), lease=timedelta(seconds=…), max_attempts=5)
    if claim.outcome in ("busy", "spent"):     give the message back
    elif claim.outcome != "claimed":           acknowledge it
    job = claim.job                            # job.lease_id is the proof of possession for all that follows
    …work…
    with database.begin() as c:
        jobs.complete(c, job, processed=ProcessedImage(…), model_used=…, result={…}, now=now())

and when it goes wrong: `release` (transient: the message comes again), `fail` (can never work), `permanently_fail` (the
last attempt). `LeaseLostError` says that somebody else has the job now. Time is always an argument.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from handlers.common import job_states as states
from handlers.common.job_states import Status, Transition
from handlers.common.order import (
    BookMissingError,
    image_order,
    kept,
    last_choice,
    lock_book,
    reordered,
    write_order,
)
from handlers.common.sources import choose_source
from handlers.common.storage import object_key, stored_key
from handlers.common.tables import active_job_index, book_images, job_numbers
from handlers.common.tables import image_processing_jobs as table

# How often a job may be begun unless the program says otherwise (AWS: at least five receives).
MAX_ATTEMPTS = 5
# After so many refused sendings the job is shown as `queue_failed`; sending goes on.
MAX_SENDS = 5
MAX_REASON_LENGTH = 2000
# A sender has this long between taking a number and recording what became of it.
SEND_GRACE = timedelta(minutes=2)
LONGEST_PAUSE = timedelta(hours=1)
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
# Beyond a queue's retention: clocks differ, and SQS deletes what has expired within minutes.
RETENTION_MARGIN = timedelta(hours=1)
# A job that the old system's worker took has no lease; that worker's time was up after five minutes.
LEASELESS_AFTER = timedelta(hours=1)

DELETED = "the photograph was deleted"
SUPERSEDED = "a newer job works on this photograph"
NOT_QUEUED = "the job could not be queued; it is tried again"


class LeaseLostError(RuntimeError):
    """The job is no longer this worker's: its lease ended and another took it, or its book is gone."""


class SourceDeletedError(RuntimeError):
    """The photograph that the job works on was deleted meanwhile; nothing was written."""


@dataclass(frozen=True)
class Message:
    """What a message says of its own sending.

    Parameters
    ----------
    number
        Of the sending, from the attribute `handlers.common.queues.NUMBER`; 0 where a message has none, as those of
        the system before this one.
    redrives
        How often an operator sent it back.
    sent_at
        When SQS took it; SQS's own redrive gives a message a new time.
    """

    number: int
    redrives: int = 0
    sent_at: datetime | None = None


@dataclass(frozen=True)
class Job:
    """One row of ``image_processing_jobs``.

    `source_image_id` is the photograph that it works on, chosen when it was accepted, and ``None`` once that was
    deleted; `requested_image_id` the one that it was asked for, from which the source may differ (source priority).
    `accepted_number` orders it among the book's choices, `message_number` is that of the message that counts, and
    `send_after` the time from which it may be sent (again).
    """

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
    requested_image_id: int | None
    accepted_number: int
    message_number: int
    redrives: int
    send_after: datetime | None

    @property
    def message(self) -> dict[str, Any]:
        """The message's body by contract: ``job_id, book_id, image_id``."""
        return {"job_id": str(self.id), "book_id": self.book_id, "image_id": self.source_image_id}


@dataclass(frozen=True)
class Claim:
    """What became of a claim; `job` is the row as it is now, and ``None`` only when `outcome` is ``unknown``.

    ``claimed``: the job is the caller's until ``job.lease_expires_at``. ``busy``: another lease is alive.
    ``spent``: its attempts are used up, so the message belongs among the dead letters. ``finished``: completed or
    failed. ``stale``: another message of this job counts. ``superseded``: a newer job does this photograph.
    ``unknown``: no such job (its book was deleted).
    """

    outcome: Literal["claimed", "busy", "spent", "finished", "stale", "superseded", "unknown"]
    job: Job | None


@dataclass(frozen=True)
class ProcessedImage:
    """The picture that a job made, already uploaded."""

    s3_key: str
    content_hash: str
    cloudfront_url: str | None = None
    original_filename: str | None = None
    image_type: str | None = None


def _job(row: sa.Row[Any]) -> Job:
    return Job(**row._mapping)


def _one(connection: sa.Connection, statement: Any) -> Job | None:
    row = connection.execute(statement).one_or_none()
    return None if row is None else _job(row)


def _move(transition: Transition, *where: sa.ColumnElement[bool], now: datetime, **values: Any) -> Any:
    """Write the one UPDATE of a transition: from its states only, to its state."""
    return (
        sa.update(table)
        .where(table.c.status.in_(transition.before), *where)
        .values(status=transition.after, updated_at=now, **values)
        .returning(table)
    )


_NO_LEASE: dict[str, Any] = {"lease_id": None, "lease_expires_at": None}


def _nobody_at_work(now: datetime) -> sa.ColumnElement[bool]:
    return table.c.lease_expires_at.is_(None) | (table.c.lease_expires_at <= now)


def find(connection: sa.Connection, job_id: UUID) -> Job | None:
    """Return a job, or ``None``."""
    return _one(connection, sa.select(table).where(table.c.id == job_id))


def latest_for(connection: sa.Connection, image_id: int) -> Job | None:
    """Return the newest job that was asked for with a picture, or works on it; or ``None``."""
    mine = (table.c.requested_image_id == image_id) | (table.c.source_image_id == image_id)
    newest = (table.c.accepted_number.desc(), table.c.created_at.desc().nulls_last())
    return _one(connection, sa.select(table).where(mine).order_by(*newest).limit(1))


# Acceptance


def accept(connection: sa.Connection, book_id: int, requested_image_id: int, *, now: datetime) -> Job:
    """Return the job that a book gets for one of its photographs, ``pending`` or already under way.

    Its source is chosen here and never again. Where a job of that source is under way, it is the answer and counts as
    accepted now. Under the book's lock. The caller commits, then sends (`handlers.common.dispatch.send`).
    """
    source = choose_source(connection, book_id, requested_image_id)
    # Not `updated_at`, by which health knows how long a job has waited.
    asked = {"requested_image_id": requested_image_id, "accepted_number": job_numbers.next_value()}
    statement = insert(table).values(
        id=uuid4(), book_id=book_id, source_image_id=source, status="pending", created_at=now, updated_at=now, **asked
    )
    same_source = (table.c.book_id == book_id) & (table.c.source_image_id == source)
    waiting = sa.select(table.c.id).where(same_source, table.c.status.in_(states.ACCEPT_AGAIN.before)).limit(1)
    try:
        with connection.begin_nested():
            accepted = _one(
                connection,
                _move(
                    states.ACCEPT_AGAIN,
                    table.c.id == waiting.scalar_subquery(),
                    now=now,
                    sent_at=None,
                    send_after=None,
                    queue_retry_count=0,
                    failure_reason=None,
                    requested_image_id=requested_image_id,
                    accepted_number=job_numbers.next_value(),
                ),
            )
    except IntegrityError:
        accepted = None  # another job of this source is under way: that one is the answer
    if accepted is None:
        row = connection.execute(
            statement.on_conflict_do_update(
                index_elements=["book_id", "source_image_id"],
                index_where=active_job_index.dialect_options["postgresql"]["where"],
                set_=asked,
            ).returning(table)
        ).one()
        accepted = _job(row)
    _supersede(connection, same_source, table.c.status == "permanently_failed", now=now)
    return accepted


def retry(connection: sa.Connection, job_id: UUID, *, now: datetime) -> Job | None:
    """Let an ended job begin again with all its attempts, to be sent; its place among the book's choices stays.

    Returns the row, or ``None`` where the job has not ended badly, or its photograph is gone.

    Raises
    ------
    sqlalchemy.exc.IntegrityError
        Another job of this photograph is under way.
    """
    return _one(
        connection,
        _move(
            states.RETRY,
            table.c.id == job_id,
            table.c.source_image_id.is_not(None),
            now=now,
            attempt_count=0,
            queue_retry_count=0,
            failure_reason=None,
            sent_at=None,
            send_after=None,
            completed_at=None,
        ),
    )


# Sending


def _to_be_sent(now: datetime, retention: timedelta | None) -> sa.ColumnElement[bool]:
    """Where no message of a job can arrive by itself: never sent, or sent so long ago that SQS has deleted it."""
    since = sa.func.coalesce(table.c.send_after, now)
    due = table.c.sent_at.is_(None) & (since <= now)
    if retention is not None:
        due |= table.c.sent_at <= now - retention - RETENTION_MARGIN
    return table.c.status.in_(states.SENT.before) & due


def begin_sending(
    connection: sa.Connection,
    job_ids: Iterable[UUID] | None = None,
    *,
    now: datetime,
    retention: timedelta | None = None,
    limit: int = 1,
    before: datetime | None = None,
) -> list[Job]:
    """Give jobs that are to be sent the number of their next message. The caller commits, then sends.

    Whoever gets a row has `SEND_GRACE` to send and to call `mark_sent` or `mark_send_failed`; nobody else gets it
    meanwhile. A sender that dies leaves the row to the sweeper, and its own message, should it arrive late, is stale.

    Parameters
    ----------
    job_ids
        Only these; ``None`` for all.
    now
        The time.
    retention
        How long the queue keeps a message; jobs sent longer ago than that and `RETENTION_MARGIN` are sent again.
        ``None`` leaves sent jobs alone.
    limit
        Most jobs, oldest first.
    before
        Only jobs that were last touched before this time, or at an unknown one: their senders had their chance.
    """
    query = sa.select(table.c.id).where(_to_be_sent(now, retention))
    if job_ids is not None:
        query = query.where(table.c.id.in_(list(job_ids)))
    if before is not None:
        # Rows of the old system may lack both times.
        touched = sa.func.coalesce(table.c.updated_at, table.c.created_at, before)
        query = query.where(table.c.send_after.is_not(None) | (touched <= before))
    oldest = query.order_by(table.c.created_at.asc().nulls_first(), table.c.id).limit(limit)
    statement = (
        sa.update(table)
        .where(table.c.id.in_(oldest.with_for_update(skip_locked=True)))
        .values(message_number=job_numbers.next_value(), sent_at=None, send_after=now + SEND_GRACE, updated_at=now)
        .returning(table)
    )
    return [_job(row) for row in connection.execute(statement)]


def mark_sent(connection: sa.Connection, job: Job, *, now: datetime) -> None:
    """Record that SQS took the job's message; without effect where the job has another message by now."""
    mine = (table.c.id == job.id) & (table.c.message_number == job.message_number)
    try:
        with connection.begin_nested():
            connection.execute(
                _move(
                    states.SENT, mine, now=now, sent_at=now, send_after=None, queue_retry_count=0, failure_reason=None
                )
            )
    except IntegrityError:
        supersede(connection, job, now=now)


def supersede(connection: sa.Connection, job: Job, *, now: datetime) -> Job | None:
    """End a job that could not be queued, or was given up, before another one of its photograph came."""
    mine = (table.c.id == job.id) & (table.c.message_number == job.message_number)
    return _supersede(connection, mine, now=now)


def _supersede(connection: sa.Connection, *where: sa.ColumnElement[bool], now: datetime) -> Job | None:
    statement = _move(states.SUPERSEDE, *where, now=now, completed_at=now, failure_reason=SUPERSEDED)
    row = connection.execute(statement).first()
    return None if row is None else _job(row)


def mark_send_failed(connection: sa.Connection, job: Job, *, now: datetime) -> Job | None:
    """Count a sending that SQS refused, and put the next one off: 2 minutes, doubled each time, up to an hour.

    After `MAX_SENDS` the job is shown as ``queue_failed``; sending never ends. Returns the row, or ``None`` if the job
    has another message by now.
    """
    count = job.queue_retry_count + 1
    pause = min(SEND_GRACE * 2 ** min(count - 1, 10), LONGEST_PAUSE)
    statement = _move(
        states.NOT_SENT,
        table.c.id == job.id,
        table.c.message_number == job.message_number,
        table.c.sent_at.is_(None),
        now=now,
        queue_retry_count=count,
        send_after=now + pause,
        failure_reason=NOT_QUEUED,
    )
    if count < MAX_SENDS:
        statement = statement.values(status=table.c.status)
    return _one(connection, statement)


def forget_message(connection: sa.Connection, job_id: UUID, *, now: datetime) -> None:
    """Record that a waiting job's message cannot arrive any more, so that it may be sent again."""
    waits = table.c.status.in_(states.SENT.before) & table.c.sent_at.is_not(None)
    connection.execute(
        sa.update(table).where(table.c.id == job_id, waits).values(sent_at=None, send_after=None, updated_at=now)
    )


# Work


def claim(
    connection: sa.Connection,
    job_id: UUID,
    message: Message,
    *,
    now: datetime,
    lease: timedelta,
    max_attempts: int = MAX_ATTEMPTS,
) -> Claim:
    """Take a job into work, if this message counts and nobody else has the job.

    Parameters
    ----------
    connection
        In a transaction that the caller commits at once: others wait on the row until then.
    message
        What was received.
    lease
        How long the job is the caller's. It must end before the message becomes visible again.
    max_attempts
        How often a job may be begun: the receives of its queue.
    """
    try:
        with connection.begin_nested():
            taken = _one(connection, _claim(job_id, message, now, lease, max_attempts))
    except IntegrityError:
        ended = _supersede(connection, table.c.id == job_id, now=now)
        return Claim("superseded", ended or find(connection, job_id))
    if taken is not None:
        return Claim("claimed", taken)
    job = find(connection, job_id)
    if job is None:
        return Claim("unknown", None)
    if job.attempt_count >= max_attempts and message.number == job.message_number and _lease_is_over(job, now):
        job = give_up(connection, job, now=now, max_attempts=max_attempts) or job
    return Claim(_refusal(job, message), job)


def _refusal(job: Job, message: Message) -> Literal["finished", "stale", "spent", "busy"]:
    if job.status in {"completed", "failed"}:
        return "finished"
    if message.number != job.message_number:
        return "stale"
    return "spent" if job.status == "permanently_failed" else "busy"


def _claim(job_id: UUID, message: Message, now: datetime, lease: timedelta, max_attempts: int) -> Any:
    counts = table.c.message_number == message.number
    # Sent back by an operator: by our command, which counts, or by SQS itself, which gives it a new time.
    marked = table.c.redrives < message.redrives
    # Rows of the old system may lack every time.
    ended_at = sa.func.coalesce(table.c.completed_at, table.c.updated_at, table.c.created_at, _LONG_AGO)
    sent_back = marked | (counts & (ended_at < message.sent_at)) if message.sent_at else marked
    due = marked | (counts & (table.c.attempt_count < max_attempts))
    takes = due & _nobody_at_work(now) & table.c.status.in_(states.CLAIM.before)
    revives = sent_back & table.c.status.in_(states.REVIVE.before)
    return (
        sa.update(table)
        .where(table.c.id == job_id, takes | revives)
        .values(
            status=states.CLAIM.after,
            lease_id=uuid4(),
            lease_expires_at=now + lease,
            # Who sends a dead letter back has mended the cause, so all attempts are there again.
            attempt_count=sa.case(
                (marked | table.c.status.in_(states.REVIVE.before), 1), else_=table.c.attempt_count + 1
            ),
            message_number=message.number,
            redrives=sa.func.greatest(table.c.redrives, message.redrives),
            # A message that came was sent, even if the sender died before it could write that down; and one that was
            # sent back lives for as long as a new one.
            sent_at=sa.func.greatest(table.c.sent_at, message.sent_at or sa.func.coalesce(table.c.sent_at, now)),
            send_after=None,
            completed_at=None,
            failure_reason=None,
            updated_at=now,
        )
        .returning(table)
    )


def _lease_is_over(job: Job, now: datetime) -> bool:
    return job.lease_expires_at is None or job.lease_expires_at <= now


def release(connection: sa.Connection, job: Job, *, now: datetime, reason: str) -> Job:
    """Give a job back after a transient error; its message comes again. Raises `LeaseLostError`."""
    return _leave(connection, states.RELEASE, job, now, failure_reason=reason[:MAX_REASON_LENGTH])


def fail(connection: sa.Connection, job: Job, *, now: datetime, reason: str) -> Job:
    """End a job that can never work, with the reason that people read. Raises `LeaseLostError`."""
    return _leave(connection, states.FAIL, job, now, failure_reason=reason[:MAX_REASON_LENGTH], completed_at=now)


def permanently_fail(connection: sa.Connection, job: Job, *, now: datetime, reason: str) -> Job:
    """End a job whose message goes to the dead-letter queue. Raises `LeaseLostError`."""
    return _leave(connection, states.GIVE_UP, job, now, failure_reason=reason[:MAX_REASON_LENGTH], completed_at=now)


def complete(
    connection: sa.Connection,
    job: Job,
    *,
    processed: ProcessedImage,
    model_used: str,
    result: Mapping[str, Any],
    now: datetime,
) -> Job:
    """Record a processed picture, put it where it belongs in its book, and end the job: all of it, or nothing.

    It becomes primary unless somebody chose primary or order after the job was accepted. The book's row is locked from
    the first statement to the caller's commit, so two jobs of one book cannot interleave their orders. A picture that
    is there already (same key) is used again.

    Raises
    ------
    LeaseLostError
        The job is another's by now, or the book is gone. Nothing was changed.
    SourceDeletedError
        The photograph is gone. Nothing was changed, and the lease is still the caller's.
    """
    # A savepoint, so that a caller who handles the error inside its own transaction commits nothing of this.
    with connection.begin_nested():
        try:
            lock_book(connection, job.book_id)
        except BookMissingError as error:
            raise LeaseLostError(f"image job {job.id}: {error}") from error
        order = image_order(connection, job.book_id)
        image_id = _processed_row(connection, job.book_id, processed)
        ended = _leave(
            connection,
            states.COMPLETE,
            job,
            now,
            processed_image_id=image_id,
            model_used=model_used,
            result=dict(result),
            failure_reason=None,
            completed_at=now,
        )
        if ended.source_image_id is None:
            raise SourceDeletedError(f"image job {job.id}: {DELETED}")
        write_order(connection, job.book_id, _order_after(connection, ended, order, image_id, ended.source_image_id))
    return ended


def _order_after(connection: sa.Connection, job: Job, order: list[int], processed: int, source: int) -> list[int]:
    if last_choice(connection, job.book_id) > job.accepted_number:
        return kept(order, processed)
    newer = connection.execute(
        sa.select(table.c.processed_image_id, table.c.source_image_id).where(
            table.c.book_id == job.book_id,
            table.c.status == states.COMPLETE.after,
            table.c.accepted_number > job.accepted_number,
        )
    ).all()
    return reordered(
        order,
        processed,
        source,
        newer_processed={row.processed_image_id for row in newer} - {processed},
        newer_originals={row.source_image_id for row in newer} - {source},
    )


def _leave(connection: sa.Connection, transition: Transition, job: Job, now: datetime, **values: Any) -> Job:
    statement = _move(
        transition, table.c.id == job.id, table.c.lease_id == job.lease_id, now=now, **_NO_LEASE, **values
    )
    ended = _one(connection, statement)
    if ended is None:
        raise LeaseLostError(f"image job {job.id}: the lease {job.lease_id} is no longer the job's")
    return ended


def _processed_row(connection: sa.Connection, book_id: int, processed: ProcessedImage) -> int:
    """Find or insert the processed picture's row. Only under the book's lock, or two of them appear."""
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
        # Its place is written with the whole order; a database may forbid that there is none until then.
        .values(book_id=book_id, s3_key=spellings[0], display_order=0, is_primary=False, **values)
        .returning(book_images.c.id)
    )
    return int(inserted.scalar_one())


# Ends that no worker writes


def cancel_for(connection: sa.Connection, image_id: int, *, now: datetime) -> bool:
    """End every job that works on a picture that is about to be deleted; tell whether there was one.

    Before the row goes: the foreign key forgets which picture a job was for. A worker at one of them loses its lease
    by this, so it writes nothing, and its message finds an ended job.
    """
    return bool(_cancel(connection, table.c.source_image_id == image_id, now=now))


def discard(connection: sa.Connection, job_id: UUID, message: Message, *, who: str, now: datetime) -> Job | None:
    """End the job whose dead letter an operator discards; before the letter is deleted, so that no job waits for it.

    Returns the row, or ``None`` where another message of the job counts, or it has ended otherwise.
    """
    return _one(
        connection,
        _move(
            states.DISCARD,
            table.c.id == job_id,
            table.c.message_number == message.number,
            # A redrive that could not delete the letter leaves a copy, which is not the message that counts.
            table.c.redrives <= message.redrives,
            _nobody_at_work(now),
            now=now,
            **_NO_LEASE,
            completed_at=now,
            failure_reason=f"its message was discarded from the dead letters by {who}"[:MAX_REASON_LENGTH],
        ),
    )


def cancel_without_source(connection: sa.Connection, *, now: datetime) -> list[Job]:
    """End every job that nobody is at work on and whose photograph is gone, but not by `cancel_for`: by SQL, or before
    this system."""
    return _cancel(connection, table.c.source_image_id.is_(None), _nobody_at_work(now), now=now)


def _cancel(connection: sa.Connection, *where: sa.ColumnElement[bool], now: datetime) -> list[Job]:
    ends = _move(states.CANCEL, *where, now=now, **_NO_LEASE, failure_reason=DELETED, completed_at=now)
    return [_job(row) for row in connection.execute(ends)]


def give_up(connection: sa.Connection, job: Job, *, now: datetime, max_attempts: int) -> Job | None:
    """End a job whose attempts are used up and that nobody is at work on; ``None`` if somebody took it meanwhile."""
    reason = f"the worker ended {job.attempt_count} times without an answer (time or memory); its log says why"
    return _one(
        connection,
        _move(
            states.GIVE_UP,
            table.c.id == job.id,
            table.c.attempt_count >= max_attempts,
            table.c.lease_id.is_not_distinct_from(job.lease_id),
            now=now,
            **_NO_LEASE,
            completed_at=now,
            failure_reason=job.failure_reason or reason,
        ),
    )


def _abandoned(now: datetime) -> sa.ColumnElement[bool]:
    # Rows of the old system may lack every time.
    touched = sa.func.coalesce(table.c.updated_at, table.c.created_at, now - LEASELESS_AFTER)
    leaseless = table.c.lease_expires_at.is_(None) & (touched <= now - LEASELESS_AFTER)
    return table.c.status.in_(states.LEASE_ENDED.before) & ((table.c.lease_expires_at <= now) | leaseless)


def expired(connection: sa.Connection, *, now: datetime, limit: int) -> list[Job]:
    """Return jobs in ``processing`` whose lease has ended, oldest lease first."""
    query = sa.select(table).where(_abandoned(now))
    return [_job(row) for row in connection.execute(query.order_by(table.c.lease_expires_at).limit(limit))]


def free(connection: sa.Connection, job: Job, *, now: datetime, max_attempts: int = MAX_ATTEMPTS) -> Job | None:
    """Take an expired lease off a job: ``pending`` until its message comes again, or ended after `max_attempts`.

    Returns the row, or ``None`` if a worker took the job over in the meantime.
    """
    if job.attempt_count >= max_attempts:
        return give_up(connection, job, now=now, max_attempts=max_attempts)
    return _one(
        connection,
        _move(
            states.LEASE_ENDED,
            table.c.id == job.id,
            table.c.lease_id.is_not_distinct_from(job.lease_id),
            _abandoned(now),
            now=now,
            **_NO_LEASE,
        ),
    )
