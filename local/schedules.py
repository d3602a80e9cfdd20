"""EventBridge's scheduled rules, driven by the embedded cloud's clock.

A jump of the clock over several occurrences of a rule runs it once, for the last of them.
"""

from __future__ import annotations

import json
import logging
import threading
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from moto.events.models import events_backends

from components.schedule_expression import ScheduleError, parse
from local.iam_policy import UnsupportedPolicyError
from local.invocation import InvokeError

if TYPE_CHECKING:
    from local.lambda_runtime import LambdaRuntime

_TICK_SECONDS = 0.5
_SUPPORTED_TARGET = {"Id", "Arn", "Input", "RetryPolicy"}
_log = logging.getLogger(__name__)


class Schedules:
    """Runs the enabled scheduled rules of the default event bus that have Lambda functions as targets."""

    def __init__(self, runtime: LambdaRuntime) -> None:
        self._runtime = runtime
        self._stop = threading.Event()
        self._next: dict[tuple[str, str], float] = {}
        self._thread = runtime.background.thread("schedules", self._run, self._stop)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Run nothing more."""
        self._stop.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._runtime.clock.wait(_TICK_SECONDS, self._stop):
            self._tick(self._runtime.clock.now())

    def _tick(self, now: float) -> None:
        """Run what is due."""
        backend = events_backends[self._runtime.account][self._runtime.region]
        rules = [
            rule for rule in list(backend.describe_event_bus("default").rules.values()) if rule.scheduled_expression
        ]
        enabled = {(rule.arn, rule.scheduled_expression): rule for rule in rules if rule.state == "ENABLED"}
        self._next = {key: due for key, due in self._next.items() if key in enabled}
        for key, rule in enabled.items():
            try:
                schedule = parse(rule.scheduled_expression)
            except ScheduleError as error:
                if key not in self._next:
                    _log.error("rule %s never runs: %s", rule.name, error)
                self._next[key] = float("inf")
                continue
            # A rate counts from when its rule was enabled
            due = self._next.setdefault(key, schedule.after(now))
            if due <= now:
                while (following := schedule.after(due)) <= now:
                    due = following
                self._next[key] = following
                with self._runtime.background.guarded(f"rule {rule.name}"):
                    self._fire(rule, due)

    def _fire(self, rule: Any, due: float) -> None:
        event = scheduled_event(rule.arn, self._runtime.account, self._runtime.region, due)
        for target in list(rule.targets):
            arn = target["Arn"]
            unknown = sorted(key for key, value in target.items() if value and key not in _SUPPORTED_TARGET)
            if ":lambda:" not in arn or unknown:
                _log.error("target %s of rule %s is not run: %s", arn, rule.name, unknown or "not a function")
                continue
            if refusal := self._refusal(rule, arn):
                _log.error("rule %s may not invoke %s: %s", rule.name, arn, refusal)
                continue
            payload = target["Input"].encode() if target.get("Input") else json.dumps(event).encode()
            try:
                self._runtime.invoke_async(arn, payload)
            except InvokeError as error:
                _log.error("rule %s could not invoke %s: %s", rule.name, arn, error)

    def _refusal(self, rule: Any, arn: str) -> str | None:
        """Why EventBridge may not invoke a function, in words."""
        iam = self._runtime.iam
        try:
            decision = iam.service_may("events.amazonaws.com", "lambda:InvokeFunction", arn, rule.arn)
        except UnsupportedPolicyError as error:
            return f"its resource policy cannot be decided here: {error}"
        return None if decision.allowed else "its resource policy does not allow it"


def scheduled_event(rule_arn: str, account: str, region: str, due: float) -> dict[str, Any]:
    """The event of a scheduled rule.

    Shape: https://docs.aws.amazon.com/lambda/latest/dg/with-eventbridge-scheduler.html.
    """
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": account,
        "time": datetime.fromtimestamp(due, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": region,
        "resources": [rule_arn],
        "detail": {},
    }
