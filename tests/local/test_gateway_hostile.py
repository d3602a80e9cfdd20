"""The API behind the gateway under requests that no client of ours sends: never a 5xx, each limit said by its owner."""

import http.client
import json
import socket
from typing import cast
from urllib.parse import urlsplit

import boto3
import pytest
from moto.apigatewayv2.models import apigatewayv2_backends

from handlers.api.app import handler
from handlers.api.edge import MAX_BODY_BYTES
from local.clock import Clock
from local.gateway import HEAD_LIMIT, REQUEST_LIMIT, Gateway
from local.iam import Decision
from local.invocation import Invocation, encode
from local.lambda_runtime import LambdaRuntime
from tests.local.api_caller import KEY, Context

BOOKS = "/api/v1/books"
BY_GATEWAY, BY_US = "application/json", "application/problem+json"
ROOM = 1000  # bytes left for what http.client and the key add
METHODS = ["FROB", "get", "PROPFIND", "TRACE", "CONNECT", "HEAD", "OPTIONS", "PATCH", "M" * 200, "GET/", "$default"]
PATHS = [
    "/%00", "/%ff%fe", "/%zz", "/..%2f..%2fetc%2fpasswd", "//", "//evil.example/api/v1/books", f"{BOOKS}/%F0%9F%93%9A",
    f"{BOOKS}/{'9' * 400}", f"{BOOKS}/-1", f"{BOOKS}/1/../2", f"{BOOKS};a=b", f"{BOOKS}?limit=%00&limit=%ff",
    f"{BOOKS}?%zz", f"{BOOKS}?{'a=1&' * 1500}", "/" + "a/" * 4000, f"{BOOKS}/{'a' * 9000}", "*", "http://evil.example/api/v1/books",
]  # fmt: skip
HEADERS = [
    ("X-API-Key", "k" * 8000), ("X-API-Key", "\xff\xfe"), ("X-API-Key", ""), ("Content-Type", "x" * 8000),
    ("Content-Type", "application/json; charset=\xff"), ("Accept", "*/*," * 2000), ("Cookie", "a=b; " * 1500),
    ("Host", "evil.example"), ("X-Forwarded-For", "1, " * 2000), ("Origin", "null"), ("Traceparent", "\x01"),
]  # fmt: skip


class _Allow:
    def service_may(self, *_):
        return Decision("api", "lambda:InvokeFunction", "api", True, "a test", None, "", 0.0)


class _Lambda:
    """Runs the API's handler in this process, with Lambda's limit of an event."""

    account, region, clock, iam = "123456789012", "us-west-2", Clock(), _Allow()

    def invoke(self, function: str, payload: bytes) -> Invocation:
        try:
            answer, failed = handler(json.loads(encode(payload)), Context()), None
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            answer, failed = {"errorMessage": repr(error)}, "Unhandled"
        return Invocation(200, json.dumps(answer).encode(), failed, "$LATEST", b"", 0.0, 0.0, "id")


@pytest.fixture
def address(api, tmp_path):
    client = boto3.client("apigatewayv2")
    made = client.create_api(Name="books", ProtocolType="HTTP")["ApiId"]
    integration = client.create_integration(
        ApiId=made, IntegrationType="AWS_PROXY", IntegrationUri="arn:aws:lambda:us-west-2:123456789012:function:api",
        PayloadFormatVersion="2.0",
    )["IntegrationId"]  # fmt: skip
    client.create_route(ApiId=made, RouteKey="$default", Target=f"integrations/{integration}")
    client.create_stage(ApiId=made, StageName="$default", AutoDeploy=True)
    assert made in apigatewayv2_backends[_Lambda.account][_Lambda.region].apis
    gateway = Gateway(cast(LambdaRuntime, _Lambda()), tmp_path / "gateway.log")
    gateway.start()
    yield urlsplit(gateway.url).netloc
    gateway.stop()


def send(address, method="GET", path=BOOKS, headers=(), body=b""):
    """Status, content type and body of an answer; nothing of the request is checked or quoted on this side."""
    lines = [f"{method} {path} HTTP/1.1", f"Content-Length: {len(body)}", "Connection: close"]
    given = {name.lower() for name, _ in headers}
    defaults = [("Host", "localhost"), ("X-API-Key", KEY), ("Content-Type", "application/json")]
    lines += [f"{name}: {value}" for name, value in defaults if name.lower() not in given]
    lines += [f"{name}: {value}" for name, value in headers]
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        answer = http.client.HTTPResponse(connection, method=method)
        answer.begin()
        return answer.status, answer.getheader("Content-Type", "").partition(";")[0], answer.read().decode()


def test_no_method_path_or_header_makes_a_server_error(address):
    sent = [
        *((method, path, ()) for method in METHODS for path in (BOOKS, "/nowhere", "/api/v1/health/live")),
        *(("GET", path, ()) for path in PATHS),
        *((method, BOOKS, [header]) for header in HEADERS for method in ("GET", "POST")),
        ("GET", BOOKS, [(f"X-{number}", "1") for number in range(90)]),
    ]
    answers = [(each, *send(address, *each)) for each in sent]
    assert [(str(case)[:200], *said) for case, *said in answers if not 200 <= said[0] < 500] == []
    assert send(address)[0] == 200, "the gateway goes on"


def test_what_the_handler_makes_of_them_is_a_problem_document(address):
    for method in ("FROB", "PROPFIND", "M" * 200):
        assert send(address, method)[:2] == (405, BY_US), method
    assert send(address, path=f"{BOOKS}/{'a' * 8000}")[:2] == (422, BY_US)
    assert send(address, path="/" + "a" * 8000)[:2] == (404, BY_US)
    assert send(address, headers=[("X-API-Key", "k" * 8000)])[:2] == (401, BY_US)


@pytest.mark.parametrize(
    "request_",
    [
        {"path": f"{BOOKS}/{'a' * HEAD_LIMIT}"},
        {"path": f"{BOOKS}?{'a' * HEAD_LIMIT}"},
        {"headers": [("X-API-Key", "k" * HEAD_LIMIT)]},
        {"headers": [(f"X-{number}", "v" * 200) for number in range(60)]},
        {"method": "M" * HEAD_LIMIT},
    ],
    ids=["path", "query", "one header", "many headers", "method"],
)
def test_more_head_than_api_gateway_takes_is_the_gateways_refusal(address, request_):
    status, kind, body = send(address, **request_)
    assert (status, kind, json.loads(body)) == (431, BY_GATEWAY, {"message": "Request Header Fields Too Large"})


def test_as_much_head_as_api_gateway_takes_reaches_the_handler(address):
    assert send(address, headers=[("X-Long", "v" * (HEAD_LIMIT - ROOM))])[0] == 200


@pytest.mark.parametrize(("path", "headers"), [("/" + "a" * 70_000, ()), ("/", [("X-Long", "v" * 70_000)])])
def test_more_than_the_server_reads_of_a_line_is_refused_too(address, path, headers):
    assert send(address, path=path, headers=headers)[0] in (414, 431)


@pytest.mark.parametrize(
    ("size", "owner"), [(MAX_BODY_BYTES + 1, BY_US), (7 * 1024 * 1024, BY_GATEWAY), (REQUEST_LIMIT + 1, BY_GATEWAY)]
)
def test_a_body_over_a_limit_is_413_by_whoever_has_the_limit(address, size, owner):
    assert send(address, "POST", body=b'"' + b"a" * (size - 2) + b'"')[:2] == (413, owner)


NOTHING = {
    "nul": b"\x00", "no UTF-8": b"\xff\xfe", "nested": b"[" * 60_000, "a huge number": b"9" * 60_000, "two": b"{}{}",
    "a lone surrogate": b'{"title": "\\ud800"}', "an escaped nul": b'{"title": "\\u0000"}', "null": b"null",
}  # fmt: skip


@pytest.mark.parametrize("body", NOTHING.values(), ids=NOTHING)
def test_a_body_that_is_nothing_is_refused(address, body):
    status, kind, _ = send(address, "POST", body=body)
    assert 400 <= status < 500 and kind == BY_US
