"""Waivers: a rule that does not hold for one resource, for a while, on somebody's word."""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("waivers.toml")
_FIELDS = {"rule": str, "resource": str, "stack": str, "owner": str, "reason": str, "expires": datetime.date}


class WaiverError(Exception):
    """The file of waivers cannot be used as it is; the message says which entry, why, and what to do."""


@dataclass(frozen=True)
class Waiver:
    """One rule waived for one resource of one stack.

    Attributes
    ----------
    rule, resource, stack
        Name of the rule, name of the resource in the program, name of the stack.
    owner, reason
        Who answers for it, and why.
    expires
        The last day on which it holds.
    """

    rule: str
    resource: str
    stack: str
    owner: str
    reason: str
    expires: datetime.date

    def expired(self, today: datetime.date) -> bool:
        """Tell whether its last day is over."""
        return today > self.expires

    def __str__(self) -> str:
        return f"the waiver of {self.rule} for {self.resource!r} in {self.stack!r} ({self.owner}, to {self.expires})"


def load(path: Path, rules: Iterable[str]) -> tuple[Waiver, ...]:
    """Read the file of waivers.

    Parameters
    ----------
    path
        A TOML file with ``[[waiver]]`` tables; every field is needed.
    rules
        Names of the rules that there are.

    Raises
    ------
    WaiverError
        A field is missing, empty, of another kind or unknown; a rule that does not exist; two for the same thing.
    """
    try:
        given = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise WaiverError(f"{path.name} cannot be read: {error}") from error
    strangers = sorted(set(given) - {"waiver"})
    if strangers:
        raise WaiverError(f"{path.name}: {strangers[0]!r} is nothing known; write [[waiver]] tables.")
    known = set(rules)
    waivers = [_waiver(f"{path.name}, waiver {n}", table, known) for n, table in enumerate(given.get("waiver", []), 1)]
    keys = [(w.rule, w.resource, w.stack) for w in waivers]
    for waiver, key in zip(waivers, keys, strict=True):
        if keys.count(key) > 1:
            raise WaiverError(f"{path.name}: {waiver} is there twice; keep one.")
    return tuple(waivers)


def _waiver(where: str, table: dict[str, object], rules: set[str]) -> Waiver:
    for name in sorted(set(table) - set(_FIELDS)):
        raise WaiverError(f"{where}: {name!r} is no field of a waiver; the fields are {', '.join(_FIELDS)}.")
    for name, kind in _FIELDS.items():
        value = table.get(name)
        if value is None or value == "":
            raise WaiverError(f"{where}: {name} is missing; a waiver has owner, reason and expires, all of them.")
        if type(value) is not kind:
            example = "2027-01-31, without quotes" if kind is datetime.date else "a text"
            raise WaiverError(f"{where}: {name} is not {example}.")
    if table["rule"] not in rules:
        raise WaiverError(f"{where}: there is no rule {table['rule']!r}; docs/policies.md lists them.")
    return Waiver(**table)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Verdict:
    """What the waivers come to for one stack.

    Attributes
    ----------
    expired, unused
        Waivers of this stack whose day is over; those that waived nothing.
    """

    expired: tuple[Waiver, ...]
    unused: tuple[Waiver, ...]


class Ledger:
    """The waivers of a run, and which of them were needed.

    Parameters
    ----------
    waivers
        All of them.
    today
        The day on which they are judged.
    """

    def __init__(self, waivers: Iterable[Waiver], today: datetime.date) -> None:
        self._waivers = {(w.rule, w.resource, w.stack): w for w in waivers}
        self._today = today
        self._used: set[Waiver] = set()

    def waives(self, rule: str, resource: str, stack: str) -> bool:
        """Tell whether a finding is waived, and remember that its waiver was needed; an expired one waives nothing."""
        waiver = self._waivers.get((rule, resource, stack))
        if waiver is None or waiver.expired(self._today):
            return False
        self._used.add(waiver)
        return True

    def verdict(self, stack: str) -> Verdict:
        """Judge the waivers of one stack, once everything has been asked."""
        own = [waiver for waiver in self._waivers.values() if waiver.stack == stack]
        expired = tuple(waiver for waiver in own if waiver.expired(self._today))
        return Verdict(expired, tuple(w for w in own if w not in self._used and w not in expired))
