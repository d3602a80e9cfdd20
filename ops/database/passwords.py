"""Which passwords RDS takes, which are placeholders, and how a new one is made."""

from __future__ import annotations

import secrets
import string

#: Between 8 and 128 printable ASCII characters without these ("ModifyDBInstance", MasterUserPassword, PostgreSQL).
_FORBIDDEN = set("/\"@' ")
_SHORTEST, _LONGEST = 8, 128
_LENGTH = 40
_ALPHABET = string.ascii_letters + string.digits + "!#$%&()*+,-.:;<=>?[]^_{|}~"
#: Values that somebody wrote to have something there; the incident's was the first.
PLACEHOLDERS = frozenset(
    {"not-used", "notused", "dummy", "changeme", "change-me", "placeholder", "password", "secret", "todo", "none", "x"}
)


def new_password() -> str:
    """Make one, from the operating system's randomness."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))


def objection(password: str) -> str:
    """Say why a database must not get this password; empty if it may. Holds nothing of it."""
    if password.strip().lower() in PLACEHOLDERS:
        return "its password is a placeholder"
    if not _SHORTEST <= len(password) <= _LONGEST:
        return f"its password has {len(password)} characters and RDS takes {_SHORTEST} to {_LONGEST}"
    if _FORBIDDEN & set(password) or not password.isascii() or not password.isprintable():
        return "its password has a character that RDS does not take"
    return ""
