"""The ``migrate`` function: brings the schema to the newest revision and says what it did."""

from __future__ import annotations

import logging
from typing import Any

from handlers.common.database import Database
from handlers.common.entry import entry
from handlers.common.secrets import CURRENT
from handlers.common.settings import DatabaseSettings
from handlers.migrate import api_keys
from handlers.migrate.login import Endpoint, try_login
from handlers.migrate.schema import upgrade

log = logging.getLogger(__name__)
# A revision may rewrite a table: the limit is the function's own, not that of a request.
STATEMENT_SECONDS = 600


@entry()
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Upgrade the schema; answers ``{"revision", "applied", "stamped"}``, and raises where it cannot.

    ``{"check": "login", "stage": "AWSCURRENT"}`` only tries to log in, from inside the network, at the instance's own
    ``host`` and ``port`` where these are given: see `login.py`.
    ``{"keys": ...}`` adds, lists or revokes keys of the API: see `api_keys.py`.
    """
    if event.get("check") == "login":
        stage, host, port = str(event.get("stage") or CURRENT), event.get("host"), event.get("port")
        endpoint = Endpoint(str(host), int(port)) if host and port else None
        return try_login(DatabaseSettings.from_environment(), stage, endpoint)
    if "keys" in event:
        keys_database = Database(DatabaseSettings.from_environment())
        try:
            return api_keys.answer(event, keys_database)
        finally:
            keys_database.dispose()
    database = Database(DatabaseSettings.from_environment(), statement_seconds=STATEMENT_SECONDS)
    try:
        with database.begin() as connection:
            done = upgrade(connection)
    finally:
        database.dispose()
    answer = {"revision": done.revision, "applied": list(done.applied), "stamped": done.stamped}
    log.info("schema is up to date", extra=answer)
    return answer
