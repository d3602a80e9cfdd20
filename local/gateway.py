"""API Gateway's HTTP APIs in the embedded cloud: requests in, payload format 2.0 events to functions, answers out.

The APIs, stages, routes and integrations are those in moto's backend; limits and refusals are API Gateway's
(https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html).
"""

from __future__ import annotations

import concurrent.futures
import logging
import secrets
import socket
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from moto.apigatewayv2.models import apigatewayv2_backends
from werkzeug.datastructures import Headers
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

from local import gateway_cors, gateway_events
from local.gateway_events import Match
from local.invocation import Invocation, InvokeError
from local.lambda_runtime import LambdaRuntime
from local.log_file import LogFile
from local.patching import Patches

REQUEST_LIMIT = 10 * 1024 * 1024
"""Bytes of the largest request body."""
HEAD_LIMIT = 10_240
"""Bytes of request line and header values together; the quotas do not name the status, 431 is what it means."""
TIMEOUT_SECONDS = 30.0
"""The longest that an integration may take."""

_DRAIN_LIMIT = 8 * REQUEST_LIMIT
_CHUNK = 1 << 16
_log = logging.getLogger(__name__)


class _Refused(Exception):  # noqa: N818  an answer, not an error
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class Gateway:
    """One HTTP server for the APIs of one account and region.

    Parameters
    ----------
    runtime : LambdaRuntime
        Invokes the functions.
    log : pathlib.Path
        Access log: method, path without its query, status, milliseconds. Headers are never written down.
    port : int
        Port on 127.0.0.1; 0 takes a free one.

    Raises
    ------
    OSError
        If the port is taken.
    """

    def __init__(self, runtime: LambdaRuntime, log: Path, port: int = 0) -> None:
        self._runtime = runtime
        self._access = LogFile(log)
        self._own_pages = Patches()
        self._invocations = concurrent.futures.ThreadPoolExecutor(64, thread_name_prefix="gateway")
        # werkzeug, asked to bind a taken port, ends the process: it gets a socket that listens already
        with socket.create_server(("127.0.0.1", port), backlog=128) as listening:
            self._server: BaseWSGIServer = make_server(
                "127.0.0.1", port, self._answer, threaded=True, request_handler=_Quiet, fd=listening.fileno()
            )
        self._server.daemon_threads = True  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, name="gateway", daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> None:
        """Serve."""
        self._own_pages = gateway_cors.count_as(self.url, self._api_address)
        self._thread.start()

    def stop(self) -> None:
        """Serve no more; the runtime must have ended its invocations."""
        self._own_pages.undo()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._invocations.shutdown(wait=False, cancel_futures=True)
        self._access.close()

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = Request(environ)
        started = self._runtime.clock.now()
        api = self._api()
        try:
            answer = self._handle(request, api, started)
        except _Refused as refused:
            answer = _json(refused.status, refused.message)
        except Exception:  # noqa: BLE001  logged, and answered as API Gateway does; the server goes on
            _log.exception("the gateway failed at %s %s", request.method, request.path)
            answer = _json(500, "Internal Server Error")
        if api is not None:
            gateway_cors.add_headers(api.cors_configuration, request.headers.get("Origin"), answer)
        milliseconds = (self._runtime.clock.now() - started) * 1000
        self._access.write(f"{request.method} {request.path} {answer.status_code} {milliseconds:.0f} ms")
        return answer(environ, start_response)

    def _api(self) -> Any:
        """The HTTP API that paths lead to; None if there is none."""
        apis = apigatewayv2_backends[self._runtime.account][self._runtime.region].apis.values()
        return next((each for each in apis if each.protocol_type == "HTTP"), None)

    def _api_address(self) -> str | None:
        api = self._api()
        return None if api is None else str(api.api_endpoint)

    def _handle(self, request: Request, api: Any, started: float) -> Response:
        body = _body(request)
        if _head_bytes(request) > HEAD_LIMIT:
            raise _Refused(431, "Request Header Fields Too Large")
        if api is None:
            raise _Refused(404, "Not Found")
        if preflight := gateway_cors.preflight(api.cors_configuration, request):
            return preflight
        match = gateway_events.find_route(api, request.method, request.path)
        if match is None:
            raise _Refused(404, "Not Found")
        function, timeout = self._integration(api, match)
        event = gateway_events.event(
            request, body, match, api_id=api.api_id, account=self._runtime.account, region=self._runtime.region,
            request_id=secrets.token_urlsafe(12), now=started,
        )  # fmt: skip
        invocation = self._invoke(function, gateway_events.encode(event), timeout)
        if invocation.function_error is not None:
            raise _Refused(500, "Internal Server Error")
        try:
            return gateway_events.response(invocation.payload)
        except ValueError as error:
            _log.error("the answer of %s is no API Gateway response: %s", function, error)
            raise _Refused(500, "Internal Server Error") from error

    def _integration(self, api: Any, match: Match) -> tuple[str, float]:
        """ARN of the route's function and seconds to wait, if the function lets this route in."""
        integration = api.integrations.get((match.target or "").removeprefix("integrations/"))
        if integration is None or integration.integration_type != "AWS_PROXY":
            _log.error("route %s has no AWS_PROXY integration", match.route_key)
            raise _Refused(500, "Internal Server Error")
        if integration.payload_format_version != "2.0":
            _log.error("integration %s: only payload format 2.0 is known here", integration.id)
            raise _Refused(500, "Internal Server Error")
        function = gateway_events.function_arn(integration.integration_uri)
        source = f"arn:aws:execute-api:{self._runtime.region}:{self._runtime.account}:{api.api_id}/{match.source}"
        decision = self._runtime.iam.service_may("apigateway.amazonaws.com", "lambda:InvokeFunction", function, source)
        if not decision.allowed:
            _log.error("route %s may not invoke %s: its resource policy does not allow it", match.route_key, function)
            raise _Refused(500, "Internal Server Error")
        return function, min((integration.timeout_in_millis or 30_000) / 1000, TIMEOUT_SECONDS)

    def _invoke(self, function: str, payload: bytes, timeout: float) -> Invocation:
        # The function goes on when the caller's time is over, as on AWS: it runs in a thread of its own.
        future = self._invocations.submit(self._runtime.invoke, function, payload)
        try:
            return future.result(timeout)
        except concurrent.futures.TimeoutError:
            raise _Refused(503, "Service Unavailable") from None
        except InvokeError as error:
            if error.status == 413:  # noqa: PLR2004
                raise _Refused(413, "Request Entity Too Large") from error
            _log.error("%s: %s", function, error)
            throttled = error.status == 429  # noqa: PLR2004
            raise _Refused(*(503, "Service Unavailable") if throttled else (500, "Internal Server Error")) from error


def _head_bytes(request: Request) -> int:
    line = f"{request.method} {request.environ['REQUEST_URI']} {request.environ['SERVER_PROTOCOL']}"
    return len(line) + sum(len(value) for _, value in request.headers.items())


def _body(request: Request) -> bytes:
    """The body, refused above the limit; what is too much is read all the same, or the caller would see no answer."""
    chunks, total = [], 0
    while chunk := request.environ["wsgi.input"].read(_next_read(request, total)):
        total += len(chunk)
        if total <= REQUEST_LIMIT:
            chunks.append(chunk)
        if total > _DRAIN_LIMIT:
            break
    if total > REQUEST_LIMIT:
        raise _Refused(413, "Request Entity Too Large")
    return b"".join(chunks)


def _next_read(request: Request, so_far: int) -> int:
    if request.environ.get("wsgi.input_terminated"):
        return _CHUNK
    return max(0, min(_CHUNK, (request.content_length or 0) - so_far))


def _json(status: int, message: str) -> Response:
    headers = Headers({"Content-Type": "application/json"})
    return Response(f'{{"message":"{message}"}}', status=status, headers=headers)


class _Quiet(WSGIRequestHandler):
    """Keeps connections and logs nothing: request lines hold queries, and queries may hold keys."""

    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: Any) -> None:
        """Say nothing; the gateway has its own access log."""

    def make_environ(self) -> dict[str, Any]:
        """As werkzeug does, and unambiguous for a path that begins with two slashes."""
        environ = dict(super().make_environ())
        environ["PATH_INFO"] = unquote(self.path.partition("?")[0]).encode().decode("latin-1")
        return environ
