"""The order of a book's pictures as callers change it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from handlers.api import image_jobs
from handlers.api.parts import Parts
from handlers.api.problems import invalid, not_found
from handlers.common import jobs
from handlers.common.order import close_gaps, image_order, lock_book
from handlers.common.primary import choose, ensure_primary, keep_at_work
from handlers.common.tables import book_images


def make_primary(parts: Parts, book_id: int, image_id: int, *, now: datetime) -> jobs.Job | None:
    """Put one picture first; the others keep their order.

    Returns
    -------
    Job or None
        The job that this caused; the picture's newest one if it was primary already.

    Raises
    ------
    ProblemError
        404 the book has no such picture.
    """
    with parts.database.begin() as connection:
        lock_book(connection, book_id)
        order = image_order(connection, book_id)
        _require(order, book_id, image_id)
        others = [image for image in order if image != image_id]
        job = choose(connection, book_id, [image_id, *others], now=now) or jobs.latest_for(connection, image_id)
    return image_jobs.send(parts, job, now=now)


def reorder(parts: Parts, book_id: int, order: Sequence[int], *, now: datetime) -> jobs.Job | None:
    """Put a book's pictures into the given order, the first of them the primary.

    Raises
    ------
    ProblemError
        422 the list is not exactly the book's pictures: an order given without knowing them all (a worker may have
        added one) would lose somebody's.
    """
    with parts.database.begin() as connection:
        lock_book(connection, book_id)
        there = image_order(connection, book_id)
        if fault := _difference(order, there):
            raise invalid("body.image_ids", f"{fault}; read the book again and give each of its pictures once")
        job = choose(connection, book_id, order, now=now)
    return image_jobs.send(parts, job, now=now)


def delete(parts: Parts, book_id: int, image_id: int, *, now: datetime) -> jobs.Job | None:
    """Take a picture out of its book and end the jobs that wait for it; the objects in S3 stay.

    Returns
    -------
    Job or None
        The job of the picture that became primary in its place.

    Raises
    ------
    ProblemError
        404 the book has no such picture.
    """
    with parts.database.begin() as connection:
        lock_book(connection, book_id)
        _require(image_order(connection, book_id), book_id, image_id)
        job = remove(connection, book_id, image_id, now=now)
    return image_jobs.send(parts, job, now=now)


def remove(connection: sa.Connection, book_id: int, image_id: int, *, now: datetime) -> jobs.Job | None:
    """Take a picture's row out of its book and end the jobs that work on it. Under the book's lock.

    Returns
    -------
    Job or None
        That of the new primary where this one was it; or where a job ends by this that was asked for with the primary,
        the one that the primary gets instead.
    """
    ended = jobs.cancel_for(connection, image_id, now=now)
    connection.execute(sa.delete(book_images).where(book_images.c.id == image_id))
    close_gaps(connection, book_id)
    job = ensure_primary(connection, book_id, now=now)
    return keep_at_work(connection, book_id, now=now) if job is None and ended else job


def _require(order: Sequence[int], book_id: int, image_id: int) -> None:
    if image_id not in order:
        raise not_found(f"The book {book_id} has no image {image_id}.")


def _difference(given: Sequence[int], there: Sequence[int]) -> str:
    """Say how two lists of ids differ, or nothing; a few ids are named, not a thousand."""
    faults = {
        "has twice": [image for image, times in Counter(given).items() if times > 1],
        "has unknown": sorted(set(given) - set(there)),
        "lacks": sorted(set(there) - set(given)),
    }
    return ", ".join(f"{words} {', '.join(map(str, images[:5]))}" for words, images in faults.items() if images)
