"""Policy documents of AWS, read for rules: statements with their lists as lists."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from policies.model import UNKNOWN


@dataclass(frozen=True)
class Statement:
    """One statement of a policy document."""

    effect: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    principals: tuple[str, ...]
    services: tuple[str, ...]
    condition: dict[str, Any]

    @property
    def allows(self) -> bool:
        """Whether it allows."""
        return self.effect == "Allow"

    @property
    def denies_plain_http(self) -> bool:
        """Whether it denies everybody what does not come over TLS."""
        test = self.condition.get("Bool", {}).get("aws:SecureTransport")
        return self.effect == "Deny" and "*" in self.principals and str(test).lower() == "false"

    @property
    def open_to_anybody(self) -> bool:
        """Whether it allows everybody, under no condition."""
        return self.allows and "*" in self.principals and not self.condition


def parsed(value: Any) -> Any:
    """Return JSON text as what it says; `UNKNOWN` and unreadable text as `UNKNOWN` and None."""
    if value is UNKNOWN or not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return None


def statements(value: Any) -> list[Statement]:
    """Return the statements of a document; none where it is unknown or unreadable."""
    document = parsed(value)
    if not isinstance(document, dict):
        return []
    return [_statement(each) for each in _listed(document.get("Statement")) if isinstance(each, dict)]


def readable(value: Any) -> bool:
    """Tell whether a document is one, or is not known yet."""
    document = parsed(value)
    return document is UNKNOWN or (isinstance(document, dict) and isinstance(document.get("Statement"), list | dict))


def _statement(given: dict[str, Any]) -> Statement:
    # What is allowed but for a list is allowed without an end, so it reads as a wildcard.
    return Statement(
        effect=str(given.get("Effect")),
        actions=("*",) if "NotAction" in given else tuple(_listed(given.get("Action"))),
        resources=("*",) if "NotResource" in given else tuple(_listed(given.get("Resource"))),
        principals=("*",) if "NotPrincipal" in given else tuple(_principals(given.get("Principal"))),
        services=tuple(_services(given.get("Principal"))),
        condition=dict(given.get("Condition") or {}),
    )


def _principals(given: Any) -> Iterator[str]:
    if isinstance(given, dict):
        for each in given.values():
            yield from _listed(each)
    else:
        yield from _listed(given)


def _services(given: Any) -> Iterable[str]:
    return _listed(given.get("Service")) if isinstance(given, dict) else ()


def _listed(given: Any) -> list[Any]:
    if given is None:
        return []
    return list(given) if isinstance(given, list) else [given]
