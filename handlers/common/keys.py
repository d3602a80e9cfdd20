"""The API's first key: its SHA-256 digest in a secret, compared in constant time, re-read every few seconds.

It works while the database, where all other keys lie (`stored_keys`), is down. Earlier versions of `./bmx keys add`
kept every key in the secret; each that still stands there works like the first.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from handlers.common.clock import now as _now
from handlers.common.secrets import NoSecretValueError, SecretError, read_json

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

log = logging.getLogger(__name__)

# How long a key that was revoked still works.
CACHE = timedelta(seconds=5)
# How long a key that was added is still unknown: a guesser can make the process read the secret this often, no more.
UNKNOWN_CACHE = timedelta(seconds=1)
MAX_KEY_LENGTH = 512
KEY_BYTES = 32
KEY = re.compile(r"[A-Za-z0-9_-]{43}")
"""What ``secrets.token_urlsafe(KEY_BYTES)`` makes."""
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
DIGEST = re.compile(r"[0-9a-f]{64}")


def digest_of(key: str) -> str:
    """Return the SHA-256 of a key, in hex.

    Keys are 256 bits of the operating system's randomness, so there is nothing to try: a salt or a slow hash would add
    nothing ("Look-up secrets having at least 112 bits of entropy SHALL be hashed with an approved one-way function";
    only those with fewer need salt and key derivation, NIST SP 800-63B, 5.1.2.2).
    """
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


class ApiKeys:
    """Tells whose key a caller presents.

    Parameters
    ----------
    secret_arn
        Secret ``{"keys": {"<name>": {"sha256": "<hex>", "created": "<iso>"}}}``.
    secrets
        Client; the process's own if not given.
    clock
        Where the time comes from.
    """

    def __init__(
        self, secret_arn: str, secrets: SecretsManagerClient | None = None, clock: Callable[[], datetime] = _now
    ) -> None:
        self._arn = secret_arn
        self._client = secrets
        self._clock = clock
        self._digests: dict[str, str] = {}
        self._read_at: datetime | None = None

    def owner(self, presented: str) -> str | None:
        """Return the name of the key's owner, or ``None`` if it is no key.

        Every key is compared, whether one matched before or not, so the answer's time tells nothing.

        Raises
        ------
        SecretError
            The secret cannot be read. Nobody is let in by an old copy then: it may hold a revoked key.
        """
        current = self._current(CACHE)
        if not 0 < len(presented) <= MAX_KEY_LENGTH:
            return None
        digest = digest_of(presented)
        found = _owner(current, digest)
        if found is None and (anew := self._current(UNKNOWN_CACHE)) is not current:
            found = _owner(anew, digest)
        return found

    def _current(self, longest: timedelta) -> dict[str, str]:
        """Return the digests, read again where the copy is as old as `longest`."""
        now = self._clock()
        # A clock that was set back must not make the copy live longer.
        if self._read_at is None or not timedelta(0) <= now - self._read_at < longest:
            self._digests = self._read()
            self._read_at = now
        return self._digests

    def _read(self) -> dict[str, str]:
        if self._client is None:
            from handlers.common.aws import client  # noqa: PLC0415

            self._client = client("secretsmanager")
        try:
            keys = read_json(self._client, self._arn).get("keys")
        except NoSecretValueError:
            return {}  # nobody made a first key; those in the database work without one
        if not isinstance(keys, dict):
            raise SecretError(f"the secret {self._arn} has no object under 'keys'")
        digests = {}
        for name, entry in keys.items():
            digest = entry.get("sha256") if isinstance(entry, dict) else None
            if isinstance(digest, str) and DIGEST.fullmatch(digest):
                digests[name] = digest
            else:
                # One broken entry locks out its owner, not everybody.
                log.error("the key %r in the secret %s has no SHA-256 in hex", name, self._arn)
        return digests


def _owner(digests: dict[str, str], digest: str) -> str | None:
    found = None
    for name, known in digests.items():
        if hmac.compare_digest(digest, known):
            found = name
    return found
