"""The order of a book's pictures: read and written only under the lock on the book."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import takewhile
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from handlers.common.tables import book_choices, book_images, books, job_numbers


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


def record_choice(connection: sa.Connection, book_id: int) -> None:
    """Record that somebody chose the book's primary or order just now: every job accepted before gives way to it."""
    statement = insert(book_choices).values(book_id=book_id, number=job_numbers.next_value())
    connection.execute(
        statement.on_conflict_do_update(index_elements=["book_id"], set_={"number": statement.excluded.number})
    )


def last_choice(connection: sa.Connection, book_id: int) -> int:
    """Return the number of the book's last choice; 0 where nobody ever chose."""
    query = sa.select(book_choices.c.number).where(book_choices.c.book_id == book_id)
    return int(connection.execute(query).scalar_one_or_none() or 0)


def display_order() -> tuple[sa.ColumnElement[Any], ...]:
    """Return the ORDER BY of a book's pictures: by position, those without one last, oldest first."""
    return (book_images.c.display_order.asc().nulls_last(), book_images.c.id.asc())


def image_order(connection: sa.Connection, book_id: int) -> list[int]:
    """Return the ids of a book's pictures in their order."""
    query = sa.select(book_images.c.id).where(book_images.c.book_id == book_id)
    return list(connection.execute(query.order_by(*display_order())).scalars())


def reordered(
    order: Sequence[int],
    processed: int,
    original: int,
    *,
    newer_processed: Collection[int] = (),
    newer_originals: Collection[int] = (),
) -> list[int]:
    """Put the processed picture first and its original last; the others keep their order.

    Jobs that were accepted later and ended earlier keep their places at both ends, as if every job had ended at once.

    >>> reordered([1, 2, 3], 4, 1)
    [4, 2, 3, 1]
    >>> reordered([4, 2, 3, 1], 5, 2, newer_processed={4}, newer_originals={1})
    [4, 5, 3, 2, 1]
    """
    others = [image for image in order if image not in {processed, original}]
    head = list(takewhile(lambda image: image in newer_processed, others))
    rest = others[len(head) :]
    tail = list(takewhile(lambda image: image in newer_originals, reversed(rest)))[::-1]
    middle = rest[: len(rest) - len(tail)]
    return [*head, processed, *middle, *([original] if original in order and original != processed else []), *tail]


def kept(order: Sequence[int], processed: int) -> list[int]:
    """Keep an order that was chosen after the job was accepted; its picture comes right after the primary.

    >>> kept([1, 2, 3], 4)
    [1, 4, 2, 3]
    >>> kept([1, 2, 4], 4)
    [1, 2, 4]
    """
    return list(order) if processed in order else [*order[:1], processed, *order[1:]]


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
