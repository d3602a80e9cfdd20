"""Secrets that are JSON objects; errors name the secret and never what is in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient


CURRENT = "AWSCURRENT"


class SecretError(RuntimeError):
    """A secret cannot be read, or does not say what it must."""


class NoSecretValueError(SecretError):
    """The secret has no value, or there is no such secret; AWS gives one answer to both."""


def read_json(secrets: SecretsManagerClient, arn: str, stage: str = CURRENT) -> Mapping[str, Any]:
    """Return a secret's value, the current one unless another stage is named.

    Raises
    ------
    NoSecretValueError
        Nothing was ever written to it.
    SecretError
        It is not readable, or not a JSON object.
    """
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  loaded with the client already

    try:
        text = secrets.get_secret_value(SecretId=arn, VersionStage=stage)["SecretString"]
    except ClientError as error:
        missing = error.response.get("Error", {}).get("Code") == "ResourceNotFoundException"
        raise (NoSecretValueError if missing else SecretError)(f"the secret {arn} cannot be read: {error}") from error
    except BotoCoreError as error:
        raise SecretError(f"the secret {arn} cannot be read: {error}") from error
    except KeyError:
        raise SecretError(f"the secret {arn} is binary; it must be a JSON object") from None
    try:
        value = json.loads(text)
    except ValueError:
        # Not chained: a JSONDecodeError carries the document, which is the secret.
        raise SecretError(f"the secret {arn} is not JSON; it must be a JSON object") from None
    if not isinstance(value, dict):
        raise SecretError(f"the secret {arn} is not a JSON object")
    return value
