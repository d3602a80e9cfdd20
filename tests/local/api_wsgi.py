"""The API's handler as a WSGI application, so that tools which speak HTTP reach it without a server."""

import base64
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

from handlers.api.app import handler
from tests.local.api_caller import Context


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Make a gateway's event of a request, payload format 2.0, and the answer of what the handler returns."""
    answer = handler(event_of(environ), Context())
    status = HTTPStatus(answer["statusCode"])
    start_response(f"{status.value} {status.phrase}", [(name, str(value)) for name, value in answer["headers"].items()])
    body = answer["body"]
    return [base64.b64decode(body) if answer.get("isBase64Encoded") else body.encode()]


def event_of(environ: dict[str, Any]) -> dict[str, Any]:
    # WSGI carries text as Latin-1 of the bytes that were sent.
    path = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace")
    query = environ.get("QUERY_STRING", "")
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": dict(_headers(environ)),
        "requestContext": {
            "http": {"method": environ["REQUEST_METHOD"], "path": path, "sourceIp": "127.0.0.1"},
            "requestId": "id",
            "stage": "$default",
        },
        "isBase64Encoded": False,
    }
    if query:
        values = parse_qs(query, keep_blank_values=True, errors="replace")
        event["queryStringParameters"] = {name: ",".join(each) for name, each in values.items()}
    if body := environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)):
        event |= {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
    return event


def _headers(environ: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in environ.items():
        if name.startswith("HTTP_"):
            yield name.removeprefix("HTTP_").replace("_", "-").lower(), value
    if environ.get("CONTENT_TYPE"):
        yield "content-type", environ["CONTENT_TYPE"]
