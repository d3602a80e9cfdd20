"""A photograph's way in: reserved, uploaded to S3 by the caller, checked, and only then a picture of its book."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from handlers.api import checking, image_jobs
from handlers.api.models import BookWithImages, Image, NewImage
from handlers.api.parts import Parts
from handlers.api.problems import not_found
from handlers.common import jobs, photographs, storage
from handlers.common.order import display_order, lock_book
from handlers.common.photographs import Photograph
from handlers.common.tables import book_images, books, image_processing_jobs, image_uploads

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reserved:
    """An image's id and the upload that its caller may make."""

    image_id: int
    upload: storage.PresignedUpload


def reserve(parts: Parts, book_id: int, image: NewImage, *, now: datetime) -> Reserved:
    """Allow one upload.

    The picture's id is taken from ``book_images``' own sequence and kept in ``image_uploads`` until the upload is
    completed: readers of ``book_images`` never see a picture that has no bytes, and the id does not change.

    Raises
    ------
    BookMissingError
        There is no such book.
    """
    # Unguessable, because a picture behind a CDN is protected by nothing else; and two uploads of one name are two.
    key = f"{book_id}_{uuid4().hex}{storage.CONTENT_TYPES[image.content_type]}"
    with parts.database.begin() as connection:
        lock_book(connection, book_id)
        image_id = connection.execute(
            sa.insert(image_uploads)
            .values(
                image_id=sa.func.nextval(sa.func.pg_get_serial_sequence("book_images", "id")),
                book_id=book_id,
                s3_key=key,
                content_type=image.content_type,
                original_filename=image.filename,
                image_type=image.image_type,
                created_at=now,
            )
            .returning(image_uploads.c.image_id)
        ).scalar_one()
    exactly = {} if image.size is None else {"min_bytes": image.size, "max_bytes": image.size}
    return Reserved(int(image_id), parts.storage.presigned_upload(key, image.content_type, **exactly))


def complete(parts: Parts, book_id: int, image_id: int, *, now: datetime) -> jobs.Job | None:
    """Take an uploaded photograph in: check the object, commit the row and its job, then send the job's message.

    Doing it twice changes nothing, except that a job whose message was never sent is sent.

    Returns
    -------
    Job or None
        The job of a picture that became its book's primary.

    Raises
    ------
    ProblemError
        404 no such reservation; 409 nothing uploaded yet; 413 or 422 an object that cannot be a photograph.
        The reservation stays, so the caller may upload again within its time.
    """
    with parts.database.begin() as connection:
        upload = photographs.find_upload(connection, book_id, image_id)
        known = upload is None and photographs.is_image(connection, book_id, image_id)
    if upload is None and not known:
        raise not_found(f"There is no upload {image_id} for book {book_id}; reserve one first.")
    checked = upload and checking.check(parts, upload.s3_key, field="file", declared=upload.content_type)
    with parts.database.begin() as connection:
        lock_book(connection, book_id)
        upload = photographs.find_upload(connection, book_id, image_id)  # again: somebody may have completed it
        if upload and checked:
            job = photographs.add(connection, book_id, [Photograph.of_upload(upload, checked)], now=now)
        else:
            job = jobs.latest_for(connection, image_id)
    return image_jobs.send(parts, job, now=now)


def book(parts: Parts, book_id: int) -> BookWithImages:
    """Return a book and its pictures in their order; 404 as a `ProblemError` where there is none."""
    with parts.database.begin() as connection:
        row = connection.execute(sa.select(books.c.id, books.c.title).where(books.c.id == book_id)).one_or_none()
        if row is None:
            raise not_found(f"There is no book {book_id}.")
        return BookWithImages(id=row.id, title=row.title, images=images_of(parts, connection, book_id))


def images_of(parts: Parts, connection: sa.Connection, book_id: int) -> list[Image]:
    """Return a book's pictures in their order, with addresses under which they can be seen."""
    # A job with a result was done by this program's worker, which names thumbnails by what they are and keeps mattes.
    ours = sa.exists().where(
        image_processing_jobs.c.processed_image_id == book_images.c.id, image_processing_jobs.c.result.is_not(None)
    )
    rows = connection.execute(
        sa.select(book_images, ours.label("ours")).where(book_images.c.book_id == book_id).order_by(*display_order())
    )
    return [_view(parts, row, position) for position, row in enumerate(rows)]


def _view(parts: Parts, row: sa.Row[Any], position: int) -> Image:
    return Image(
        id=row.id,
        position=position,
        is_primary=bool(row.is_primary),
        is_background_processed=row.is_background_processed,
        image_type=row.image_type,
        original_filename=row.original_filename,
        **_urls(parts, row),
    )


def _urls(parts: Parts, row: sa.Row[Any]) -> dict[str, str | None]:
    urls: dict[str, str | None] = {"url": None, "thumbnail_url": None, "matte_url": None}
    try:
        key = storage.stored_key(row.s3_key)
    except ValueError:
        # One bad row must not hide the book's other pictures.
        log.exception("image %s has a key that is no object's", row.id)
        return urls
    urls["url"] = _url(parts, key)
    if row.is_background_processed:
        urls["thumbnail_url"] = _url(
            parts, storage.thumbnail_key(key) if row.ours else storage.legacy_thumbnail_key(key)
        )
        urls["matte_url"] = _url(parts, storage.matte_key(key)) if row.ours else None
    return urls


def _url(parts: Parts, key: str) -> str:
    return storage.cdn_url(parts.cdn_url, key) if parts.cdn_url else parts.storage.presigned_url(key)
