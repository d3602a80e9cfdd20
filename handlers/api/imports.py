"""Import: a book with several photographs that are in the bucket already, all of them or none."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from handlers.api import image_jobs, photographs
from handlers.api.models import Import, ImportedImage
from handlers.api.parts import Parts
from handlers.api.photographs import Photograph
from handlers.api.problems import invalid
from handlers.common import jobs, storage
from handlers.common.order import lock_book
from handlers.common.tables import book_images, books


def run(parts: Parts, request: Import, *, now: datetime) -> tuple[int, jobs.Job | None]:
    """Take photographs into a new book or one that is there, and send the job that this causes.

    A photograph that the book has already (same key, or an upload that was completed) is passed over, so an import
    into a book can be repeated.

    Returns
    -------
    tuple
        The book's id, and the job of the picture that became primary.

    Raises
    ------
    BookMissingError
        There is no such book.
    ProblemError
        An object or a reservation is not there, or cannot be a photograph; names the entry. Nothing was written.
    """
    uploads = {} if request.book_id is None else _uploads(parts, request.book_id, request.images)
    # Every object is read before anything is written: an import that fails half-way leaves no half book.
    checked = [
        photograph
        for number, image in enumerate(request.images)
        if (photograph := _checked(parts, number, image, uploads)) is not None
    ]
    with parts.database.begin() as connection:
        book_id = _book(connection, request)
        new = [photograph for photograph in checked if not _known(connection, book_id, photograph)]
        job = photographs.add(connection, book_id, new, now=now)
    return book_id, image_jobs.send(parts, job, now=now)


def _book(connection: sa.Connection, request: Import) -> int:
    if request.book_id is not None:
        lock_book(connection, request.book_id)
        return request.book_id
    created = connection.execute(sa.insert(books).values(title=request.title).returning(books.c.id)).scalar_one()
    return int(created)


def _uploads(parts: Parts, book_id: int, images: list[ImportedImage]) -> dict[int, sa.Row[Any] | None]:
    """Read the reservations that are named; ``None`` for one that is a picture by now."""
    uploads: dict[int, sa.Row[Any] | None] = {}
    with parts.database.begin() as connection:
        lock_book(connection, book_id)
        for number, image in enumerate(images):
            if image.image_id is None:
                continue
            upload = photographs.find_upload(connection, book_id, image.image_id)
            if upload is None and not photographs.is_image(connection, book_id, image.image_id):
                raise invalid(
                    f"body.images.{number}.image_id",
                    f"there is no upload {image.image_id} for book {book_id}; reserve one first",
                )
            uploads[image.image_id] = upload
    return uploads


def _checked(
    parts: Parts, number: int, image: ImportedImage, uploads: dict[int, sa.Row[Any] | None]
) -> Photograph | None:
    if image.key is not None:
        checked = photographs.check(parts, image.key, field=f"body.images.{number}.key")
        filename = image.filename or image.key.rpartition("/")[2][:255]
        return Photograph(image.key, checked, filename, image.image_type)
    upload = uploads[image.image_id or 0]
    if upload is None:
        return None
    field = f"body.images.{number}.image_id"
    return Photograph.of_upload(
        upload, photographs.check(parts, upload.s3_key, field=field, declared=upload.content_type)
    )


def _known(connection: sa.Connection, book_id: int, photograph: Photograph) -> bool:
    """Tell whether the book has a photograph already; asked again under the lock, for somebody may have been faster."""
    if photograph.image_id is not None:
        return photographs.find_upload(connection, book_id, photograph.image_id) is None
    spellings = (photograph.s3_key, storage.object_key(photograph.s3_key))
    query = sa.select(book_images.c.id).where(book_images.c.book_id == book_id, book_images.c.s3_key.in_(spellings))
    return connection.execute(query.limit(1)).one_or_none() is not None
