"""Lambda's Runtime API for one function process (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html).

A function asks for the next invocation and waits, answers it with a result or an error, says when it could not start.
One server a process, as on Lambda: the client is given an address, not a path.
"""

from __future__ import annotations

import json
import queue
import re
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

RESPONSE_LIMIT = 6_291_556
"""Bytes of the largest answer to a synchronous invocation, as Lambda's own error message names it."""

_PREFIX = "/2018-06-01/runtime"
_INVOCATION = re.compile(rf"{_PREFIX}/invocation/([^/]+)/(response|error)")


@dataclass(frozen=True)
class Request:
    """One invocation on its way to a function."""

    request_id: str
    payload: bytes
    arn: str
    deadline: float
    """Seconds since the epoch, on the embedded cloud's clock."""
    trace_id: str


@dataclass(frozen=True)
class Answer:
    """What a function answered: its result, or an error."""

    payload: bytes
    error: bool = False


class RuntimeApi:
    """The server side; `address` goes into AWS_LAMBDA_RUNTIME_API."""

    def __init__(self) -> None:
        self.ready = threading.Event()
        """Set when the function asks for its first invocation, or cannot start."""
        self.init_error: bytes | None = None
        self._requests: queue.Queue[Request | None] = queue.Queue()
        self._answers: queue.Queue[Answer] = queue.Queue()
        self._current: str | None = None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, name="runtime-api", daemon=True)
        self._thread.start()

    def offer(self, request: Request) -> None:
        """Hand `request` to the function."""
        self._current = request.request_id
        self._requests.put(request)

    def answer(self, timeout: float) -> Answer | None:
        """The function's answer, or None if there is none within `timeout` seconds."""
        try:
            return self._answers.get(timeout=timeout)
        except queue.Empty:
            return None

    def close(self) -> None:
        """Stop serving; a function that still waits for an invocation gets no more."""
        self._requests.put(None)
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def next(self) -> Request | None:
        """Wait for an invocation; None when there will be no more."""
        self.ready.set()
        return self._requests.get()

    def post(self, path: str, body: bytes) -> int:
        """Take what a function posts to `path`; the HTTP status of that."""
        if path == f"{_PREFIX}/init/error":
            self.fail_start(body)
            return 202
        match = _INVOCATION.fullmatch(path)
        return self.accept(match[1], match[2], body) if match else 404

    def accept(self, request_id: str, kind: str, body: bytes) -> int:
        """Take a function's answer to `request_id`; the HTTP status of that."""
        if request_id != self._current:
            return 400
        self._current = None
        if kind == "response" and len(body) > RESPONSE_LIMIT:
            self._answers.put(Answer(_too_large(len(body)), error=True))
            return 413
        self._answers.put(Answer(body, error=kind == "error"))
        return 202

    def fail_start(self, body: bytes) -> None:
        """Note why the function could not start."""
        self.init_error = body
        self.ready.set()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Small answers on a kept connection: without this each waits for a delayed acknowledgement
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                if self.path != f"{_PREFIX}/invocation/next":
                    self._send(404, {"errorType": "NotFound"})
                    return
                request = api.next()
                if request is None:
                    self.close_connection = True
                    return
                headers = {
                    "Lambda-Runtime-Aws-Request-Id": request.request_id,
                    "Lambda-Runtime-Deadline-Ms": str(int(request.deadline * 1000)),
                    "Lambda-Runtime-Invoked-Function-Arn": request.arn,
                    "Lambda-Runtime-Trace-Id": request.trace_id,
                }
                self._write(200, request.payload, headers)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status = api.post(self.path, body)
                self._send(status, {"status": "OK"} if status == 202 else {"errorType": "RequestRefused"})  # noqa: PLR2004

            def _send(self, status: int, content: dict[str, Any]) -> None:
                self._write(status, json.dumps(content).encode(), {})

            def _write(self, status: int, body: bytes, headers: dict[str, str]) -> None:
                self.send_response(status)
                # awslambdaric refuses an answer without it
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing: invocations are logged by the runtime."""

        return Handler


def _too_large(size: int) -> bytes:
    message = f"Response payload size ({size} bytes) exceeded maximum allowed payload size ({RESPONSE_LIMIT} bytes)."
    return json.dumps({"errorMessage": message, "errorType": "Function.ResponseSizeTooLarge"}).encode()
