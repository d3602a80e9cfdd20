"""The ``migrate`` function: brings the schema to the newest revision and says what it did."""

from __future__ import annotations

import logging
from typing import Any

from handlers.common.database import Database
from handlers.common.entry import entry
from handlers.common.secrets import CURRENT
from handlers.common.settings import DatabaseSettings
from handlers.migrate.login import try_login
from handlers.migrate.schema import upgrade

log = logging.getLogger(__name__)
# A revision may rewrite a table: the limit is the function's own, not that of a request.
STATEMENT_SECONDS = 600


@entry()
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Upgrade the schema; answers ``{"revision", "applied", "stamped"}``, and raises where it cannot.

    ``{"check": "login", "stage": "AWSCURRENT"}`` only tries to log in, from inside the network: see `login.py`.
    """
    if event.get("check") == "login":
        return try_login(DatabaseSettings.from_environment(), str(event.get("stage") or CURRENT))
    database = Database(DatabaseSettings.from_environment(), statement_seconds=STATEMENT_SECONDS)
    try:
        with database.begin() as connection:
            done = upgrade(connection)
    finally:
        database.dispose()
    answer = {"revision": done.revision, "applied": list(done.applied), "stamped": done.stamped}
    log.info("schema is up to date", extra=answer)
    return answer
