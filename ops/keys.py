"""API keys: made here, shown once, kept in the secret as a SHA-256 only."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from ops.errors import UserError

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


def add(client: SecretsManagerClient, secret_arn: str, name: str, *, replace: bool = False) -> str:
    """Make a key, write its SHA-256 under `name` into the secret, return the key itself.

    The key has 256 bits from the operating system, so a plain SHA-256 cannot be searched and needs no salt.

    Raises
    ------
    UserError
        A name that is not `[a-z0-9][a-z0-9._-]*`, or that exists already and `replace` was not asked for.
    """
    if not NAME.fullmatch(name):
        raise UserError(f"{name!r} is no name for a key.", "Use up to 63 of a-z, 0-9, dot, dash, underscore.")
    keys = _read(client, secret_arn)
    if name in keys and not replace:
        raise UserError(f"There is a key named {name!r} already.", "Choose another name, or pass --replace.")
    key = secrets.token_urlsafe(32)
    keys[name] = {
        "sha256": hashlib.sha256(key.encode()).hexdigest(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    client.put_secret_value(SecretId=secret_arn, SecretString=json.dumps({"keys": keys}))
    return key


def _read(client: SecretsManagerClient, secret_arn: str) -> dict[str, dict[str, str]]:
    try:
        content = json.loads(client.get_secret_value(SecretId=secret_arn)["SecretString"])
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundException" and _exists(client, secret_arn):
            return {}  # a secret that the program made and nobody has written to yet
        raise UserError(f"The secret of the API's keys cannot be read: {error}", exit_code=1) from error
    keys: dict[str, dict[str, str]] = content["keys"]
    return keys


def _exists(client: SecretsManagerClient, secret_arn: str) -> bool:
    try:
        client.describe_secret(SecretId=secret_arn)
    except ClientError:
        return False
    return True
