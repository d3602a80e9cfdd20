"""Clients that act under a function's role, as Lambda's own pollers and log delivery do."""

from __future__ import annotations

import threading
from typing import Any, Protocol

import boto3
from botocore.config import Config

from local.credentials import Credentials
from local.iam import Decision


class Iam(Protocol):
    """The part of `local.iam.Iam` that running functions needs."""

    def mint(self, role_arn: str, session_name: str = ...) -> Credentials:
        """Credentials of a role."""

    def authorize(self, role_arn: str, action: str, resource: str) -> Decision:
        """Decide a permission of a role."""

    def service_may(self, service: str, action: str, resource: str, source_arn: str) -> Decision:
        """Decide whether a resource's policy lets a service in."""


class Roles:
    """Credentials and clients by role and session name (Lambda's is the function's), made once each.

    Parameters
    ----------
    iam : Iam
        Mints the credentials.
    endpoint : str
        Address of the embedded cloud.
    region : str
        Region that clients sign for.
    """

    def __init__(self, iam: Iam, endpoint: str, region: str) -> None:
        self._iam, self._endpoint, self._region = iam, endpoint, region
        self._lock = threading.Lock()
        self._credentials: dict[tuple[str, str], Credentials] = {}
        self._clients: dict[tuple[str, str, str], Any] = {}

    def environment(self, role: str, session: str) -> dict[str, str]:
        """The role's credentials as Lambda gives them to a function.

        Raises
        ------
        LookupError
            If there is no such role.
        """
        with self._lock:
            found = self._credentials_of(role, session)
        return {
            "AWS_ACCESS_KEY_ID": found.access_key_id,
            "AWS_SECRET_ACCESS_KEY": found.secret_access_key,
            "AWS_SESSION_TOKEN": found.session_token or "",
        }

    def client(self, role: str, session: str, service: str) -> Any:
        """A client of `service` under `role`; it may be used from several threads."""
        with self._lock:
            key = (role, session, service)
            if key not in self._clients:
                found = self._credentials_of(role, session)
                own = boto3.Session(
                    aws_access_key_id=found.access_key_id,
                    aws_secret_access_key=found.secret_access_key,
                    aws_session_token=found.session_token,
                    region_name=self._region,
                )
                config = Config(retries={"total_max_attempts": 1}, read_timeout=60, max_pool_connections=20)
                self._clients[key] = own.client(service, endpoint_url=self._endpoint, config=config)  # type: ignore[call-overload]
            return self._clients[key]

    def _credentials_of(self, role: str, session: str) -> Credentials:
        if (role, session) not in self._credentials:
            self._credentials[role, session] = self._iam.mint(role, session)
        return self._credentials[role, session]
