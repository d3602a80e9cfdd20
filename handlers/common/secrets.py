"""Secrets that are JSON objects; errors name the secret and never what is in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient


CURRENT = "AWSCURRENT"


class SecretError(RuntimeError):
    """A secret cannot be read, or does not say what it must."""


class NoSecretValueError(SecretError):
    """The secret has no value, or there is no such secret; AWS gives one answer to both."""


class UnreadableSecretError(SecretError):
    """AWS does not give the secret out, so nothing is known of what is in it."""


@dataclass(frozen=True)
class Version:
    """One version of a secret: its id, and what it says."""

    identifier: str
    value: Mapping[str, Any] = field(repr=False)


def read_json(secrets: SecretsManagerClient, arn: str, stage: str = CURRENT) -> Mapping[str, Any]:
    """Return a secret's value; see `read_version`."""
    return read_version(secrets, arn, stage).value


def read_version(secrets: SecretsManagerClient, arn: str, stage: str = CURRENT) -> Version:
    """Return a version of a secret, the current one unless another stage is named.

    Raises
    ------
    NoSecretValueError
        Nothing was ever written to it.
    UnreadableSecretError
        AWS does not answer, or not with the secret.
    SecretError
        It is not a JSON object.
    """
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  loaded with the client already

    try:
        found = secrets.get_secret_value(SecretId=arn, VersionStage=stage)
        text = found["SecretString"]
    except ClientError as error:
        missing = error.response.get("Error", {}).get("Code") == "ResourceNotFoundException"
        kind = NoSecretValueError if missing else UnreadableSecretError
        raise kind(f"the secret {arn} cannot be read: {error}") from error
    except BotoCoreError as error:
        raise UnreadableSecretError(f"the secret {arn} cannot be read: {error}") from error
    except KeyError:
        raise SecretError(f"the secret {arn} is binary; it must be a JSON object") from None
    try:
        value = json.loads(text)
    except ValueError:
        # Not chained: a JSONDecodeError carries the document, which is the secret.
        raise SecretError(f"the secret {arn} is not JSON; it must be a JSON object") from None
    if not isinstance(value, dict):
        raise SecretError(f"the secret {arn} is not a JSON object")
    return Version(found.get("VersionId", ""), value)
