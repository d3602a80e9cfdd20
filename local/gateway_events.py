"""Routes, events and answers of an HTTP API, payload format 2.0, as plain functions.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from werkzeug.datastructures import Headers
from werkzeug.wrappers import Request, Response

# Content types that reach a function as text; anything else is base64.
_TEXT = re.compile(r"text/.*|application/(json|javascript|xml|graphql|.*\+(json|xml))")
_FUNCTION_URI = re.compile(r"arn:[^:]*:apigateway:[^:]*:lambda:path/[^/]*/functions/(?P<arn>[^/]+)/invocations")
# `{name}` or `{name+}`, as `re.escape` writes it
_PARAMETER = re.compile(r"\\\{(\w+)(\\\+)?\\\}")


@dataclass(frozen=True)
class Match:
    """The route of a request."""

    stage: str
    stage_variables: dict[str, str]
    route_key: str
    target: str
    parameters: dict[str, str]
    source: str
    """What follows the API's id in the ARN that the function's resource policy sees."""


def find_route(api: Any, method: str, path: str) -> Match | None:
    """The most specific route for a request; None if there is no stage or no route.

    A path that begins with a stage's name belongs to it, any other to `$default`; a literal segment goes before a
    variable one, a variable before a greedy one, a method before ANY, and `$default` takes what is left
    (https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html).
    """
    head, _, rest = path.lstrip("/").partition("/")
    if head in api.stages:
        stage, path = api.stages[head], f"/{rest}"
    elif "$default" in api.stages:
        stage = api.stages["$default"]
    else:
        return None
    best: tuple[tuple[int, ...], Any, dict[str, str]] | None = None
    for route in api.routes.values():
        found = _match(route.route_key, method, path)
        if found is not None and (best is None or found[0] > best[0]):
            best = (found[0], route, found[1])
    if best is None:
        return None
    _, route, parameters = best
    verb, _, pattern = route.route_key.partition(" ")
    source = f"{stage.name}/{verb if verb == '$default' else method}{pattern}"
    return Match(stage.name, dict(stage.stage_variables or {}), route.route_key, route.target, parameters, source)


def _match(route_key: str, method: str, path: str) -> tuple[tuple[int, ...], dict[str, str]] | None:
    """How specific the route is for the request, and its path parameters; None if it does not match."""
    if route_key == "$default":
        return (-1,), {}
    verb, _, pattern = route_key.partition(" ")
    if verb not in ("ANY", method):
        return None
    found = _PARAMETER.sub(lambda part: f"(?P<{part[1]}>{'.+' if part[2] else '[^/]+'})", re.escape(pattern.strip("/")))
    values = re.fullmatch(found, path.strip("/"))
    if values is None:
        return None
    ranks = (_rank(segment) for segment in pattern.strip("/").split("/"))
    return (*ranks, 3, int(verb == method)), values.groupdict()


def _rank(segment: str) -> int:
    return 0 if segment.endswith("+}") else 1 if segment.startswith("{") else 2


def function_arn(integration_uri: str) -> str:
    """The function's ARN in an integration's URI, which is the ARN itself or API Gateway's own form of it."""
    match = _FUNCTION_URI.fullmatch(integration_uri)
    return match["arn"] if match else integration_uri


def event(
    request: Request, body: bytes, match: Match, *, api_id: str, account: str, region: str, request_id: str, now: float
) -> dict[str, Any]:
    """The event for a request.

    Parameters
    ----------
    now : float
        Seconds since the epoch.
    """
    domain = f"{api_id}.execute-api.{region}.amazonaws.com"
    headers = {name.lower(): value for name, value in request.headers.items() if name.lower() != "cookie"}
    cookies = [each.strip() for each in request.headers.get("Cookie", "").split(";") if each.strip()]
    query = {name: ",".join(values) for name, values in request.args.lists()}
    made: dict[str, Any] = {
        "version": "2.0",
        "routeKey": match.route_key,
        "rawPath": request.path,
        "rawQueryString": request.query_string.decode("latin-1"),
        "headers": headers,
        "requestContext": {
            "accountId": account,
            "apiId": api_id,
            "domainName": domain,
            "domainPrefix": api_id,
            "http": {
                "method": request.method,
                "path": request.path,
                "protocol": request.environ.get("SERVER_PROTOCOL", "HTTP/1.1"),
                "sourceIp": request.remote_addr or "127.0.0.1",
                "userAgent": request.headers.get("User-Agent", ""),
            },
            "requestId": request_id,
            "routeKey": match.route_key,
            "stage": match.stage,
            "time": datetime.fromtimestamp(now, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "timeEpoch": int(now * 1000),
        },
        "isBase64Encoded": False,
    }
    optional = {
        "cookies": cookies,
        "queryStringParameters": query,
        "pathParameters": match.parameters,
        "stageVariables": match.stage_variables,
    }
    made |= {name: value for name, value in optional.items() if value}
    if body:
        made["body"], made["isBase64Encoded"] = _encoded(body, request.mimetype)
    return made


def encode(made: dict[str, Any]) -> bytes:
    """The event as it is sent to the function."""
    return json.dumps(made, ensure_ascii=False).encode()


def _encoded(body: bytes, mimetype: str) -> tuple[str, bool]:
    if _TEXT.fullmatch(mimetype):
        try:
            return body.decode(), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(body).decode(), True


def response(payload: bytes) -> Response:
    """What a function's answer says to the caller.

    An answer without `statusCode` is the body itself, with status 200.

    Raises
    ------
    ValueError
        If the answer is not one.
    """
    answer = json.loads(payload or b"null")
    if not isinstance(answer, dict) or "statusCode" not in answer:
        text = answer if isinstance(answer, str) else json.dumps(answer)
        return Response(text, status=200, headers=Headers({"Content-Type": "application/json"}))
    status = int(answer["statusCode"])
    if not 100 <= status <= 599:  # noqa: PLR2004
        raise ValueError(f"statusCode {status}")
    headers = Headers()
    for name, value in (answer.get("headers") or {}).items():
        headers[str(name)] = str(value).lower() if isinstance(value, bool) else str(value)
    for cookie in answer.get("cookies") or []:
        headers.add("Set-Cookie", str(cookie))
    body = answer.get("body")
    if body is None:
        body = ""
    if not isinstance(body, str):
        raise ValueError(f"body is a {type(body).__name__}, not a string")
    content = base64.b64decode(body, validate=True) if answer.get("isBase64Encoded") else body.encode()
    if "Content-Type" not in headers:
        headers["Content-Type"] = "text/plain; charset=utf-8"
    headers.remove("Content-Length")
    return Response(content, status=status, headers=headers)
