"""What is decided before any route: the caller's key, the body's size, type and encoding.

It stands before the resolver and is no middleware, because Powertools validates the request before its middlewares
run: without a key a caller would learn what a valid request looks like, and make us parse it.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from handlers.api import admin_page, callers
from handlers.api.problems import ProblemError

PAGE_PATH = "/api/v1/docs"
PUBLIC_PATHS = admin_page.PUBLIC_PATHS | {
    "/api/v1/health/live",
    "/api/v1/health/ready",
    "/api/v1/health/version",
    PAGE_PATH,
}
# Without a key they say less; a key that is sent must be valid all the same.
KEY_OPTIONAL_PATHS = frozenset({"/api/v1/health/deep"})
JSON = "application/json"
MAX_BODY_BYTES = 64 * 1024  # requests are small; photographs go to S3 directly


def admit(event: Mapping[str, Any]) -> dict[str, Any]:
    """Let a request pass to the routes.

    Returns
    -------
    dict
        The event for the resolver. Its content type is written as Powertools compares it: in lower case. The name of
        the key's owner stands where API Gateway puts what an authorizer found out; `owner` reads it.

    Raises
    ------
    ProblemError
        401 without a valid key, 413, 415 or 400 for a body that no route could read.
    DatabaseUnavailableError, SecretError, SettingError
        Whether the key is valid cannot be told.
    """
    headers = {str(name).lower(): str(value) for name, value in (event.get("headers") or {}).items()}
    known = _owner(str(event.get("rawPath")), headers.get("x-api-key"))
    if event.get("body"):
        _check_body(event, headers.get("content-type", JSON))
        headers["content-type"] = JSON
    context = {**event.get("requestContext", {}), "authorizer": {"lambda": {"owner": known}}}
    return {**event, "headers": headers, "requestContext": context}


def owner(event: Mapping[str, Any]) -> str | None:
    """Return the name of the key with which an admitted request came, or ``None`` if it came without one."""
    name = event["requestContext"]["authorizer"]["lambda"]["owner"]
    return None if name is None else str(name)


def _owner(path: str, key: str | None) -> str | None:
    if path in PUBLIC_PATHS or (path in KEY_OPTIONAL_PATHS and key is None):
        return None
    found = callers.owner(key or "")
    if found is None:
        raise ProblemError(HTTPStatus.UNAUTHORIZED, "Send a valid key in the header X-API-Key.")
    return found


def _check_body(event: Mapping[str, Any], content_type: str) -> None:
    body = event["body"]
    # Base64 makes four characters of three bytes; the length alone refuses what need not be decoded.
    limit = MAX_BODY_BYTES * 4 // 3 + 4 if event.get("isBase64Encoded") else MAX_BODY_BYTES
    if len(body) > limit:
        raise ProblemError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body has more than {MAX_BODY_BYTES} bytes; photographs go to S3."
        )
    if content_type.partition(";")[0].strip().lower() != JSON:
        raise ProblemError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send application/json.")
    try:
        raw = base64.b64decode(body, validate=True) if event.get("isBase64Encoded") else body.encode()
        raw.decode()
    except (binascii.Error, UnicodeError):
        raise ProblemError(HTTPStatus.BAD_REQUEST, "The body is not UTF-8.") from None


def parse_json(text: str) -> Any:
    """Read a body. Besides bad syntax this refuses nesting and numbers that only an attacker sends.

    Raises
    ------
    ProblemError
        400.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        detail = f"The body is not JSON: {error.msg} at character {error.pos}."
        raise ProblemError(HTTPStatus.BAD_REQUEST, detail) from None
    except (ValueError, RecursionError):
        raise ProblemError(HTTPStatus.BAD_REQUEST, "The body is nested too deep or holds a huge number.") from None
