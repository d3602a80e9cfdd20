"""One function process: a real runtime client under the Runtime API, one invocation at a time.

Killed at the function's timeout and above its memory, as Lambda does, with Lambda's messages; never left behind.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import json
import os
import select
import signal
import subprocess
import termios
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from local.clock import Clock
from local.function_log import LogStream
from local.runtime_api import Request, RuntimeApi
from local.temporary import TemporaryFolder

INIT_SECONDS = 10.0
"""Time that starting may take besides the function's timeout.

Lambda cuts the first attempt after 10 s and starts anew within the function's timeout
(https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html); here it is one attempt of both together.
"""

_SAMPLE_SECONDS = 0.1
_MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Program:
    """What a function process is."""

    name: str
    arn: str
    version: str
    command: tuple[str, ...]
    """Interpreter, its options and all else but the environment."""
    task_root: Path
    folder: Path
    """Working directory."""
    environment: dict[str, str]
    """The declared and the reserved variables, without those of the single process."""
    role: str
    timeout: float
    memory_mb: int
    fingerprint: str
    """Changes with everything that an older process would get wrong."""


@dataclass(frozen=True)
class Outcome:
    """How one invocation ended in the process."""

    payload: bytes
    error: bool
    duration: float
    init_duration: float | None
    peak_memory_mb: float


class Sandbox:
    """A process of `program`; `start` it, `run` invocations one after another, `close` it.

    Parameters
    ----------
    program : Program
        What to run.
    clock : Clock
        Decides when an invocation has taken too long.
    stream : LogStream
        Takes the process's output.
    """

    def __init__(self, program: Program, clock: Clock, stream: LogStream) -> None:
        self.program = program
        self.dead = False
        self.idle_since = clock.now()
        self.peak_memory_mb = 0.0
        self._clock = clock
        self._stream = stream
        self._api = RuntimeApi()
        self._closing = threading.Event()
        self._output_lock = threading.Lock()
        self._init_duration: float | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._tmp = TemporaryFolder()

    def start(self, environment: dict[str, str], spawn: Callable[..., subprocess.Popen[bytes]]) -> None:
        """Start the process; it initialises while `run` waits for it.

        Parameters
        ----------
        environment : dict
            Credentials and whatever else is the single process's own.
        spawn : callable
            `subprocess.Popen`, called from a thread that lives as long as the processes: the kernel ends a process
            with the thread that started it (prctl(2), PR_SET_PDEATHSIG).
        """
        own = {
            "AWS_LAMBDA_RUNTIME_API": self._api.address,
            "AWS_LAMBDA_LOG_STREAM_NAME": self._stream.name,
            "TMPDIR": str(self._tmp.path),
        }
        self._started = self._clock.now()
        self._process = spawn(
            self.program.command,
            env=self.program.environment | environment | own,
            cwd=self.program.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read_output, name=f"output-{self.program.name}", daemon=True)
        self._reader.start()

    def run(self, request_id: str, payload: bytes, trace_id: str) -> Outcome:
        """Run one invocation, with the process's start if it is the first; never raises for what the function does."""
        cold = self._init_duration is None
        if cold:
            failure = self._initialise(request_id)
            if failure is not None:
                return self._outcome(failure, True, self._clock.now() - self._started, cold)
        started = self._clock.now()
        deadline = started + self.program.timeout
        self._stream.write(f"START RequestId: {request_id} Version: {self.program.version}")
        self._api.offer(Request(request_id, payload, self.program.arn, deadline, trace_id))
        while True:
            answer = self._api.answer(_SAMPLE_SECONDS)
            self._measure()
            if answer is not None:
                return self._outcome(answer.payload, answer.error, self._clock.now() - started, cold, request_id)
            failure = self._failure(request_id, deadline, self.program.timeout)
            if failure is not None:
                last = self._api.answer(0)
                body, error = (failure, True) if last is None else (last.payload, last.error)
                return self._outcome(body, error, self._clock.now() - started, cold, request_id)

    @property
    def pid(self) -> int | None:
        """Process id, None before the start."""
        return None if self._process is None else self._process.pid

    def ended(self) -> bool:
        """Whether the process can take no more invocations."""
        return self.dead or (self._process is not None and self._process.poll() is not None)

    def flush_log(self) -> bytes:
        """End an invocation's log; its last 4 KB."""
        return self._stream.flush()

    def close(self) -> None:
        """End the process and all its children at once and remove its /tmp folder."""
        self._closing.set()
        self.kill()
        self._api.close()
        if self._process is not None:
            self._process.wait()
            self._reader.join(timeout=2)
            if self._process.stdout is not None:
                self._process.stdout.close()
        self._stream.flush()
        self._tmp.remove()

    def kill(self) -> None:
        """Kill the process group."""
        self.dead = True
        if self._process is not None:
            # The group may outlive its leader: it is signalled even when the leader has ended.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _initialise(self, request_id: str) -> bytes | None:
        limit = INIT_SECONDS + self.program.timeout
        while not self._api.ready.wait(_SAMPLE_SECONDS):
            self._measure()
            failure = self._failure(request_id, self._started + limit, limit)
            if failure is not None:
                return failure
        self._init_duration = self._clock.now() - self._started
        if self._api.init_error is not None:
            self.kill()
        return self._api.init_error

    def _failure(self, request_id: str, deadline: float, timeout: float) -> bytes | None:
        """Lambda's error if the process has ended, uses too much memory or has run too long."""
        if self.peak_memory_mb > self.program.memory_mb or self._closing.is_set():
            self.kill()
            return _error("Runtime.ExitError", request_id, "Runtime exited with error: signal: killed")
        code = self._process.poll() if self._process else 0
        if code is not None:
            self.dead = True
            return _error("Runtime.ExitError", request_id, _ending(code))
        if self._clock.now() >= deadline:
            self.kill()
            moment = datetime.fromtimestamp(self._clock.now(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
            message = f"Task timed out after {timeout:.2f} seconds"
            self._stream.write(f"{moment}Z {request_id} {message}")
            return _error("Sandbox.Timedout", request_id, message)
        return None

    def _outcome(
        self, payload: bytes, error: bool, duration: float, cold: bool, request_id: str | None = None
    ) -> Outcome:
        self._drain()
        init = self._init_duration if cold else None
        if request_id is not None:
            self._stream.write(f"END RequestId: {request_id}")
            report = f"REPORT RequestId: {request_id}\tDuration: {duration * 1000:.2f} ms"
            report += f"\tMemory Size: {self.program.memory_mb} MB\tMax Memory Used: {self.peak_memory_mb:.0f} MB"
            self._stream.write(report + (f"\tInit Duration: {init * 1000:.2f} ms" if init is not None else ""))
        self.idle_since = self._clock.now()
        return Outcome(payload, error, duration, init, round(self.peak_memory_mb, 1))

    def _measure(self) -> None:
        """Sample the resident memory of the process and its children."""
        if self._process is None:
            return
        resident = 0
        with contextlib.suppress(psutil.NoSuchProcess):
            leader = psutil.Process(self._process.pid)
            resident = leader.memory_info().rss
            for child in leader.children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    resident += child.memory_info().rss
        self.peak_memory_mb = max(self.peak_memory_mb, resident / _MEGABYTE)

    def _read_output(self) -> None:
        assert self._process is not None and self._process.stdout is not None  # noqa: S101  started above
        descriptor = self._process.stdout.fileno()
        rest = b""
        while True:
            select.select([descriptor], [], [])
            with self._output_lock:
                data = os.read(descriptor, 1 << 16)
                *lines, rest = (rest + data).split(b"\n")
                for line in lines if data else [rest] if rest else []:
                    self._stream.write(line.decode("utf-8", "replace"))
            if not data:
                return

    def _drain(self) -> None:
        """Wait until what the process has written by now is in the log: it writes before it answers."""
        if self._process is None or self._process.stdout is None:
            return
        limit = time.monotonic() + 1
        waiting = array.array("i", [1])
        while waiting[0] and time.monotonic() < limit:
            with self._output_lock:
                fcntl.ioctl(self._process.stdout.fileno(), termios.FIONREAD, waiting)
            if waiting[0]:
                time.sleep(0.002)


def _error(kind: str, request_id: str, message: str) -> bytes:
    return json.dumps({"errorType": kind, "errorMessage": f"RequestId: {request_id} Error: {message}"}).encode()


def _ending(code: int) -> str:
    if code == 0:
        return "Runtime exited without providing a reason"
    if code > 0:
        return f"Runtime exited with error: exit status {code}"
    name = "killed" if -code == signal.SIGKILL else signal.strsignal(-code) or str(-code)
    return f"Runtime exited with error: signal: {name.lower()}"
