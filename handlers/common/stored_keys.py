"""The keys of the API's callers in the database: a row a key with its digest; looked up at every request.

Nothing is remembered, so a revoked key is refused from the moment at which its revocation is committed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from handlers.common.clock import now as _now
from handlers.common.database import Database, DatabaseUnavailableError
from handlers.common.keys import KEY, digest_of
from handlers.common.secrets import SecretError
from handlers.common.start_up import Refusal
from handlers.common.tables import api_keys as table

log = logging.getLogger(__name__)


class StoredKeys:
    """Tells whose key a caller presents.

    Parameters
    ----------
    database
        Where the keys lie.
    clock
        Where the time comes from.
    """

    def __init__(self, database: Database, clock: Callable[[], datetime] = _now) -> None:
        self._database = database
        self._clock = clock

    def owner(self, presented: str) -> str | None:
        """Return the name of the key's owner, ``None`` if it is no key or was revoked; note the day, once a day.

        The digest is looked up in an index, whose time tells a guesser something of digests and nothing of keys.

        Raises
        ------
        DatabaseUnavailableError
            The database does not answer, so whether it is a key cannot be told.
        """
        if not KEY.fullmatch(presented):
            return None  # the database need not be asked about what cannot be one
        digest = digest_of(presented)
        found = sa.select(table.c.name, table.c.last_used_on).where(
            table.c.digest == digest, table.c.revoked_at.is_(None)
        )
        try:
            with self._database.begin() as connection:
                row = connection.execute(found).one_or_none()
        except (SecretError, sa.exc.SQLAlchemyError) as error:
            raise DatabaseUnavailableError(f"a key cannot be looked up: {error}", Refusal(str(error))) from error
        if row is None:
            return None
        today = self._clock().date()
        if row.last_used_on is None or row.last_used_on < today:
            self._note_use(digest, today)
        return str(row.name)

    def _note_use(self, digest: str, today: date) -> None:
        """Write the day of use; a database that only reads at the moment refuses nobody for it."""
        unwritten = sa.or_(table.c.last_used_on.is_(None), table.c.last_used_on < today)
        note = sa.update(table).where(table.c.digest == digest, unwritten).values(last_used_on=today)
        try:
            with self._database.begin() as connection:
                connection.execute(note)
        except (DatabaseUnavailableError, SecretError, sa.exc.SQLAlchemyError) as error:
            log.warning("a key's day of use could not be written: %s", error)


def add(connection: sa.Connection, name: str, digest: str, *, now: datetime) -> None:
    """Write a key's row. Written twice it stands once, as it was: a call that AWS's client repeats changes nothing."""
    from sqlalchemy.dialects.postgresql import insert  # noqa: PLC0415  the API, which only reads, does without it

    connection.execute(insert(table).values(digest=digest, name=name, made_at=now).on_conflict_do_nothing())


def revoke(connection: sa.Connection, digest: str, *, now: datetime) -> datetime | None:
    """Revoke a key for good and return when that was: a first revocation stands. ``None``: there is no such key."""
    still = sa.update(table).where(table.c.digest == digest, table.c.revoked_at.is_(None)).values(revoked_at=now)
    connection.execute(still)
    return connection.scalar(sa.select(table.c.revoked_at).where(table.c.digest == digest))


def listing(connection: sa.Connection) -> Sequence[Any]:
    """Return every key's row, revoked ones too, oldest first."""
    query = sa.select(table.c.digest, table.c.name, table.c.made_at, table.c.revoked_at, table.c.last_used_on).order_by(
        table.c.made_at, table.c.digest
    )
    return connection.execute(query).all()
