"""The ``migrate`` function: brings the schema to the newest revision and says what it did."""

from __future__ import annotations

from typing import Any

from handlers.common import logs
from handlers.common.database import Database
from handlers.common.secrets import CURRENT
from handlers.common.settings import DatabaseSettings
from handlers.common.version import version_answer
from handlers.migrate import api_keys
from handlers.migrate.login import Endpoint, try_login
from handlers.migrate.schema import upgrade

logger = logs.configure()
# A revision may rewrite a table: the limit is the function's own, not that of a request.
STATEMENT_SECONDS = 600


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Upgrade the schema; answers ``{"revision", "applied", "stamped"}``, and raises where it cannot.

    ``{"check": "login", "stage": "AWSCURRENT"}`` only tries to log in, from inside the network, at the instance's own
    ``host`` and ``port`` where these are given: see `login.py`.
    ``{"keys": ...}`` adds, lists or revokes keys of the API: see `api_keys.py`.
    """
    if answer := version_answer(event):
        return dict(answer)
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
    logger.info("schema is up to date", revision=done.revision, applied=list(done.applied), stamped=done.stamped)
    return {"revision": done.revision, "applied": list(done.applied), "stamped": done.stamped}
