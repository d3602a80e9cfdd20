"""``Idempotency-Key``: a request that is sent twice does its work once, whatever became of the first answer.

After the IETF's draft-ietf-httpapi-idempotency-key-header-07. Everything that a request with a key does is one
transaction, which holds its lock from the first look to the commit and writes the answer down with the work. What was
refused is not kept: it did nothing, so a repetition is a request like any other.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from handlers.api.parts import Joined, joined, whole
from handlers.api.problems import ProblemError
from handlers.common import idempotency
from handlers.common.clock import now
from handlers.common.idempotency import Kept, Request

log = logging.getLogger(__name__)

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
MAX_KEY_LENGTH = 255
# A string as RFC 9651 writes it (3.3.3), which the draft asks for; or the same bare, as many clients send it.
_QUOTED = rf'(?:[ !#-\[\]-~]|\\["\\]){{1,{MAX_KEY_LENGTH}}}'
_BARE = rf"[A-Za-z0-9_.~:+/=-]{{1,{MAX_KEY_LENGTH}}}"
KEY = re.compile(rf'"(?P<quoted>{_QUOTED})"|(?P<bare>{_BARE})')
DOCUMENTED = rf'^("{_QUOTED}"|{_BARE})$'
IN_USE = "urn:bluemoxon:problem:idempotency-key-in-use"
REUSED = "urn:bluemoxon:problem:idempotency-key-reused"

Answer = dict[str, Any]


def takes_key(method: str, path: str) -> bool:
    """Tell which requests do their work once: every POST but those whose work is SQS's, in no transaction of ours."""
    return method.upper() == "POST" and not path.startswith("/api/v1/admin/")


def answer(event: Mapping[str, Any], resolve: Callable[[], Answer]) -> Answer:
    """Answer an admitted request: by doing it, or as it was answered before.

    Parameters
    ----------
    event
        In payload format 2.0.
    resolve
        Does it.

    Raises
    ------
    ProblemError
        400 the key cannot be read; 409 the same request is at work; 422 the key was used for another request.
    """
    request = _request(event)
    return resolve() if request is None else _once(request, resolve)


def _once(request: Request, resolve: Callable[[], Answer]) -> Answer:
    with whole().database.begin() as connection:
        if not idempotency.lock(connection, request):
            raise _in_use()
        if (kept := idempotency.find(connection, request, now=now())) is not None:
            return _again(request, kept)
        with joined(connection) as work:
            done = resolve()
            if done["statusCode"] >= HTTPStatus.BAD_REQUEST:
                connection.rollback()
                return done
        idempotency.keep(connection, request, done["statusCode"], done["body"], now=now())
    _finish(work)
    return done


def _finish(work: Joined) -> None:
    for act in work.after:
        try:
            act(whole())
        except Exception:
            # It is committed and will be answered so again; the sweeper finds what was not sent.
            log.exception("what follows a request was not done; the sweeper does it")


def _again(request: Request, kept: Kept) -> Answer:
    if kept.fingerprint != request.fingerprint:
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"This {HEADER} was used for a request with another body; send each request under a key of its own.",
            [{"field": f"header.{HEADER}", "message": "it was used for a request with another body"}],
            kind=(REUSED, f"{HEADER} is already used"),
        )
    return {
        "statusCode": kept.status,
        "headers": {"Content-Type": "application/json", REPLAYED: "true"},
        "body": kept.body,
        "isBase64Encoded": False,
    }


def _in_use() -> ProblemError:
    return ProblemError(
        HTTPStatus.CONFLICT,
        f"A request with this {HEADER} is at work; send it again in a moment for its answer.",
        headers={"Retry-After": "1"},
        kind=(IN_USE, f"A request is outstanding for this {HEADER}"),
    )


def _request(event: Mapping[str, Any]) -> Request | None:
    path, method = str(event["rawPath"]), event["requestContext"]["http"]["method"]
    sent = event["headers"].get(HEADER.lower())
    if sent is None or not takes_key(method, path):
        return None
    found = KEY.fullmatch(sent.strip(" \t"))
    if found is None:
        message = (
            f'it must be one string, "…" or bare, of 1 to {MAX_KEY_LENGTH} visible ASCII characters: a UUID is best'
        )
        detail = f"{HEADER}: {message}."
        raise ProblemError(HTTPStatus.BAD_REQUEST, detail, [{"field": f"header.{HEADER}", "message": message}])
    key = found["bare"] or re.sub(r"\\(.)", r"\1", found["quoted"])
    caller = hashlib.sha256(event["headers"]["x-api-key"].encode("utf-8", "surrogatepass")).hexdigest()
    return Request.of(caller, path.rstrip("/"), key, _body(event))


def _body(event: Mapping[str, Any]) -> bytes:
    """Return what is asked, without what JSON leaves to the writer; what is no JSON is refused by its route."""
    body = event.get("body") or ""
    raw = base64.b64decode(body) if event.get("isBase64Encoded") else body.encode()
    try:
        return json.dumps(json.loads(raw), sort_keys=True).encode()
    except (ValueError, RecursionError):
        return bytes(raw)
