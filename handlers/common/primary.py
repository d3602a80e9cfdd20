"""The one place that decides when a book's primary picture gets its job."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from handlers.common import jobs
from handlers.common.job_states import UNFINISHED
from handlers.common.order import image_order, record_choice, write_order
from handlers.common.tables import book_images


def arrange(connection: sa.Connection, book_id: int, order: Sequence[int], *, now: datetime) -> jobs.Job | None:
    """Write a book's order, whose first picture is its primary, and create the job that this causes.

    Every way to another primary (upload, import, choice, new order, deletion) goes through here; only the worker does
    not, whose picture is processed already. Under the book's lock; the caller commits, then sends.

    Returns
    -------
    Job or None
        The job of a photograph that has become primary; also of one that was primary and whose job has not ended, so
        that a choice that confirms it confirms its job too; or that never had one, as in rows of the system before
        this one, or only one that worked on another photograph, which was deleted since. ``None`` where nothing
        changed, or the primary is a processed picture.
    """
    if not order:
        return None
    primary = order[0]
    was_primary, processed = connection.execute(
        sa.select(sa.func.coalesce(book_images.c.is_primary, sa.false()), book_images.c.is_background_processed).where(
            book_images.c.id == primary
        )
    ).one()
    write_order(connection, book_id, order)
    return None if processed else _accept(connection, book_id, primary, was_primary=was_primary, now=now)


def _accept(
    connection: sa.Connection, book_id: int, primary: int, *, was_primary: bool, now: datetime
) -> jobs.Job | None:
    last = jobs.latest_for(connection, primary) if was_primary else None
    if last is not None and last.status not in UNFINISHED and last.source_image_id is not None:
        return None
    return jobs.accept(connection, book_id, primary, now=now)


def choose(connection: sa.Connection, book_id: int, order: Sequence[int], *, now: datetime) -> jobs.Job | None:
    """Carry out somebody's choice of primary or order, to which every job accepted before gives way; as `arrange`."""
    record_choice(connection, book_id)
    return arrange(connection, book_id, order, now=now)


def ensure_primary(connection: sa.Connection, book_id: int, *, now: datetime) -> jobs.Job | None:
    """Make the first picture of a book primary if none is; as `arrange` otherwise. Under the book's lock."""
    has_primary = sa.select(book_images.c.id).where(book_images.c.book_id == book_id, book_images.c.is_primary)
    if connection.execute(has_primary.limit(1)).one_or_none() is not None:
        return None
    return arrange(connection, book_id, image_order(connection, book_id), now=now)


def keep_at_work(connection: sa.Connection, book_id: int, *, now: datetime) -> jobs.Job | None:
    """Accept a job for a book's primary whose own was ended with another photograph; as `arrange` otherwise.

    Under the book's lock.
    """
    query = sa.select(book_images.c.id).where(
        book_images.c.book_id == book_id, book_images.c.is_primary, book_images.c.is_background_processed.is_(False)
    )
    primary = connection.execute(query.limit(1)).scalar_one_or_none()
    return None if primary is None else _accept(connection, book_id, primary, was_primary=True, now=now)
