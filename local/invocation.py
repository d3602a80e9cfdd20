"""An invocation of a Lambda function: what comes of it, and how Lambda refuses it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

REQUEST_LIMIT = 6_291_456
"""Bytes of the largest synchronous request (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html)."""
ASYNC_REQUEST_LIMIT = 1_048_576
"""Bytes of the largest Event invocation (https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html)."""


class InvokeError(Exception):
    """Lambda refuses an invocation before the function runs.

    Parameters
    ----------
    status : int
        HTTP status.
    code : str
        Lambda's name of the error.
    message : str
        What is wrong.
    details
        Further fields of Lambda's answer.
    """

    def __init__(self, status: int, code: str, message: str, **details: str) -> None:
        super().__init__(f"{code}: {message}")
        self.status, self.code, self.message, self.details = status, code, message, details


class Throttled(InvokeError):  # noqa: N818  Lambda's word
    """No process is free and no other may be started (429 TooManyRequestsException)."""

    def __init__(self, reason: str) -> None:
        super().__init__(429, "TooManyRequestsException", "Rate Exceeded.", Reason=reason)


@dataclass(frozen=True)
class Invocation:
    """What came of an invocation."""

    status_code: int
    payload: bytes
    function_error: str | None
    """None, or "Unhandled"."""
    executed_version: str
    log_tail: bytes
    """The last 4 KB of what the invocation logged."""
    duration: float
    """Seconds, without the start of the process."""
    peak_memory_mb: float
    request_id: str

    def json(self) -> Any:
        """The payload, decoded."""
        return json.loads(self.payload)


def encode(payload: bytes | dict[str, Any], limit: int = REQUEST_LIMIT) -> bytes:
    """The payload as it is sent.

    Raises
    ------
    InvokeError
        If it is larger than `limit`, or not JSON.
    """
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    if len(body) > limit:
        raise InvokeError(
            413,
            "RequestTooLargeException",
            f"Request must be smaller than {limit} bytes for the InvokeFunction operation",
        )
    try:
        json.loads(body or b"{}")
    except ValueError as error:
        raise InvokeError(
            400, "InvalidRequestContentException", f"Could not parse request body into json: {error}"
        ) from error
    return body or b"{}"
