"""The order of a book's pictures: read and written only under the lock on the book."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from handlers.common.tables import book_images, books


class BookMissingError(LookupError):
    """There is no such book."""


def lock_book(connection: sa.Connection, book_id: int) -> None:
    """Hold the book until the transaction ends; every change of its pictures' order happens under this lock.

    Raises
    ------
    BookMissingError
        There is no such book.
    """
    if connection.execute(sa.select(books.c.id).where(books.c.id == book_id).with_for_update()).one_or_none() is None:
        raise BookMissingError(f"there is no book {book_id}")


def display_order() -> tuple[sa.ColumnElement[Any], ...]:
    """Return the ORDER BY of a book's pictures: by position, those without one last, oldest first."""
    return (book_images.c.display_order.asc().nulls_last(), book_images.c.id.asc())


def image_order(connection: sa.Connection, book_id: int) -> list[int]:
    """Return the ids of a book's pictures in their order."""
    query = sa.select(book_images.c.id).where(book_images.c.book_id == book_id)
    return list(connection.execute(query.order_by(*display_order())).scalars())


def reordered(order: Sequence[int], processed: int, original: int) -> list[int]:
    """Put the processed picture first and its original last; the others keep their order.

    >>> reordered([1, 2, 3], 4, 1)
    [4, 2, 3, 1]
    """
    others = [image for image in order if image not in {processed, original}]
    return [processed, *others, *([original] if original in order and original != processed else [])]


def write_order(connection: sa.Connection, book_id: int, order: Sequence[int]) -> None:
    """Number a book's pictures from 0 in the given order; the first becomes the primary, and only it."""
    if not order:
        return
    positions = {image: position for position, image in enumerate(order)}
    connection.execute(
        sa.update(book_images)
        .where(book_images.c.book_id == book_id, book_images.c.id.in_(positions))
        .values(
            display_order=sa.case(positions, value=book_images.c.id),
            is_primary=book_images.c.id == order[0],
        )
    )


def close_gaps(connection: sa.Connection, book_id: int) -> None:
    """Number a book's pictures from 0 in their order, where one was taken out; the primary stays what it is."""
    positions = {image: position for position, image in enumerate(image_order(connection, book_id))}
    if positions:
        connection.execute(
            sa.update(book_images)
            .where(book_images.c.book_id == book_id)
            .values(display_order=sa.case(positions, value=book_images.c.id))
        )
