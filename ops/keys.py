"""The API's keys: made here, shown once, kept as a SHA-256 only; the same on the embedded cloud and on AWS.

The first key lies in a secret and works while the database is down. All others are rows in the database, which an
operator cannot reach: the `migrate` function, which can, is told a key's digest, never the key. The row is committed
before the key is shown, so that a key that was printed works; a command that is killed in between leaves at most a row
whose key nobody knows.
"""

from __future__ import annotations

import json
import random
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal
from uuid import NAMESPACE_URL, uuid5

from botocore.exceptions import BotoCoreError, ClientError

from handlers.common.keys import DIGEST, KEY_BYTES, NAME, digest_of
from ops.audit import Audit
from ops.errors import UserError
from ops.stacks import StackHandle

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

ID_LENGTH = 12
"""Hex digits of a key's digest by which people name it."""
SHORTEST_ID = 6
THROTTLED_SECONDS = 60.0
"""How long a function at its limit of concurrency is asked again; a new account's is 10 ("Lambda quotas")."""


@dataclass(frozen=True)
class Made:
    """A key that was made: the only place in which the key itself stands."""

    name: str
    digest: str
    key: str = field(repr=False)

    @property
    def id(self) -> str:
        """The short name of the key, for `revoke`."""
        return self.digest[:ID_LENGTH]


@dataclass(frozen=True)
class Key:
    """A key as it is listed; times in ISO 8601. What is not kept of keys in the secret is ``None``."""

    name: str
    digest: str
    where: Literal["database", "secret"]
    made_at: str | None = None
    revoked_at: str | None = None
    last_used_on: str | None = None

    @property
    def id(self) -> str:
        """The short name of the key, for `revoke`."""
        return self.digest[:ID_LENGTH]


def add(handle: StackHandle, name: str) -> Made:
    """Make a key and have its digest written into the database. A name may have several keys.

    Raises
    ------
    UserError
        The name is not one, or the key could not be written; then no key was shown and none that is known works.
    """
    made = _new(name)
    Audit(handle).record({"what": "keys add", "name": name, "id": made.id})
    answer = _ask(handle, {"keys": "add", "name": name, "digest": made.digest})
    if answer.get("digest") != made.digest:
        raise UserError("The key could not be added: the function answered of another one.", exit_code=1)
    return made


def add_first(client: SecretsManagerClient, secret_arn: str, name: str) -> Made:
    """Make a key and write its digest into the secret, where there is none yet.

    Raises
    ------
    UserError
        The name is not one, the secret holds a key already, cannot be read or written, or was written meanwhile.
    """
    made = _new(name)
    kept, version = _read(client, secret_arn)
    if kept:
        raise UserError(
            f"The secret holds a key already: {', '.join(sorted(kept))}.",
            "Revoke it first (./bmx keys list, ./bmx keys revoke), or leave --first away.",
        )
    entry = {"sha256": made.digest, "created": datetime.now(UTC).isoformat(timespec="seconds")}
    _write(client, secret_arn, {name: entry}, version)
    return made


def listing(handle: StackHandle) -> list[Key]:
    """Return every key: those of the secret, then those of the database, oldest first, revoked ones too.

    Raises
    ------
    UserError
        One of the two places cannot be read.
    """
    kept, _ = _read(handle.client("secretsmanager"), str(handle.output("api_keys_secret_arn")))
    return [*_of_secret(kept), *_of_database(handle)]


def revoke(handle: StackHandle, named: str) -> Key:
    """Revoke a key for good.

    Parameters
    ----------
    named
        Its id, or the beginning of it, or its name if no other key that works has it.

    Returns
    -------
    Key
        The key, with the time of its revocation; of a key that was revoked before the first time.

    Raises
    ------
    UserError
        No key or several are meant, or it could not be revoked.
    """
    client, arn = handle.client("secretsmanager"), str(handle.output("api_keys_secret_arn"))
    kept, version = _read(client, arn)
    key = chosen([*_of_secret(kept), *_of_database(handle)], named)
    if key.revoked_at is not None:
        return key
    Audit(handle).record({"what": "keys revoke", "name": key.name, "id": key.id, "where": key.where})
    if key.where == "database":
        answer = _ask(handle, {"keys": "revoke", "digest": key.digest})
        return Key(key.name, key.digest, key.where, key.made_at, str(answer["revoked_at"]), key.last_used_on)
    _write(client, arn, {name: entry for name, entry in kept.items() if name != key.name}, version)
    return Key(key.name, key.digest, key.where, key.made_at, datetime.now(UTC).isoformat(timespec="seconds"))


def chosen(keys: list[Key], named: str) -> Key:
    """Return the one key that is meant; one that works before those of its name that were revoked.

    Raises
    ------
    UserError
        None or several.
    """
    by_id = len(named) >= SHORTEST_ID
    fitting = [each for each in keys if each.name == named or (by_id and each.digest.startswith(named.lower()))]
    working = [each for each in fitting if each.revoked_at is None]
    found = working or fitting[-1:]
    if not found:
        raise UserError(f"There is no key {named!r}.", "See ./bmx keys list.")
    if len(found) > 1:
        ids = ", ".join(each.id for each in found)
        raise UserError(f"{len(found)} keys are meant by {named!r}: {ids}.", "Give the id of one.")
    return found[0]


def _new(name: str) -> Made:
    if not NAME.fullmatch(name):
        raise UserError(f"{name!r} is no name for a key.", "Use up to 63 of a-z, 0-9, dot, dash, underscore.")
    key = secrets.token_urlsafe(KEY_BYTES)
    return Made(name, digest_of(key), key)


def _of_secret(kept: Mapping[str, Mapping[str, str]]) -> list[Key]:
    found = [Key(name, entry["sha256"], "secret", entry.get("created")) for name, entry in kept.items()]
    return sorted(found, key=lambda each: each.made_at or "")


def _of_database(handle: StackHandle) -> list[Key]:
    return [Key(where="database", **row) for row in _ask(handle, {"keys": "list"})["keys"]]


def _ask(handle: StackHandle, event: Mapping[str, str]) -> Mapping[str, Any]:
    """Let the function inside the network do it; asked again while it is at its limit of concurrency.

    Raises
    ------
    UserError
        It cannot be invoked, is older than this command, or its database does not answer.
    """
    function = str(handle.output("migrate_function"))
    client = handle.client("lambda")

    def invoke() -> Any:
        return client.invoke(FunctionName=function, Payload=json.dumps(event).encode())

    try:
        answer = _unthrottled(invoke)
        found = json.loads(answer["Payload"].read())
    except (BotoCoreError, ClientError, ValueError) as error:
        raise UserError(f"The function {function} cannot be asked: {error}", exit_code=1) from error
    if "FunctionError" in answer:
        raise UserError(f"The function {function} could not do it: {found.get('errorMessage', found)}", exit_code=1)
    if not isinstance(found, dict) or not {"keys", "digest"} & found.keys():
        raise UserError(
            f"The function {function} knows nothing of keys: it is older than this command.",
            "Deploy the stack first.",
            exit_code=1,
        )
    return found


def _unthrottled(invoke: Callable[[], Any]) -> Any:
    until = time.monotonic() + THROTTLED_SECONDS
    while True:
        try:
            return invoke()
        except ClientError as error:
            if error.response["Error"]["Code"] != "TooManyRequestsException" or time.monotonic() > until:
                raise
        time.sleep(random.uniform(0.2, 1.0))  # noqa: S311  many that were refused at once must not come back at once


def _read(client: SecretsManagerClient, secret_arn: str) -> tuple[dict[str, dict[str, str]], str]:
    """Return the keys in the secret and the version that they stand in, empty where nothing was ever written."""
    try:
        answer = client.get_secret_value(SecretId=secret_arn)
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundException" and _exists(client, secret_arn):
            return {}, ""  # a secret that the program made and nobody has written to yet
        raise UserError(f"The secret of the API's first key cannot be read: {error}", exit_code=1) from error
    try:
        entries = json.loads(answer["SecretString"])["keys"]
        kept = {name: entry for name, entry in entries.items() if DIGEST.fullmatch(entry["sha256"])}
    except (ValueError, KeyError, TypeError, AttributeError):
        # Not chained: a JSONDecodeError carries the document.
        raise UserError(
            f"The secret {secret_arn} does not hold {{'keys': {{NAME: {{'sha256': …}}}}}}.",
            "Put {'keys': {}} into it, as JSON.",
            exit_code=1,
        ) from None
    return kept, answer["VersionId"]


def _write(client: SecretsManagerClient, secret_arn: str, keys: Mapping[str, Mapping[str, str]], after: str) -> None:
    """Write the secret if its version is still the one that was read.

    Secrets Manager has no conditional put, but it refuses a second value for a version that exists ("PutSecretValue",
    ClientRequestToken). The new version's id follows from the old one's, so of two that read the same one wins.

    Raises
    ------
    UserError
        Another one wrote meanwhile, or it was refused.
    """
    token = str(uuid5(NAMESPACE_URL, f"{secret_arn} after {after}"))
    try:
        client.put_secret_value(
            SecretId=secret_arn, ClientRequestToken=token, SecretString=json.dumps({"keys": dict(keys)})
        )
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceExistsException":
            raise UserError(
                "Somebody else changed the secret of the first key at the same moment; nothing was changed here.",
                "See ./bmx keys list.",
                exit_code=1,
            ) from error
        raise UserError(f"The secret of the API's first key cannot be written: {error}", exit_code=1) from error


def _exists(client: SecretsManagerClient, secret_arn: str) -> bool:
    try:
        client.describe_secret(SecretId=secret_arn)
    except ClientError:
        return False
    return True
