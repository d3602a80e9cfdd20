"""Policy documents compared: what the new one allows and the old one did not."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_KNOWN = {"Sid", "Effect", "Action", "Resource", "Principal", "Condition"}
ANYBODY = "*"


class UnreadableError(ValueError):
    """A document that is masked, unknown, or uses what is not compared here (NotAction and its like)."""


@dataclass(frozen=True)
class Permission:
    """One action on one resource for one principal (empty in a policy of a role), under one set of conditions."""

    effect: str
    principal: str
    action: str
    resource: str
    condition: str

    def covers(self, other: Permission) -> bool:
        """Whether whoever has this has the other too; wildcards as in IAM, conditions equal or none."""
        return (
            self.effect == other.effect
            and self.principal in {other.principal, ANYBODY}
            and fnmatch.fnmatchcase(other.action.lower(), _pattern(self.action.lower()))
            and fnmatch.fnmatchcase(other.resource, _pattern(self.resource))
            and self.condition in {other.condition, "{}"}
        )


def permissions(document: Any) -> tuple[Permission, ...]:
    """Read a document.

    Raises
    ------
    UnreadableError
        It cannot be compared; the message says why and holds nothing of it.
    """
    try:
        statements = json.loads(document)["Statement"]
    except (TypeError, ValueError, KeyError):
        raise UnreadableError("the document is masked, not known before the deployment, or no policy") from None
    listed = statements if isinstance(statements, list) else [statements]
    return tuple(found for statement in listed for found in _permissions(statement))


def widened(old: Any, new: Any) -> str:
    """Say what the new document adds, or return the empty string.

    Parameters
    ----------
    old, new
        JSON text; ``None`` for no document.

    Raises
    ------
    UnreadableError
        One of them cannot be compared.
    """
    before = permissions(old) if old is not None else ()
    after = permissions(new) if new is not None else ()
    added = [each for each in after if each.effect == "Allow" and not any(known.covers(each) for known in before)]
    lifted = [each for each in before if each.effect == "Deny" and not any(still.covers(each) for still in after)]
    words = []
    if added:
        words.append("allows " + _names(added))
    if lifted:
        words.append("no longer denies " + _names(lifted))
    return "; ".join(words)


def open_to_anybody(document: Any) -> bool:
    """Whether a resource's policy allows everybody something, without a condition on who or whence.

    Raises
    ------
    UnreadableError
        It cannot be read.
    """
    return any(
        each.effect == "Allow" and each.principal == ANYBODY and not _narrows(each.condition)
        for each in permissions(document)
    )


def _narrows(condition: str) -> bool:
    keys = {key.lower() for operator in json.loads(condition).values() for key in operator}
    return bool(
        keys
        & {
            "aws:sourcearn",
            "aws:sourceaccount",
            "aws:sourceowner",
            "aws:sourceorgid",
            "aws:principalarn",
            "aws:principalaccount",
            "aws:principalorgid",
            "aws:sourcevpce",
            "aws:sourcevpc",
        }
    )


def _permissions(statement: Any) -> Iterator[Permission]:
    if not isinstance(statement, dict) or set(statement) - _KNOWN or statement.get("Effect") not in {"Allow", "Deny"}:
        raise UnreadableError("a statement uses what the gate does not compare (NotAction, NotResource, ...)")
    condition = json.dumps(statement.get("Condition") or {}, sort_keys=True)
    for principal in _principals(statement.get("Principal")):
        for action in _texts(statement.get("Action")):
            # A role's trust policy has no resource: it is the role.
            for resource in _texts(statement.get("Resource", "")):
                yield Permission(statement["Effect"], principal, action, resource, condition)


def _principals(value: Any) -> list[str]:
    if value is None:
        return [""]
    if isinstance(value, dict):
        return [
            ANYBODY if kind == "AWS" and each == "*" else f"{kind}:{each}"
            for kind, names in value.items()
            for each in _texts(names)
        ]
    return _texts(value)


def _texts(value: Any) -> list[str]:
    found = value if isinstance(value, list) else [value]
    if not found or not all(isinstance(each, str) for each in found):
        raise UnreadableError("a statement has an action, resource or principal that is no text")
    return found


def _names(found: list[Permission]) -> str:
    shown = sorted({f"{each.action}{' to ' + each.principal if each.principal else ''}" for each in found})
    more = len(shown) - 5
    return ", ".join(shown[:5]) + (f" and {more} more" if more > 0 else "")


def _pattern(text: str) -> str:
    # IAM knows `*` and `?` only; fnmatch would take brackets for a set of characters.
    return text.replace("[", "[[]")
