"""Photographs on their way into a book: the object is checked, then rows are written under the book's lock.

For the API, whose callers bring them, and for the sweeper, which completes what a caller left behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from handlers.common import jobs, primary, storage
from handlers.common.storage import Storage
from handlers.common.tables import book_images, image_uploads


class NotAPhotographError(ValueError):
    """The object cannot be a photograph, or is none of the announced type; the message says why, for callers."""


@dataclass(frozen=True)
class Photograph:
    """A checked object that becomes a picture; `image_id` is the reserved one, where an upload was reserved."""

    s3_key: str
    checked: storage.Fingerprint
    filename: str | None
    image_type: str | None
    image_id: int | None = None

    @classmethod
    def of_upload(cls, upload: sa.Row[Any], checked: storage.Fingerprint) -> Photograph:
        """Take over what was said when the upload was reserved."""
        return cls(upload.s3_key, checked, upload.original_filename, upload.image_type, upload.image_id)


def find_upload(connection: sa.Connection, book_id: int, image_id: int) -> sa.Row[Any] | None:
    """Return a reservation that was not completed yet, or ``None``."""
    query = sa.select(image_uploads).where(image_uploads.c.image_id == image_id, image_uploads.c.book_id == book_id)
    return connection.execute(query).one_or_none()


def is_image(connection: sa.Connection, book_id: int, image_id: int) -> bool:
    """Tell whether the book has this picture."""
    query = sa.select(book_images.c.id).where(book_images.c.id == image_id, book_images.c.book_id == book_id)
    return connection.execute(query).one_or_none() is not None


def check(pictures: Storage, key: str, *, declared: str | None = None) -> storage.Fingerprint:
    """Return what an object is; it is read once, in pieces, so the function's memory does not matter.

    Not under a lock: it takes as long as S3 takes.

    Parameters
    ----------
    key
        As the database stores it.
    declared
        Content type that the caller announced.

    Raises
    ------
    ObjectMissingError, ObjectTooLargeError, StorageError
        As `Storage.fingerprint`.
    NotAPhotographError
        It cannot be a photograph.
    """
    found = pictures.fingerprint(key)
    if found.size == 0:
        raise NotAPhotographError("the upload has 0 bytes")
    kind = storage.image_type_of(found.head)
    if kind is None:
        raise NotAPhotographError("the upload is no JPEG, PNG or WebP by its first bytes")
    if declared not in {None, kind}:
        raise NotAPhotographError(f"declared {declared}, but by its first bytes the upload is {kind}")
    return found


def add(
    connection: sa.Connection, book_id: int, photographs: Sequence[Photograph], *, now: datetime
) -> jobs.Job | None:
    """Append photographs to a book. Under the book's lock.

    Returns
    -------
    Job or None
        The job that this caused, where the book had no primary.
    """
    position = connection.execute(
        sa.select(sa.func.coalesce(sa.func.max(book_images.c.display_order) + 1, sa.func.count())).where(
            book_images.c.book_id == book_id
        )
    ).scalar_one()
    for place, photograph in enumerate(photographs, start=position):
        reserved = {} if photograph.image_id is None else {"id": photograph.image_id}
        connection.execute(
            sa.insert(book_images).values(
                book_id=book_id,
                s3_key=photograph.s3_key,
                original_filename=photograph.filename,
                content_hash=photograph.checked.sha256,
                # Whoever may upload may do so again until the form expires; the worker reads what was checked.
                s3_version=photograph.checked.version,
                image_type=photograph.image_type,
                display_order=place,
                is_primary=False,
                **reserved,
            )
        )
        if reserved:
            connection.execute(sa.delete(image_uploads).where(image_uploads.c.image_id == photograph.image_id))
    return primary.ensure_primary(connection, book_id, now=now)
