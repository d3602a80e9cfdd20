"""One message a book to the tracking queue, in SQS's batches of ten."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa

from handlers.common.database import Database
from handlers.common.queues import LARGEST_BATCH, Queues
from handlers.common.tables import books

# Books read at once; a multiple of a batch, so that only the last batch is short.
PAGE = 100 * LARGEST_BATCH


def dispatch(database: Database, queues: Queues, queue_name: str, *, page: int = PAGE) -> int:
    """Send ``{"book_id": …}`` once for every book, and return how many were sent.

    A run that fails half-way is repeated from the start: a book told twice is looked at twice, as in the next hour.

    Parameters
    ----------
    database, queues, queue_name
        Where the books are, and where the messages go.
    page
        Books to read at once; no transaction stays open while messages are sent.

    Raises
    ------
    handlers.common.queues.QueueError
        A batch, or a message of one, was not taken; the invocation fails, so that its alarm tells.
    handlers.common.database.DatabaseUnavailableError
        The books cannot be read.
    """
    sent = 0
    for ids in _pages(database, page):
        for start in range(0, len(ids), LARGEST_BATCH):
            batch = ids[start : start + LARGEST_BATCH]
            queues.send_batch(queue_name, [{"book_id": book_id} for book_id in batch])
            sent += len(batch)
    return sent


def _pages(database: Database, page: int) -> Iterator[list[int]]:
    last: int | None = None
    while True:
        wanted = sa.select(books.c.id).order_by(books.c.id).limit(page)
        if last is not None:
            wanted = wanted.where(books.c.id > last)
        with database.begin() as connection:
            ids = list(connection.execute(wanted).scalars())
        if not ids:
            return
        yield ids
        last = ids[-1]
