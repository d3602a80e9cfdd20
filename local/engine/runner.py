"""Starts the program in a child process, passes on what it prints and waits for its end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Final

from local.engine.diagnostics import Diagnostics

# What a child needs of this process's environment; credentials and proxies stay out.
_INHERITED: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "SYSTEMROOT", "COVERAGE_PROCESS_START")
_LAST_LINES: Final = 20


class ProgramRun:
    """One run of the program.

    Parameters
    ----------
    request
        What `local.engine.program` reads.
    environment
        Variables beyond the few that are inherited.
    diagnostics
        Where printed lines go.
    """

    def __init__(self, request: dict[str, Any], environment: Mapping[str, str], diagnostics: Diagnostics) -> None:
        self._diagnostics = diagnostics
        self._errors: list[str] = []
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        package_root = str(Path(__file__).resolve().parents[2])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "local.engine.program"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**inherited, "PYTHONPATH": package_root, "GRPC_VERBOSITY": "NONE", **environment},
            # Its own group: Ctrl-C reaches the engine alone, which then lets what is under way end.
            start_new_session=True,
        )
        assert self._process.stdin and self._process.stdout and self._process.stderr  # noqa: S101  pipes were asked for
        self._readers = [
            threading.Thread(target=self._pass_on, args=(self._process.stdout, None), daemon=True),
            threading.Thread(target=self._pass_on, args=(self._process.stderr, self._errors), daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        try:
            self._process.stdin.write(json.dumps(request).encode())
            self._process.stdin.close()
        except BrokenPipeError:
            self._diagnostics.error("", "the program's process ended before it could be started")

    def _pass_on(self, stream: IO[bytes], keep: list[str] | None) -> None:
        for line in stream:
            text = line.decode(errors="replace").rstrip("\n")
            if keep is not None:
                keep.append(text)
            self._diagnostics.output(text)

    def poll(self) -> int | None:
        """Give the exit code, or None while it runs."""
        return self._process.poll()

    def wait(self, seconds: float) -> int | None:
        """Wait at most ``seconds`` for the process to end; give its exit code, or None while it runs."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def last_words(self) -> str:
        """Give the last lines of its standard error."""
        for reader in self._readers:
            reader.join(timeout=1)
        return "\n".join(self._errors[-_LAST_LINES:])

    def end(self, grace: float) -> int:
        """Wait for the process, at most ``grace`` seconds, then kill it and say so; give the exit code."""
        code = self.wait(grace)
        if code is None:
            self._diagnostics.info("", f"the program did not exit within {grace:g} s of being stopped and was killed")
            self._process.kill()
            code = self._process.wait()
        for reader in self._readers:
            reader.join(timeout=1)
        return code
