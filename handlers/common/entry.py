"""The edge that all functions share: how they log, and the answer to ``{"version": true}``."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache, wraps
from typing import Any

from aws_lambda_powertools import Logger

from handlers.common.version import version_answer

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]


@cache
def logger() -> Logger:
    """Return the function's logger, and let every ``logging.getLogger("handlers…")`` write through it.

    The core modules use the standard library's loggers; left alone, Lambda's root handler prints those as plain text,
    without the keys that were appended, and drops what is below WARNING.
    """
    made = Logger()
    package = logging.getLogger("handlers")
    package.handlers = [*made.handlers]
    package.setLevel(made.log_level)
    package.propagate = False
    return made


def entry(*, correlation_id: str | None = None) -> Callable[[Handler], Handler]:
    """Make a plain function the handler that Lambda calls.

    It answers ``{"version": true}`` without work, and each of its log lines carries the request's id and no key that
    an earlier request appended.

    Parameters
    ----------
    correlation_id
        JMESPath to the caller's own id of a request in the event, for functions that have callers.
    """

    def decorate(work: Handler) -> Handler:
        @wraps(work)
        def answer(event: dict[str, Any], context: Any) -> dict[str, Any]:
            known = version_answer(event)
            return work(event, context) if known is None else dict(known)

        handler: Handler = logger().inject_lambda_context(answer, clear_state=True, correlation_id_path=correlation_id)
        return handler

    return decorate
