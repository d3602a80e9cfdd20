"""Keys of a caller of the embedded cloud, and clients that use them."""

from __future__ import annotations

import secrets
import string
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config

_KEY_ALPHABET = string.ascii_uppercase + string.digits
_KEY_RANDOM = 16


@dataclass(frozen=True)
class Credentials:
    """Keys for an AWS client; `repr` shows no secret."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None

    def __repr__(self) -> str:
        return f"Credentials(access_key_id={self.access_key_id!r})"

    @classmethod
    def new(cls, prefix: str, *, session: bool) -> Credentials:
        """Random credentials: `AKIA…` for long-term keys, `ASIA…` with a token for a session."""
        key = prefix + "".join(secrets.choice(_KEY_ALPHABET) for _ in range(_KEY_RANDOM))
        return cls(key, secrets.token_urlsafe(30), secrets.token_urlsafe(60) if session else None)


def client(service: str, endpoint: str, region: str, credentials: Credentials) -> Any:
    """Make a boto3 client of the embedded cloud, with nothing of the developer's own profile."""
    session = boto3.session.Session(
        aws_access_key_id=credentials.access_key_id,
        aws_secret_access_key=credentials.secret_access_key,
        aws_session_token=credentials.session_token,
        region_name=region,
    )
    config = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
    return session.client(service, endpoint_url=endpoint, config=config)  # type: ignore[call-overload]
