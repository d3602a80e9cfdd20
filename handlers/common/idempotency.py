"""Requests that were answered once already: a row each, written in the transaction that did the work.

The IETF's draft "The Idempotency-Key HTTP Header Field" says what a caller may expect. The lock is PostgreSQL's and
ends with its transaction, so a caller, a process or a connection that dies leaves nothing behind, and a pooler in
transaction mode may stand between.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from handlers.common.database import Database
from handlers.common.tables import idempotent_requests as table

KEPT = timedelta(days=1)
BATCH = 1000


@dataclass(frozen=True)
class Request:
    """One request as its caller means it.

    Parameters
    ----------
    scope
        SHA-256 in hex of whose request it is, where to, and under which key.
    fingerprint
        SHA-256 in hex of what was asked.
    """

    scope: str
    fingerprint: str

    @classmethod
    def of(cls, caller: str, route: str, key: str, body: bytes) -> Request:
        """Name a request; of the caller's secret only the digest is taken, and of that only another one is kept."""
        scope = json.dumps([caller, route, key]).encode()
        return cls(hashlib.sha256(scope).hexdigest(), hashlib.sha256(body).hexdigest())


@dataclass(frozen=True)
class Kept:
    """The answer that a request got, and what it had asked."""

    fingerprint: str
    status: int
    body: str


def lock(connection: sa.Connection, request: Request) -> bool:
    """Hold the request until the transaction ends; False, at once, where another transaction does."""
    number = int.from_bytes(bytes.fromhex(request.scope)[:8], signed=True)
    return bool(connection.execute(sa.select(sa.func.pg_try_advisory_xact_lock(number))).scalar_one())


def find(connection: sa.Connection, request: Request, *, now: datetime) -> Kept | None:
    """Return the answer of the last day; under the lock, or another transaction may be about to write it."""
    query = sa.select(table.c.fingerprint, table.c.status, table.c.body).where(
        table.c.scope == request.scope, table.c.answered_at > now - KEPT
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else Kept(*row)


def keep(connection: sa.Connection, request: Request, status: int, body: str, *, now: datetime) -> None:
    """Write the answer down, in the transaction that did the work."""
    values = {"fingerprint": request.fingerprint, "status": status, "body": body, "answered_at": now}
    statement = insert(table).values(scope=request.scope, **values)
    # What is there is older than a day: `find` saw nothing, under the lock.
    connection.execute(statement.on_conflict_do_update(index_elements=["scope"], set_=values))


def sweep_requests(database: Database, *, now: datetime) -> int:
    """Remove answers that are older than a day, and return how many; the sweeper's part."""
    removed = 0
    while True:
        with database.begin() as connection:
            old = sa.select(table.c.scope).where(table.c.answered_at <= now - KEPT).limit(BATCH)
            # One that is being replaced this moment is skipped, not waited for.
            gone = sa.delete(table).where(table.c.scope.in_(old.with_for_update(skip_locked=True)))
            count = connection.execute(gone).rowcount
        removed += count
        if count < BATCH:
            return removed
