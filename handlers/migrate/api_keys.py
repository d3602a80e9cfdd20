"""Keys of the API added, listed and revoked from inside the network, for operators who cannot reach the database.

The event carries a key's digest and never the key: it stands in no log and no trace of an invocation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from handlers.common import stored_keys
from handlers.common.clock import now
from handlers.common.database import Database
from handlers.common.keys import DIGEST, NAME


class KeysEventError(ValueError):
    """The event is not one of those that `answer` knows."""


def answer(event: Mapping[str, Any], database: Database) -> dict[str, Any]:
    """Do what ``event["keys"]`` says.

    ``{"keys": "add", "name": NAME, "digest": SHA256}`` answers ``{"digest"}``, ``{"keys": "revoke", "digest": SHA256}``
    ``{"digest", "revoked_at"}``, ``{"keys": "list"}``
    ``{"keys": [{"digest", "name", "made_at", "revoked_at", "last_used_on"}]}``.

    Raises
    ------
    KeysEventError
        Another event, or a revocation of a key that is not there.
    handlers.common.database.DatabaseUnavailableError
        The database does not answer.
    """
    what = event.get("keys")
    if what == "list":
        with database.begin() as connection:
            return {"keys": [_document(row) for row in stored_keys.listing(connection)]}
    digest = event.get("digest")
    if what not in ("add", "revoke") or not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        raise KeysEventError("keys: send list, or add or revoke with a digest of 64 hex digits")
    if what == "add":
        name = event.get("name")
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise KeysEventError("keys: the name is not up to 63 of a-z, 0-9, dot, dash, underscore")
        with database.begin() as connection:
            stored_keys.add(connection, name, digest, now=now())
        return {"digest": digest}
    with database.begin() as connection:
        revoked_at = stored_keys.revoke(connection, digest, now=now())
    if revoked_at is None:
        raise KeysEventError("keys: there is no key with this digest")
    return {"digest": digest, "revoked_at": revoked_at.isoformat()}


def _document(row: Any) -> dict[str, str | None]:
    def text(value: Any) -> str | None:
        return None if value is None else value.isoformat()

    return {
        "digest": row.digest,
        "name": row.name,
        "made_at": text(row.made_at),
        "revoked_at": text(row.revoked_at),
        "last_used_on": text(row.last_used_on),
    }
