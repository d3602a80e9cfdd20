"""`./bmx guard`: files in, the report out."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from ops.display import console_for
from ops.errors import UserError
from ops.guard.preview import parse_preview, parse_state
from ops.guard.report import Report, judge

LARGEST = 64 * 1024 * 1024
ALLOWANCES = "BMX_GUARD_ALLOW"
"""Environment variable of reasons, one RULE=REASON a line: a workflow has no hand to type `--allow` with."""


def run(preview: str, state: Path | None, allow: Iterable[str], markdown: Path | None, *, as_json: bool) -> int:
    """Judge a preview; 0 when it may be deployed, else 1.

    Parameters
    ----------
    preview
        File, or ``-`` for standard input.
    state
        The stack's export.
    allow
        ``RULE=REASON`` each; they come before the ones of `ALLOWANCES`.
    markdown
        Where to write the comment for a pull request.

    Raises
    ------
    UserError
        A file that cannot be read, or is not what it should be.
    """
    text = sys.stdin.read(LARGEST) if preview == "-" else _read(Path(preview))
    report = judge(
        parse_preview(text, "standard input" if preview == "-" else Path(preview).name),
        parse_state(_read(state), state.name) if state else None,
        {**allowed(from_environment(), ALLOWANCES), **allowed(allow)},
    )
    if markdown is not None:
        markdown.write_text(report.markdown(), encoding="utf-8")
    _show(report, as_json=as_json)
    return 0 if report.passed else 1


def from_environment() -> list[str]:
    """Give the lines of `ALLOWANCES` that are not empty."""
    return [line.strip() for line in os.environ.get(ALLOWANCES, "").splitlines() if line.strip()]


def allowed(given: Iterable[str], where: str = "--allow") -> dict[str, str]:
    """Read ``RULE=REASON``; rule to reason. `where` they were given is for errors.

    Raises
    ------
    UserError
        One has no reason.
    """
    reasons: dict[str, str] = {}
    for each in given:
        rule, equals, reason = each.partition("=")
        if not equals:
            raise UserError(f"{where} {each!r} gives no reason.", f"Write {where} RULE=REASON.")
        reasons[rule.strip()] = reason.strip()
    return reasons


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST:
            raise UserError(f"{path.name} has more than {LARGEST >> 20} MB; that is no preview.")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path.name} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UserError(f"{path.name} is not UTF-8, so it is no JSON.") from None


def _show(report: Report, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(report.to_json(), indent=2))  # noqa: T201
        return
    console = console_for()
    for line in report.lines():
        style = "bold red" if line.startswith("REFUSED") else "yellow" if line.startswith("allowed") else ""
        console.print(line, style=style, markup=False, soft_wrap=True)
