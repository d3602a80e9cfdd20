"""A running embedded cloud as another process sees it; imports nothing of what runs in the cloud's own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.credentials import Credentials, client
from local.home import CloudNotRunning, Network, read

__all__ = ["CloudInfo", "CloudNotRunning", "attach"]

ACCOUNT = "123456789012"
REGION = "us-west-2"


@dataclass(frozen=True)
class CloudInfo:
    """A running cloud, as another process sees it."""

    pid: int
    endpoint: str
    provider_address: str
    gateway_url: str
    admin: Credentials
    network: Network
    region: str = REGION
    account: str = ACCOUNT

    def client(self, service: str) -> Any:
        """A boto3 client that may do anything."""
        return client(service, self.endpoint, self.region, self.admin)


def attach(home: Path) -> CloudInfo:
    """Find the cloud that another process keeps in `home`.

    Raises
    ------
    CloudNotRunning
        If there is none.
    """
    record = read(home)
    return CloudInfo(
        pid=record.pid,
        endpoint=record.endpoint,
        provider_address=record.provider_address,
        gateway_url=record.gateway_url,
        admin=Credentials(record.access_key_id, record.secret_access_key),
        network=record.network,
    )
