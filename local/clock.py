"""The one clock of the embedded cloud.

Mappings, schedules and deadlines read it, moto reads it (`moto_server.install_clock`), and function processes follow
it through a small file that holds the offset to the machine's own time. A test advances it instead of waiting.
"""

from __future__ import annotations

import struct
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

ENVIRONMENT_VARIABLE = "BMX_LOCAL_CLOCK"
"""Name of the variable that tells a function process where the offset's file is."""

_OFFSET = struct.Struct("<d")
# How long a waiter may overlook its stop event; `advance` wakes it at once.
_STOP_LATENCY = 0.1


class Clock:
    """The machine's time plus an offset that only grows."""

    def __init__(self) -> None:
        self.path: Path | None = None
        self._offset = 0.0
        self._changed = threading.Condition()

    def share(self, path: Path) -> None:
        """Keep the offset in a file as well: one little-endian double, 8 bytes, in seconds.

        The file is written in place, never replaced, so that a process which mapped it into memory follows.
        """
        with self._changed:
            path.write_bytes(_OFFSET.pack(self._offset))
            self.path = path

    @property
    def offset(self) -> float:
        """Seconds by which this clock is ahead of the machine's."""
        return self._offset

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time() + self._offset

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
            self._offset += seconds
            if self.path is not None:
                with self.path.open("r+b") as file:
                    file.write(_OFFSET.pack(self._offset))
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


def read_offset(path: Path) -> float:
    """Offset in seconds that a clock wrote to `path`."""
    (offset,) = _OFFSET.unpack(path.read_bytes())
    return float(offset)
