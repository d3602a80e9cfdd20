"""What a run says: warnings and errors with the resource they are about, in the order in which they came."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True)
class Event:
    """Something that happened during a run, for progress display.

    Attributes
    ----------
    kind
        ``step`` (a step begins), ``done`` (it ended well), ``failed``, ``diagnostic`` or ``output`` (a line the program
        printed).
    op, urn
        The step's operation and resource, where there is one.
    message, severity
        Of a diagnostic or line.
    """

    kind: Literal["step", "done", "failed", "diagnostic", "output"]
    op: str = ""
    urn: str = ""
    message: str = ""
    severity: Severity = "info"


class Diagnostics:
    """Collects what is said and passes every event on at once."""

    def __init__(self, on_event: Callable[[Event], Any] | None = None) -> None:
        self._on_event = on_event
        self._lock = threading.Lock()
        self.messages: list[tuple[Severity, str, str]] = []

    def say(self, severity: Severity, urn: str, message: str) -> None:
        """Record a diagnostic about a resource (or about none: empty URN)."""
        text = message.strip("\n")
        with self._lock:
            if severity != "debug":
                self.messages.append((severity, urn, text))
        self.emit(Event("diagnostic", urn=urn, message=text, severity=severity))

    def error(self, urn: str, message: str) -> None:
        """Record an error."""
        self.say("error", urn, message)

    def warning(self, urn: str, message: str) -> None:
        """Record a warning."""
        self.say("warning", urn, message)

    def info(self, urn: str, message: str) -> None:
        """Record a piece of information."""
        self.say("info", urn, message)

    def output(self, line: str) -> None:
        """Record a line that the program printed."""
        with self._lock:
            self.messages.append(("info", "", line))
        self.emit(Event("output", message=line))

    def emit(self, event: Event) -> None:
        """Pass an event on."""
        if self._on_event is not None:
            self._on_event(event)

    @property
    def failed(self) -> bool:
        """Whether an error was recorded."""
        return any(severity == "error" for severity, _, _ in self.messages)
