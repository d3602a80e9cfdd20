"""Event invocations: queued by Lambda, tried again when the function fails.

Twice more after 1 and 2 minutes, throttled ones for up to 6 hours
(https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html).
"""

from __future__ import annotations

import logging
import threading
import uuid
from typing import TYPE_CHECKING, Any

from local.invocation import InvokeError, Throttled

if TYPE_CHECKING:
    from local.lambda_runtime import LambdaRuntime

_RETRY_SECONDS = (60.0, 120.0)
_MAXIMUM_AGE = 6 * 3600.0
_MAXIMUM_BACKOFF = 300.0
_log = logging.getLogger(__name__)


class AsyncInvocations:
    """The queue in front of the functions; one waiting thread an event."""

    def __init__(self, runtime: LambdaRuntime) -> None:
        self._runtime = runtime
        self._stop = threading.Event()

    def put(self, name: str, payload: bytes) -> str:
        """Take an event; its id."""
        event_id = str(uuid.uuid4())
        work = (f"event for function {name}", self._run, name, payload)
        threading.Thread(target=self._runtime.background.run, args=work, name=f"event-{event_id}", daemon=True).start()
        return event_id

    def stop(self) -> None:
        """Give up what waits."""
        self._stop.set()

    def _run(self, name: str, payload: bytes) -> None:
        clock = self._runtime.clock
        retries, oldest = self._policy(name)
        deadline = clock.now() + oldest
        failures, backoff = 0, 1.0
        while not self._stop.is_set() and clock.now() < deadline:
            try:
                invocation = self._runtime.invoke(name, payload)
            except Throttled:
                clock.wait(backoff, self._stop)
                backoff = min(backoff * 2, _MAXIMUM_BACKOFF)
                continue
            except InvokeError as error:
                _log.error("event for function %s dropped: %s", name, error)
                return
            if invocation.function_error is None:
                return
            failures += 1
            if failures > retries:
                break
            clock.wait(_RETRY_SECONDS[min(failures, len(_RETRY_SECONDS)) - 1], self._stop)
        if not self._stop.is_set():
            _log.error("event for function %s dropped after %d failed attempts", name, failures)

    def _policy(self, name: str) -> tuple[int, float]:
        """Retries and the greatest age in seconds, as PutFunctionEventInvokeConfig set them."""
        configured: Any = next(iter(self._runtime.function(name).event_invoke_config), None)
        settings = configured.config if configured is not None else {}
        retries = settings.get("MaximumRetryAttempts", len(_RETRY_SECONDS))
        return int(retries), float(settings.get("MaximumEventAgeInSeconds", _MAXIMUM_AGE))
