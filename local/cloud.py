"""The embedded cloud: moto, PostgreSQL, Lambda runtime, resource provider and HTTP gateway, in one process.

It lives as long as its process; everything it knows lies in moto's backends and in `.local/`.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from moto.ec2.models import ec2_backends
from moto.moto_api._internal.models import moto_api_backend

from local import apigateway, ec2, moto_server, offline, rds_groups, rds_record, secretsmanager, sqs
from local.attach import ACCOUNT, REGION, CloudInfo
from local.background import Background
from local.clock import Clock
from local.credentials import Credentials
from local.gateway import Gateway
from local.home import CloudAlreadyUp, CloudError, Home, Network, Record
from local.iam import Iam
from local.lambda_runtime import LambdaRuntime
from local.monitoring import Monitoring
from local.moto_server import MotoServer, PortTakenError
from local.provider import serve
from local.rds import Rds

__all__ = ["Cloud", "CloudAlreadyUp", "CloudError", "Ports"]

_ONE_A_PROCESS = threading.Lock()
_VPC = "10.20.0.0/16"
_SUBNETS = {"a": "10.20.0.0/20", "b": "10.20.16.0/20", "c": "10.20.32.0/20"}


@dataclass(frozen=True)
class Ports:
    """Ports on 127.0.0.1; 0 takes a free one."""

    gateway: int = 0
    provider: int = 0
    endpoint: int = 0


class Cloud:
    """One embedded cloud; one at a time in a process.

    Parameters
    ----------
    home : pathlib.Path
        Folder for lock, databases, state and logs; emptied of all but the logs by a clean stop.
    clock : Clock, optional
        Where all of its time comes from; by default one that follows the machine's.
    image_store : pathlib.Path, optional
        Where `local.images` keeps container images; by default `.build/images` beside `home`.

    Attributes
    ----------
    notice : str or None
        After `start`: what was found left over from a cloud that did not stop, and where it is now.
    """

    endpoint: str
    provider_address: str
    gateway_url: str
    network: Network
    clock: Clock
    background: Background
    iam: Iam
    rds: Rds
    runtime: LambdaRuntime
    monitoring: Monitoring

    def __init__(
        self, home: Path, *, clock: Clock | None = None, ports: Ports | None = None, image_store: Path | None = None
    ) -> None:
        self.home = home.absolute()
        self.region = REGION
        self.account = ACCOUNT
        self.notice: str | None = None
        self.admin = Credentials.new("AKIA", session=False)
        self._given_clock = clock
        self._ports = ports or Ports()
        self._image_store = image_store or self.home.parent / ".build" / "images"
        self._running = ExitStack()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def info(self) -> CloudInfo:
        """The same cloud as `attach` describes it."""
        return CloudInfo(os.getpid(), self.endpoint, self.provider_address, self.gateway_url, self.admin, self.network)

    def client(self, service: str) -> Any:
        """A boto3 client that may do anything."""
        return self.info.client(service)

    def start(self) -> None:
        """Start everything; on an error, or a signal meanwhile, stop what was started.

        Raises
        ------
        CloudAlreadyUp
            If another process keeps `home`.
        CloudError
            If `home` cannot be used or a port that was asked for is taken.
        """
        with _termination_raises():
            try:
                self._start()
            except BaseException:
                self.stop()
                raise

    def _start(self) -> None:
        try:
            gateway_port = moto_server.free_port(self._ports.gateway, "Ports.gateway (--port)")
            provider_port = moto_server.free_port(self._ports.provider, "Ports.provider")
            endpoint_port = moto_server.free_port(self._ports.endpoint, "Ports.endpoint")
        except PortTakenError as error:
            raise CloudError(str(error)) from error
        home = Home(self.home)
        self.notice = home.claim()
        self._running.callback(home.release)
        self._running.callback(home.clear)
        # moto's backends are the process's: a second cloud would empty the first one
        if not _ONE_A_PROCESS.acquire(blocking=False):
            raise CloudError("this process keeps an embedded cloud already; there can be one a process")
        self._running.callback(_ONE_A_PROCESS.release)
        offline.clean_process_environment()
        offline.install()
        self._start_state()
        self._start_endpoint(endpoint_port)
        self._start_services(provider_port, gateway_port)
        home.write(
            Record(
                pid=os.getpid(),
                endpoint=self.endpoint,
                provider_address=self.provider_address,
                gateway_url=self.gateway_url,
                access_key_id=self.admin.access_key_id,
                secret_access_key=self.admin.secret_access_key,
                network=self.network,
                started_at=self.clock.utcnow().isoformat(),
            )
        )

    def _start_state(self) -> None:
        # moto's backends live as long as the process: what an earlier cloud of this process left must go
        self._running.callback(moto_api_backend.reset)
        moto_api_backend.reset()
        self.clock = self._given_clock or Clock()
        self.clock.share(self.home / "clock")
        self._running.callback(moto_server.install_clock(self.clock).undo)
        self.background = Background(self.home, self.clock.now)
        self._running.callback(self.background.close)
        self._running.callback(self.background.install().undo)
        self.iam = Iam(ACCOUNT, REGION, self.admin, self.clock)
        self._running.callback(self.iam.install().undo)
        self._running.callback(apigateway.install().undo)
        self._running.callback(sqs.install().undo)
        self._running.callback(secretsmanager.install().undo)
        self._running.callback(ec2.install().undo)
        self._running.callback(rds_groups.install().undo)
        self._running.callback(rds_record.install().undo)
        log = self.home / "logs" / "alarms.log"
        self.monitoring = Monitoring(ACCOUNT, REGION, self.iam, self.clock, log, background=self.background)
        self._running.callback(self.monitoring.stop)
        self.monitoring.install()
        self.rds = Rds(self.home / "postgres")
        self._running.callback(self.rds.install().undo)
        self._running.callback(self.rds.stop)
        self.network = _existing_network()

    def _start_endpoint(self, port: int) -> None:
        server = MotoServer(port)
        self._running.callback(server.stop)
        self.endpoint = server.endpoint

    def _start_services(self, provider_port: int, gateway_port: int) -> None:
        self.runtime = LambdaRuntime(
            self.home,
            self.endpoint,
            self.iam,
            self.clock,
            account=ACCOUNT,
            region=REGION,
            image_store=self._image_store,
            metrics=self.monitoring.metrics,
            background=self.background,
        )
        gateway = Gateway(self.runtime, self.home / "logs" / "gateway.log", gateway_port)
        gateway.start()
        self.gateway_url = gateway.url
        # stopped after the runtime, so that what it waits for has an end
        self._running.callback(gateway.stop)
        self._running.callback(self.runtime.stop)
        self.runtime.start()
        self.monitoring.start()
        credentials = (self.admin.access_key_id, self.admin.secret_access_key, None)
        provider = serve(self.endpoint, credentials, provider_port)
        self._running.callback(provider.stop)
        self.provider_address = provider.address

    def stop(self) -> None:
        """Stop everything, in the reverse order, and delete what lived with the cloud; twice does no harm."""
        self._running.close()


def _existing_network() -> Network:
    backend = ec2_backends[ACCOUNT][REGION]
    vpc = backend.create_vpc(_VPC)
    subnets = [
        backend.create_subnet(vpc.id, block, availability_zone=f"{REGION}{zone}") for zone, block in _SUBNETS.items()
    ]
    return Network(vpc.id, tuple(subnet.id for subnet in subnets))


@contextmanager
def _termination_raises() -> Iterator[None]:
    """While starting, let SIGTERM unwind, so that nothing half-started stays; a handler of the caller's own stands."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
