"""CORS as an HTTP API's own configuration says, and nothing without one.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping
from typing import Any

from moto.s3 import responses as s3
from werkzeug.wrappers import Request, Response

from local.patching import Patches


def preflight(configuration: Mapping[str, Any] | None, request: Request) -> Response | None:
    """The answer to a browser's preflight request; None if this is none, or the API has no configuration."""
    if not configuration or request.method != "OPTIONS":
        return None
    if "Origin" not in request.headers or "Access-Control-Request-Method" not in request.headers:
        return None
    answer = Response(status=204)
    if not _allowed(configuration, request.headers["Origin"]):
        return answer
    for field, header in (("allowMethods", "Methods"), ("allowHeaders", "Headers")):
        if configuration.get(field):
            answer.headers[f"Access-Control-Allow-{header}"] = ",".join(configuration[field])
    if configuration.get("maxAge") is not None:
        answer.headers["Access-Control-Max-Age"] = str(configuration["maxAge"])
    return answer


def add_headers(configuration: Mapping[str, Any] | None, origin: str | None, answer: Response) -> None:
    """Add the origin's headers to an answer; those of the function are replaced, as API Gateway does."""
    if not configuration:
        return
    for name in [each for each in answer.headers.keys() if each.lower() == "access-control-allow-origin"]:  # noqa: SIM118
        del answer.headers[name]
    if origin is None or not _allowed(configuration, origin):
        return
    everyone = "*" in configuration.get("allowOrigins", []) and not configuration.get("allowCredentials")
    answer.headers["Access-Control-Allow-Origin"] = "*" if everyone else origin
    if configuration.get("allowCredentials"):
        answer.headers["Access-Control-Allow-Credentials"] = "true"
    if configuration.get("exposeHeaders"):
        answer.headers["Access-Control-Expose-Headers"] = ",".join(configuration["exposeHeaders"])


def _allowed(configuration: Mapping[str, Any], origin: str) -> bool:
    return any(fnmatch.fnmatchcase(origin, pattern) for pattern in configuration.get("allowOrigins", []))


def count_as(gateway: str, address: Callable[[], str | None]) -> Patches:
    """Let a page that the gateway serves count as one of the API's own address, wherever buckets ask for origins.

    The program names the API's address on AWS in a bucket's CORS rules; a local page comes from the gateway's.
    """
    patches = Patches()
    original = s3.cors_matches_origin

    def matches(origin: str, allowed: list[str]) -> bool:
        return bool(original((address() or origin) if origin == gateway else origin, allowed))

    patches.set(s3, "cors_matches_origin", matches)
    return patches
