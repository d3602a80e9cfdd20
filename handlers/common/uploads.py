"""Uploads whose caller never came back: completed where there is a photograph, otherwise removed after a day."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from handlers.common import photographs
from handlers.common.database import Database, DatabaseUnavailableError
from handlers.common.order import BookMissingError, lock_book
from handlers.common.photographs import NotAPhotographError, Photograph
from handlers.common.storage import (
    UPLOAD_SECONDS,
    ObjectMissingError,
    ObjectTooLargeError,
    Storage,
    StorageError,
    object_key,
)
from handlers.common.tables import book_images
from handlers.common.tables import image_uploads as table

log = logging.getLogger(__name__)

# S3 looks at a form's end when a post begins; the bytes may take as long again.
COMPLETE_AFTER = timedelta(seconds=2 * UPLOAD_SECONDS)
"""How long a caller has to say `complete` before it is done for them."""
REMOVE_AFTER = timedelta(days=1)
"""How long a reservation without a photograph is shown before it is removed."""
BATCH = 500


@dataclass
class SweptUploads:
    """What one run did, by the uploads' image ids."""

    completed: list[int] = field(default_factory=list)
    removed: list[int] = field(default_factory=list)
    errors: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class WaitingUploads:
    """Reservations that are no pictures yet; of the overdue ones the caller's time is over."""

    waiting: int
    overdue: int
    oldest_at: datetime | None


def waiting_uploads(connection: sa.Connection, *, now: datetime) -> WaitingUploads:
    """Count the reservations."""
    overdue = sa.func.count().filter(table.c.created_at <= now - COMPLETE_AFTER)
    return WaitingUploads(
        *connection.execute(sa.select(sa.func.count(), overdue, sa.func.min(table.c.created_at))).one()
    )


def sweep_uploads(
    database: Database, pictures: Storage, *, now: datetime, has_time: Callable[[], bool] = lambda: True
) -> SweptUploads:
    """Complete overdue uploads whose photograph is there; remove those of a day ago whose is not.

    A job that this causes is left to be sent by the sweep of jobs. One upload's error does not stop the others, and in
    no order, so that none is always behind one that fails. Two sweeps at once do no harm: each upload is looked for
    again under its book's lock.

    Parameters
    ----------
    has_time
        Asked before each upload: an object of 30 MB is read within seconds.

    Raises
    ------
    DatabaseUnavailableError
        Nothing can be looked for.
    """
    done = SweptUploads()
    query = sa.select(table).where(table.c.created_at <= now - COMPLETE_AFTER).order_by(sa.func.random()).limit(BATCH)
    with database.begin() as connection:
        overdue = connection.execute(query).all()
    for upload in overdue:
        if not has_time():
            break
        try:
            _settle(database, pictures, upload, now, done)
        except (StorageError, SQLAlchemyError, DatabaseUnavailableError) as error:
            log.exception("the upload %s is left for the next sweep", upload.image_id)
            done.errors[upload.image_id] = type(error).__name__
    return done


def _settle(database: Database, pictures: Storage, upload: sa.Row[Any], now: datetime, done: SweptUploads) -> None:
    try:
        checked = photographs.check(pictures, upload.s3_key, declared=upload.content_type)
    except (ObjectMissingError, ObjectTooLargeError, NotAPhotographError) as error:
        if upload.created_at <= now - REMOVE_AFTER and _remove(database, pictures, upload):
            log.warning("the upload %s of book %s is removed: %s", upload.image_id, upload.book_id, error)
            done.removed.append(upload.image_id)
        return
    with database.begin() as connection:
        if _still(connection, upload):
            photographs.add(connection, upload.book_id, [Photograph.of_upload(upload, checked)], now=now)
            log.info("the upload %s of book %s is completed", upload.image_id, upload.book_id)
            done.completed.append(upload.image_id)


def _remove(database: Database, pictures: Storage, upload: sa.Row[Any]) -> bool:
    """Remove the object, then the row: dying in between leaves a row without an object, which comes here again."""
    with database.begin() as connection:
        if not _still(connection, upload):
            return False
        spellings = (upload.s3_key, object_key(upload.s3_key))
        used = sa.select(book_images.c.id).where(book_images.c.s3_key.in_(spellings)).limit(1)
        if connection.execute(used).one_or_none() is None:
            pictures.delete(upload.s3_key)
        connection.execute(sa.delete(table).where(table.c.image_id == upload.image_id))
    return True


def _still(connection: sa.Connection, upload: sa.Row[Any]) -> bool:
    """Lock the upload's book and tell whether nobody completed the upload, or deleted its book, meanwhile."""
    try:
        lock_book(connection, upload.book_id)
    except BookMissingError:
        return False
    return photographs.find_upload(connection, upload.book_id, upload.image_id) is not None
