"""Lambda in the embedded cloud: the functions in moto's backend, run as real processes.

* one process is one concurrent invocation; warm ones are used again, those of an older version end after theirs;
* reserved concurrency, timeouts, memory and payload limits refuse as Lambda does;
* event source mappings and schedules found in moto's backends invoke through here.
"""

from __future__ import annotations

import logging
import secrets
import subprocess
import threading
import uuid
from collections import Counter, defaultdict
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from moto.awslambda.exceptions import LambdaClientError
from moto.awslambda.models import lambda_backends

from local import clock as clocks
from local import function_code, temporary
from local.async_invoke import AsyncInvocations
from local.background import Background
from local.function_log import Delivery, LogStream
from local.invocation import ASYNC_REQUEST_LIMIT, Invocation, InvokeError, Throttled, encode
from local.lambda_api import LambdaApi
from local.log_file import LogFile
from local.mappings import Mappings
from local.metrics import Metrics
from local.roles import Iam, Roles
from local.sandbox import Program, Sandbox
from local.schedules import Schedules

_REAP_SECONDS = 5.0
_log = logging.getLogger(__name__)


class LambdaRuntime:
    """Runs the functions of one account and region.

    Parameters
    ----------
    home : pathlib.Path
        Unpacked functions and logs lie in it.
    endpoint : str
        Address of moto's server.
    iam : local.iam.Iam
        Makes the roles' credentials and decides what services may do.
    clock : Clock
        The embedded cloud's clock.
    image_store : pathlib.Path, optional
        Store of `local.images`.
    metrics : Metrics, optional
        Counts invocations for CloudWatch.
    background : Background, optional
        Keeps the threads going; by default one of its own.
    concurrency : int
        Unreserved concurrent executions of the account.
    keep_warm : float
        Seconds after which an idle process is dropped.
    """

    def __init__(
        self,
        home: Path,
        endpoint: str,
        iam: Iam,
        clock: clocks.Clock,
        *,
        account: str = "123456789012",
        region: str = "us-west-2",
        image_store: Path | None = None,
        metrics: Metrics | None = None,
        background: Background | None = None,
        concurrency: int = 20,
        keep_warm: float = 300.0,
    ) -> None:
        self.home, self.endpoint, self.iam, self.clock = home, endpoint, iam, clock
        self.account, self.region = account, region
        self.background = background or Background(home, clock.now)
        self.roles = Roles(iam, endpoint, region)
        self.mappings = Mappings(self)
        self.schedules = Schedules(self)
        self._api = LambdaApi(self)
        self._events = AsyncInvocations(self)
        self._image_store = image_store
        self._metrics = metrics
        self._concurrency, self._keep_warm = concurrency, keep_warm
        self._lock = threading.Lock()
        self._idle: dict[str, list[Sandbox]] = defaultdict(list)
        self._busy: dict[str, set[Sandbox]] = defaultdict(set)
        self._in_flight: Counter[str] = Counter()
        self._logs: dict[str, LogFile] = {}
        self._stopping = threading.Event()
        self._delivery = Delivery(self.background)
        # Processes die with the thread that starts them (PR_SET_PDEATHSIG), so one thread starts them all and stays.
        self._spawner = ThreadPoolExecutor(1, thread_name_prefix="spawn")
        self._closer = ThreadPoolExecutor(4, thread_name_prefix="retire")
        self._reaper = self.background.thread("reaper", self._reap, self._stopping)

    def start(self) -> None:
        """Take over moto's `invoke`, begin to poll mappings and to run schedules."""
        with self.background.guarded("removing what a killed cloud left in /tmp"):
            temporary.remove_leftovers()
        self._api.install()
        self._reaper.start()
        self.mappings.start()
        self.schedules.start()

    def stop(self) -> None:
        """End everything within seconds: invocations in flight are killed."""
        self._stopping.set()
        self.schedules.stop()
        self.mappings.signal_stop()
        self._events.stop()
        with self._lock:
            sandboxes = [each for group in (self._idle, self._busy) for found in group.values() for each in found]
            self._idle.clear()
        wait([self._retire(sandbox) for sandbox in sandboxes], timeout=10)
        self.mappings.stop()
        self._closer.shutdown(wait=True)
        self._spawner.shutdown(wait=True)
        self._delivery.close()
        self._api.remove()
        for log in self._logs.values():
            log.close()

    def function(self, name: str, qualifier: str | None = None) -> Any:
        """The function as moto holds it, by name or ARN.

        Raises
        ------
        InvokeError
            If there is none (404 ResourceNotFoundException).
        """
        try:
            return lambda_backends[self.account][self.region].get_function(name, qualifier)
        except LambdaClientError as error:
            arn = name if name.startswith("arn:") else f"arn:aws:lambda:{self.region}:{self.account}:function:{name}"
            raise InvokeError(404, "ResourceNotFoundException", f"Function not found: {arn}") from error

    def invoke(self, name: str, payload: bytes | dict[str, Any], *, qualifier: str | None = None) -> Invocation:
        """Invoke a function and wait for its answer (RequestResponse).

        Raises
        ------
        InvokeError
            If Lambda refuses: payload too large, throttled, code that cannot run.
        """
        body = encode(payload)
        function = self.function(name, qualifier)
        request_id = str(uuid.uuid4())
        started = self.clock.now()
        sandbox = self._acquire(function)
        try:
            outcome = sandbox.run(request_id, body, _trace_id(started))
        finally:
            tail = self._release(function, sandbox)
        if self._metrics:
            self._metrics.invoked(function.function_name, started, outcome.duration, failed=bool(outcome.error))
        return Invocation(
            status_code=200,
            payload=outcome.payload,
            function_error="Unhandled" if outcome.error else None,
            executed_version=sandbox.program.version,
            log_tail=tail,
            duration=outcome.duration,
            peak_memory_mb=outcome.peak_memory_mb,
            request_id=request_id,
        )

    def invoke_async(self, name: str, payload: bytes | dict[str, Any]) -> str:
        """Queue an Event invocation; Lambda's request id of it.

        Raises
        ------
        InvokeError
            If the payload is too large.
        """
        body = encode(payload, ASYNC_REQUEST_LIMIT)
        self.function(name)
        return self._events.put(name, body)

    def processes(self, name: str) -> list[int]:
        """Process ids of the function's processes, those that run an invocation first."""
        with self._lock:
            found = [*self._busy.get(name, ()), *self._idle.get(name, ())]
        return [each.pid for each in found if each.pid is not None]

    def _acquire(self, function: Any) -> Sandbox:
        name, version = function.function_name, function_code.fingerprint(function)
        with self._lock:
            self._admit(function)
            self._in_flight[name] += 1
            if self._metrics:
                self._metrics.concurrent(name, self._in_flight[name])
            warm, retired = None, []
            for sandbox in self._idle.pop(name, []):
                if sandbox.program.fingerprint != version or sandbox.ended():
                    retired.append(sandbox)
                elif warm is None:
                    warm = sandbox
                else:
                    self._idle[name].append(sandbox)
            if warm is not None:
                self._busy[name].add(warm)
        for sandbox in retired:
            self._retire(sandbox)
        try:
            return warm or self._start(function)
        except BaseException:
            with self._lock:
                self._in_flight[name] -= 1
            raise

    def _admit(self, function: Any) -> None:
        """Refuse what goes beyond reserved or unreserved concurrency; called under the lock."""
        if self._stopping.is_set():
            raise InvokeError(500, "ServiceException", "the embedded cloud is stopping")
        if reason := self._throttled(function):
            if self._metrics:
                self._metrics.throttled(function.function_name)
            raise Throttled(reason)

    def _throttled(self, function: Any) -> str | None:
        """Which limit on concurrency the function is at."""
        reserved = function.reserved_concurrency
        if reserved is not None:
            full = self._in_flight[function.function_name] >= int(reserved)
            return "ReservedFunctionConcurrentInvocationLimitExceeded" if full else None
        backend = lambda_backends[self.account][self.region]
        own = {each.function_name for each in backend.list_functions() if each.reserved_concurrency is not None}
        unreserved = sum(count for name, count in self._in_flight.items() if name not in own)
        return "ConcurrentInvocationLimitExceeded" if unreserved >= self._concurrency else None

    def _start(self, function: Any) -> Sandbox:
        try:
            program = self._program(function)
            credentials = self.roles.environment(program.role, program.name)
        except function_code.FunctionCodeError as error:
            raise InvokeError(502, "InvalidRuntimeException", str(error)) from error
        except LookupError as error:
            message = f"The role defined for the function cannot be assumed by Lambda: {error}"
            raise InvokeError(403, "AccessDeniedException", message) from error
        sandbox = Sandbox(program, self.clock, self._stream(program))
        with self._lock:
            self._busy[program.name].add(sandbox)
        try:
            sandbox.start(credentials, lambda *args, **kwargs: self._spawner.submit(_spawn, *args, **kwargs).result())
        except BaseException:
            with self._lock:
                self._busy[program.name].discard(sandbox)
            sandbox.close()
            raise
        return sandbox

    def _program(self, function: Any) -> Program:
        variables = {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
        }
        if self.clock.path is not None:
            variables[clocks.ENVIRONMENT_VARIABLE] = str(self.clock.path.resolve())
        return function_code.program(function, home=self.home, image_store=self._image_store, variables=variables)

    def _stream(self, program: Program) -> LogStream:
        with self._lock:
            if program.name not in self._logs:
                self._logs[program.name] = LogFile(self.home / "logs" / f"{program.name}.log")
            log = self._logs[program.name]

        def deliver(stream: str, lines: list[tuple[int, str]]) -> None:
            group = f"/aws/lambda/{program.name}"
            self._delivery.put(self.roles.client(program.role, program.name, "logs"), group, stream, lines)

        return LogStream(log, self.clock.now, deliver)

    def _release(self, function: Any, sandbox: Sandbox) -> bytes:
        name = function.function_name
        tail = sandbox.flush_log()
        with self._lock:
            self._busy[name].discard(sandbox)
            self._in_flight[name] -= 1
            keep = not (sandbox.dead or self._stopping.is_set() or self._outdated(function, sandbox))
            if keep:
                self._idle[name].append(sandbox)
        if not keep and not self._stopping.is_set():
            self._retire(sandbox)
        return tail

    def _retire(self, sandbox: Sandbox) -> Future[None]:
        return self._closer.submit(self.background.run, f"ending a process of {sandbox.program.name}", sandbox.close)

    def _outdated(self, function: Any, sandbox: Sandbox) -> bool:
        return function_code.fingerprint(function) != sandbox.program.fingerprint

    def _reap(self) -> None:
        while not self._stopping.wait(_REAP_SECONDS):
            present = {each.function_name for each in lambda_backends[self.account][self.region].list_functions()}
            limit = self.clock.now() - self._keep_warm
            with self._lock:
                dropped = []
                for name, sandboxes in self._idle.items():
                    old = [each for each in sandboxes if each.idle_since < limit or name not in present]
                    dropped += old
                    self._idle[name] = [each for each in sandboxes if each not in old]
            for sandbox in dropped:
                self._retire(sandbox)


def _spawn(*args: Any, **kwargs: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(*args, **kwargs)


def _trace_id(now: float) -> str:
    """An X-Ray trace header that is not sampled (https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html)."""
    return f"Root=1-{int(now):08x}-{secrets.token_hex(12)};Parent={secrets.token_hex(8)};Sampled=0"
