"""AWS clients: one a service and process, with time limits that end before a function's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient

CONNECT_SECONDS = 3
READ_SECONDS = 15
# Of clients that find out how something is: an answer later than this is no answer.
QUICK_CONNECT_SECONDS = 2
QUICK_READ_SECONDS = 3
# One for each of the threads that ask side by side; botocore's ten would throw connections away and log it.
QUICK_CONNECTIONS = 64

_clients: dict[tuple[str, bool], Any] = {}


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
    return _kept(service, quick=False)


def quick_client(service: str) -> Any:
    """Return the process's client of a service for asking how something is: early time limits, two tries.

    Making the first client of a process is not safe from several threads (boto3's default session); using them is.
    """
    return _kept(service, quick=True)


def _kept(service: str, *, quick: bool) -> Any:
    if (service, quick) not in _clients:
        _clients[service, quick] = _new(service, quick=quick)
    return _clients[service, quick]


def forget_clients() -> None:
    """Let the next use make new clients, with the credentials of then; for tests."""
    _clients.clear()


def _new(service: str, *, quick: bool) -> Any:
    import boto3  # noqa: PLC0415  importing it costs more than the rest of a cold start
    from botocore.config import Config  # noqa: PLC0415

    config = Config(
        connect_timeout=QUICK_CONNECT_SECONDS if quick else CONNECT_SECONDS,
        read_timeout=QUICK_READ_SECONDS if quick else READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": 2 if quick else 3},
        max_pool_connections=QUICK_CONNECTIONS if quick else 10,  # botocore's own number; it takes no None
        # Presigned addresses are still signed with version 2 unless this is said; SSE-KMS and newer regions refuse it.
        signature_version="s3v4" if service == "s3" else None,
        # With "auto" presigned addresses name the global endpoint, which redirects (307) for a bucket's first hours,
        # and a form's POST does not survive that. Addresses by number, as the embedded cloud's, stay path style.
        s3={"addressing_style": "virtual"} if service == "s3" else None,
    )
    return boto3.client(service, config=config)  # type: ignore[call-overload]
