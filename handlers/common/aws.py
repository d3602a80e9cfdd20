"""AWS clients: one a service and process, with time limits that end before a function's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient

CONNECT_SECONDS = 3
READ_SECONDS = 15


_clients: dict[str, Any] = {}


@overload
def client(service: Literal["s3"]) -> S3Client: ...
@overload
def client(service: Literal["secretsmanager"]) -> SecretsManagerClient: ...
@overload
def client(service: Literal["sqs"]) -> SQSClient: ...
def client(service: str) -> Any:
    """Return the process's client of a service, made on first use.

    botocore's defaults (60 s to connect, 60 s to read, five tries) outlive every function that is shorter than
    ten minutes; the caller would see a timeout instead of the reason.
    """
    if service not in _clients:
        _clients[service] = _new(service)
    return _clients[service]


def forget_clients() -> None:
    """Let the next use make new clients, with the credentials of then; for tests."""
    _clients.clear()


def _new(service: str) -> Any:
    import boto3  # noqa: PLC0415  importing it costs more than the rest of a cold start
    from botocore.config import Config  # noqa: PLC0415

    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": 3},
        # Presigned addresses are still signed with version 2 unless this is said; SSE-KMS and newer regions refuse it.
        signature_version="s3v4" if service == "s3" else None,
        # With "auto" presigned addresses name the global endpoint, which redirects (307) for a bucket's first hours,
        # and a form's POST does not survive that. Addresses by number, as the embedded cloud's, stay path style.
        s3={"addressing_style": "virtual"} if service == "s3" else None,
    )
    return boto3.client(service, config=config)  # type: ignore[call-overload]
