"""A stand-in for the flows whose code lives in BlueMoxon's own backend; the local stack's alone, and it says so.

It keeps the contract: the version without work, the flow's message body, partial batch failures. Its only work is to
log in to the database, which is what the flow's role is granted for.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from functools import cache
from typing import Any

import sqlalchemy as sa

from handlers.common.database import Database
from handlers.common.settings import DatabaseSettings
from handlers.common.version import version_answer

log = logging.getLogger(__name__)
log.setLevel(logging.INFO)

#: Message bodies by flow: each key with the type of its value.
BODIES: Mapping[str, Mapping[str, type]] = {
    "analysis": {"job_id": str, "book_id": int, "model": str},
    "eval_runbook": {"job_id": str, "book_id": int},
    "profile_generation": {"job_id": str, "entity_type": str, "entity_id": int},
    "entity_enrichment": {"entity_type": str, "entity_id": int, "entity_name": str},
    "tracking": {"book_id": int},
}


class RefusedBodyError(ValueError):
    """A message is none of the flow's; the message of this error says why, without the body."""


def check(flow: str, text: str) -> dict[str, Any]:
    """Return the body of one of a flow's messages.

    Raises
    ------
    RefusedBodyError
        It is not JSON, not an object, or lacks a key or has one of another type.
    """
    try:
        body = json.loads(text)
    except json.JSONDecodeError as error:
        raise RefusedBodyError(f"the body is not JSON (line {error.lineno}, column {error.colno})") from None
    if not isinstance(body, dict):
        raise RefusedBodyError("the body is no JSON object")
    for key, kind in BODIES[flow].items():
        # True is an int to Python, and no id.
        if not isinstance(body.get(key), kind) or isinstance(body[key], bool):
            raise RefusedBodyError(f"{key} must be of type {kind.__name__}")
    return body


@cache
def _database() -> Database:
    return Database(DatabaseSettings.from_environment())


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answer the version, or check a batch of messages and give back those that are refused."""
    if answer := version_answer(event):
        return dict(answer)
    flow = os.environ["POWERTOOLS_SERVICE_NAME"]
    failures = []
    for record in event["Records"]:
        identifier = record["messageId"]
        try:
            body = check(flow, record["body"])
        except RefusedBodyError as error:
            log.warning("STAND-IN for %s: message %s is given back: %s", flow, identifier, error)
            failures.append({"itemIdentifier": identifier})
            continue
        with _database().begin() as connection:
            connection.execute(sa.select(sa.literal(1)))
        names = ", ".join(sorted(body))
        log.warning("STAND-IN for %s: message %s (%s) is acknowledged, nothing was done", flow, identifier, names)
    return {"batchItemFailures": failures}
