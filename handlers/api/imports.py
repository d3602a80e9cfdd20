"""Import: a book with several photographs that are in the bucket already, all of them or none."""

from __future__ import annotations

import hashlib
from datetime import datetime
from http import HTTPStatus
from typing import Any

import sqlalchemy as sa

from handlers.api import checking, image_jobs
from handlers.api.models import Import, ImportedImage
from handlers.api.parts import Parts
from handlers.api.problems import ProblemError, invalid
from handlers.common import jobs, photographs, storage
from handlers.common.order import BookMissingError, lock_book
from handlers.common.photographs import Photograph
from handlers.common.tables import book_images, books


def run(parts: Parts, request: Import, *, now: datetime) -> tuple[int, jobs.Job | None]:
    """Take photographs into a new book or one that is there, and send the job that this causes.

    A photograph that the book has already (same key, or an upload that was completed) is passed over, so an import
    can be repeated: into a book, and of a new one, whose pictures' keys and title name it.

    Returns
    -------
    tuple
        The book's id, and the job of the picture that became primary.

    Raises
    ------
    BookMissingError
        There is no such book.
    ProblemError
        An object or a reservation is not there, or cannot be a photograph; names the entry. 409 a new book's picture
        is another book's already. Nothing was written.
    """
    with parts.database.begin() as connection:
        there = request.book_id or _imported(connection, request)
        known = set() if there is None else _known_keys(connection, there, request)
    uploads = {} if request.book_id is None else _uploads(parts, request.book_id, request.images)
    # Every object is read before anything is written: an import that fails half-way leaves no half book. Those that
    # are there are not read again: a repetition must be faster than what it repeats.
    checked = [
        photograph
        for number, image in enumerate(request.images)
        if image.key not in known and (photograph := _checked(parts, number, image, uploads)) is not None
    ]
    with parts.database.begin() as connection:
        book_id = _book(connection, request)
        new = [photograph for photograph in checked if not _known(connection, book_id, photograph)]
        job = photographs.add(connection, book_id, new, now=now)
    return book_id, image_jobs.send(parts, job, now=now)


def _book(connection: sa.Connection, request: Import) -> int:
    """Return the import's book under its lock; a new one only where no other import makes it."""
    if request.book_id is None:
        # In one order, so that two imports never wait for each other.
        for number in sorted({_lock_number(key) for key in _keys(request)}):
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(number)))
    book_id = request.book_id or _imported(connection, request)
    if book_id is not None:
        lock_book(connection, book_id)
        return book_id
    created = connection.execute(sa.insert(books).values(title=request.title).returning(books.c.id)).scalar_one()
    return int(created)


def _imported(connection: sa.Connection, request: Import) -> int | None:
    """Return the book that this import made before; ``None`` where its pictures are no book's.

    Raises
    ------
    ProblemError
        409 a picture is a book's of another title, or they are several books'. Names the entry.
    """
    query = sa.select(book_images.c.s3_key, books.c.id, books.c.title).join(books).order_by(books.c.id)
    found = connection.execute(query.where(book_images.c.s3_key.in_(_spellings(request)))).all()
    own = next((row.id for row in found if row.title == request.title), None)
    for row in found:
        if row.id != own:
            number = _keys(request).index(storage.stored_key(row.s3_key))
            message = f"it is a picture of the book {row.id} already; give that book's book_id to import into it"
            field = f"body.images.{number}.key"
            raise ProblemError(HTTPStatus.CONFLICT, f"{field}: {message}", [{"field": field, "message": message}])
    return own


def _known_keys(connection: sa.Connection, book_id: int, request: Import) -> set[str]:
    query = sa.select(book_images.c.s3_key).where(
        book_images.c.book_id == book_id, book_images.c.s3_key.in_(_spellings(request))
    )
    return {storage.stored_key(key) for key in connection.execute(query).scalars()}


def _keys(request: Import) -> list[str | None]:
    """The keys of the import's photographs as the database stores them, each in its place."""
    return [image.key for image in request.images]


def _spellings(request: Import) -> list[str]:
    return [spelling for key in _keys(request) if key for spelling in (key, storage.object_key(key))]


def _lock_number(key: str | None) -> int:
    return int.from_bytes(hashlib.sha256(f"import {key}".encode()).digest()[:8], signed=True)


def _uploads(parts: Parts, book_id: int, images: list[ImportedImage]) -> dict[int, sa.Row[Any] | None]:
    """Read the reservations that are named; ``None`` for one that is a picture by now."""
    uploads: dict[int, sa.Row[Any] | None] = {}
    with parts.database.begin() as connection:
        # Not under the lock: what joins this transaction would hold it while objects are read.
        if connection.execute(sa.select(books.c.id).where(books.c.id == book_id)).one_or_none() is None:
            raise BookMissingError(f"there is no book {book_id}")
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
        checked = checking.check(parts, image.key, field=f"body.images.{number}.key")
        filename = image.filename or image.key.rpartition("/")[2][:255]
        return Photograph(image.key, checked, filename, image.image_type)
    upload = uploads[image.image_id or 0]
    if upload is None:
        return None
    field = f"body.images.{number}.image_id"
    return Photograph.of_upload(upload, checking.check(parts, upload.s3_key, field=field, declared=upload.content_type))


def _known(connection: sa.Connection, book_id: int, photograph: Photograph) -> bool:
    """Tell whether the book has a photograph already; asked again under the lock, for somebody may have been faster."""
    if photograph.image_id is not None:
        return photographs.find_upload(connection, book_id, photograph.image_id) is None
    spellings = (photograph.s3_key, storage.object_key(photograph.s3_key))
    query = sa.select(book_images.c.id).where(book_images.c.book_id == book_id, book_images.c.s3_key.in_(spellings))
    return connection.execute(query.limit(1)).one_or_none() is not None
