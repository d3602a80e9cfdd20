"""Which of a book's photographs a job works on; chosen once, when the job is accepted."""

from __future__ import annotations

from itertools import chain

import sqlalchemy as sa

from handlers.common.image_constants import SOURCE_PRIORITY
from handlers.common.order import display_order
from handlers.common.tables import book_images


def choose_source(connection: sa.Connection, book_id: int, requested_image_id: int) -> int:
    """Return the id of the photograph that a job of this book works on, if it is accepted now.

    By type in `SOURCE_PRIORITY`, then the primary, then the one asked for (facts of the replaced system). Under the
    book's lock, or the answer may be out of date at once.
    """
    query = sa.select(book_images.c.id, book_images.c.image_type, book_images.c.is_primary).where(
        book_images.c.book_id == book_id, book_images.c.is_background_processed.is_(False)
    )
    photographs = connection.execute(query.order_by(*display_order())).all()
    typed = (row.id for kind in SOURCE_PRIORITY for row in photographs if row.image_type == kind)
    primary = (row.id for row in photographs if row.is_primary)
    return int(next(chain(typed, primary), requested_image_id))
