"""Files that the embedded cloud writes its lines to."""

from __future__ import annotations

import os
import threading
from pathlib import Path


class LogFile:
    """Lines appended to one file, from any thread; writing one never raises.

    A request that was done must not fail because its line found the disk full. Lines that were lost are counted, and
    the next one that can be written is preceded by their number.

    Parameters
    ----------
    path : pathlib.Path
        Made, with its folder, by the first line.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._closed = False
        self._lost = 0
        self._rest = b""

    def write(self, text: str) -> None:
        """Append `text` and the end of its line; dropped when the file is closed."""
        with self._lock:
            if self._closed:
                return
            lost = f"({self._lost} lines before this one could not be written)\n" if self._lost else ""
            try:
                self._append(f"{lost}{text}\n".encode("utf-8", "backslashreplace"))
                self._lost = 0
            except OSError:
                self._lost += 1

    def close(self) -> None:
        """Close the file; later lines are dropped."""
        with self._lock:
            self._closed = True
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

    def _append(self, line: bytes) -> None:
        if self._descriptor is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        # A disk that fills up takes the beginning of a line: what comes next begins a line of its own.
        whole = self._rest + line
        written = 0
        while written < len(whole):
            written += os.write(self._descriptor, whole[written:])
            self._rest = b"" if written == len(whole) else b"\n"
