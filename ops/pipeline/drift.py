"""`./bmx pipeline drift`: does AWS still have what the state says? In sync is said only by whoever looked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ops.errors import UserError
from ops.pulumi_cli import pulumi, refuse_without_its_key

IN_SYNC, DRIFTED, NOT_LOOKED_AT = 0, 1, 2
UNEXPECTED_CHANGES = 7
"""The CLI's exit code for ``--expect-no-changes`` (pulumi/pkg/cmd/pulumi/cmd/exit_codes.go)."""
_QUIET = frozenset({"same", "refresh", "read"})


def drift(stack: str) -> int:
    """Refresh without writing anything, and compare.

    Returns
    -------
    int
        0: looked at, and nothing differs. 1: drifted, each resource named. 2: it could not be looked at.
    """
    refuse_without_its_key(stack)
    done = pulumi(["refresh", "--preview-only", "--expect-no-changes", "--json"], stack, capture=True)
    digest = _digest(done.output)
    changes = _changes(digest.get("changeSummary")) if digest else None
    failed = done.code not in {0, UNEXPECTED_CHANGES} or digest is None or _errors(digest)
    if failed or not changes or (done.code == UNEXPECTED_CHANGES) != bool(_loud(changes)):
        raise UserError(
            f"Whether {stack} has drifted is NOT KNOWN: pulumi refresh ended with {done.code}"
            + ("" if changes else " and says nothing of what it looked at"),
            "See the lines above; credentials, the state's lock and the backend are what it needs.",
            exit_code=NOT_LOOKED_AT,
        )
    assert digest is not None  # noqa: S101  said by `failed`
    if not _loud(changes):
        print(f"{stack}: in sync, {sum(changes.values())} resources looked at")  # noqa: T201
        return IN_SYNC
    print(f"{stack}: DRIFTED: " + ", ".join(f"{n} to {op}" for op, n in sorted(_loud(changes).items())))  # noqa: T201
    for op, urn, names in _named(digest):
        print(f"  {op} {urn} {', '.join(names)}".rstrip())  # noqa: T201
    return DRIFTED


def _digest(text: str) -> Mapping[str, Any] | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _changes(summary: Any) -> dict[str, int] | None:
    if not isinstance(summary, dict) or not all(isinstance(count, int) for count in summary.values()):
        return None
    return {str(op): count for op, count in summary.items() if count}


def _loud(changes: Mapping[str, int]) -> dict[str, int]:
    return {op: count for op, count in changes.items() if op not in _QUIET}


def _errors(digest: Mapping[str, Any]) -> bool:
    listed = digest.get("diagnostics") or []
    return any(isinstance(each, dict) and each.get("severity") in {"error", "info#err"} for each in listed)


def _named(digest: Mapping[str, Any]) -> list[tuple[str, str, list[str]]]:
    steps = [step for step in digest.get("steps") or [] if isinstance(step, dict) and step.get("op") not in _QUIET]
    return sorted((str(step.get("op")), str(step.get("urn")), sorted(step.get("detailedDiff") or ())) for step in steps)
