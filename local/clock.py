"""The one clock of the embedded cloud.

Mappings, schedules and deadlines read it, moto reads it (`moto_server.install_clock`), and function processes follow
it through a small file that holds how far it is ahead of the machine's monotonic clock. A test advances it instead of
waiting. It begins at the machine's time of day and counts by the monotonic clock, which nobody sets back.
"""

from __future__ import annotations

import struct
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

ENVIRONMENT_VARIABLE = "BMX_LOCAL_CLOCK"
"""Name of the variable that tells a function process where that file is."""

_LEAD = struct.Struct("<d")
# How long a waiter may overlook its stop event; `advance` wakes it at once.
_STOP_LATENCY = 0.1


class Clock:
    """The machine's time when it began, plus what has passed since and what it was advanced by."""

    def __init__(self) -> None:
        self.path: Path | None = None
        # CLOCK_MONOTONIC is the same in every process of the machine (clock_gettime(2)).
        self._lead = time.time() - time.monotonic()
        self._changed = threading.Condition()

    def share(self, path: Path) -> None:
        """Keep the lead over `time.monotonic` in a file as well: one little-endian double, 8 bytes, in seconds.

        The file is written in place, never replaced, so that a process which mapped it into memory follows.
        """
        with self._changed:
            path.write_bytes(_LEAD.pack(self._lead))
            self.path = path

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.monotonic() + self._lead

    def utcnow(self) -> datetime:
        """The same instant, as an aware datetime in UTC."""
        return datetime.fromtimestamp(self.now(), UTC)

    def advance(self, seconds: float) -> None:
        """Move the clock forward and wake whoever waits on it.

        Raises
        ------
        ValueError
            If `seconds` is negative: leases, tokens and queues would see time run backwards.
        """
        if seconds < 0:
            raise ValueError(f"the clock only moves forward, it cannot be advanced by {seconds} s")
        with self._changed:
            self._lead += seconds
            if self.path is not None:
                with self.path.open("r+b") as file:
                    file.write(_LEAD.pack(self._lead))
            self._changed.notify_all()

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        """Wait until `seconds` of this clock have passed or `stop` is set.

        Returns
        -------
        bool
            Whether `stop` is set, as `threading.Event.wait` answers.
        """
        deadline = self.now() + seconds
        with self._changed:
            while not stop.is_set():
                remaining = deadline - self.now()
                if remaining <= 0:
                    break
                self._changed.wait(min(remaining, _STOP_LATENCY))
        return stop.is_set()
