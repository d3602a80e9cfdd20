"""`./bmx test`: the linters, then pytest over the suites, with each suite's share of the time."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ops.errors import UserError
from ops.paths import ROOT

LINTERS: dict[str, list[str]] = {
    "ruff": ["ruff", "check", "--quiet", "."],
    "ruff format": ["ruff", "format", "--check", "--quiet", "."],
    "import-linter": ["lint-imports", "--no-logo"],
    # Not with --num-workers: on a busy machine mypy gives its workers up ("No status file found") and fails.
    "mypy": ["mypy", "--no-error-summary", "."],
}


NOTHING_MATCHED = 5
"""pytest's exit code for no tests: with `-k`, one group may well have none that match."""
KEEPS_A_CLOUD = frozenset({"browser", "e2e"})
"""Suites that share the embedded cloud of their session, of which a process keeps one: they have their own pytest."""


def suites() -> list[str]:
    """Return the names of the suites: the folders of tests/ that hold tests."""
    return sorted(path.name for path in (ROOT / "tests").iterdir() if next(path.glob("**/test_*.py"), None))


def run(chosen: Sequence[str], *, everything: bool, keyword: str, lint: bool) -> int:
    """Run the linters (when no suite is named, or when asked to) and the suites; return the exit code.

    Raises
    ------
    UserError
        A suite that does not exist.
    """
    known = suites()
    if unknown := [name for name in chosen if name not in known]:
        raise UserError(f"There is no suite {unknown[0]!r}.", f"Suites: {', '.join(known)}.")
    console = Console()
    linted = LINTERS if lint or not (chosen or keyword) else {}
    failed = [name for name, command in linted.items() if not _lint(console, name, command)]
    with tempfile.TemporaryDirectory() as folder:
        groups = _apart(chosen or known)
        reports = [Path(folder) / f"{number}.xml" for number in range(len(groups))]
        codes = _side_by_side(
            [
                _pytest(group, report, workers=1 if len(groups) > 1 and KEEPS_A_CLOUD & set(group) else 2)
                + ([] if everything else ["-m", "not slow"])
                + (["-k", keyword] if keyword else [])
                for group, report in zip(groups, reports, strict=True)
            ]
        )
        passed, wrong, skipped = _shares(console, reports)
    for name in failed:
        console.print(f"[red]failed[/]: {name}")
    # The plain closing line that any reader of logs understands.
    print(f"{passed} passed, {wrong + len(failed)} failed, {skipped} skipped")  # noqa: T201
    return 1 if failed or set(codes) - {0, NOTHING_MATCHED} or not passed else 0


def _lint(console: Console, name: str, command: list[str]) -> bool:
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", *command] if command[0] != "lint-imports" else _script(command), cwd=ROOT, check=False
    )
    console.print(f"{name}: {'clean' if done.returncode == 0 else '[red]failed[/]'} ({time.monotonic() - began:.0f} s)")
    return done.returncode == 0


def _script(command: list[str]) -> list[str]:
    return [str(Path(sys.executable).parent / command[0]), *command[1:]]


def _pytest(chosen: Sequence[str], report: Path, *, workers: int) -> list[str]:
    """Return the command for some suites; each worker that looks at a cloud deploys one of its own."""
    command = [sys.executable, "-m", "pytest", *(f"tests/{name}" for name in chosen), f"--junitxml={report}"]
    return [*command, f"--numprocesses={workers}", "--quiet"]


def _side_by_side(commands: Sequence[Sequence[str]]) -> list[int]:
    """Run the commands at once and return their exit codes: those on the cloud wait much, the others hardly.

    The first writes to the terminal as it goes on, the others once it has ended.
    """
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    # A shell has what it starts with "&" ignore Ctrl-C, and so would every process that the tests send one to.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with ExitStack() as stack:
        behind = [stack.enter_context(tempfile.TemporaryFile()) for _ in commands[1:]]
        running = [
            stack.enter_context(subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=out))
            for command, out in zip(commands, [None, *behind], strict=True)
        ]
        codes = [running[0].wait()]
        for process, out in zip(running[1:], behind, strict=True):
            codes.append(process.wait())
            out.seek(0)
            sys.stdout.flush()
            shutil.copyfileobj(out, sys.stdout.buffer)
        return codes


def _apart(chosen: Sequence[str]) -> list[list[str]]:
    """Split the suites into those that can share a process and those that keep a cloud."""
    groups = [[name for name in chosen if (name in KEEPS_A_CLOUD) == keeps] for keeps in (False, True)]
    return [group for group in groups if group]


def _shares(console: Console, reports: Sequence[Path]) -> tuple[int, int, int]:
    """Print tests, seconds and skips a suite; return how many passed, failed and were skipped."""
    counts: dict[str, list[float]] = defaultdict(lambda: [0, 0, 0, 0.0])
    skips: dict[str, str] = {}
    written = [ET.parse(report).getroot() for report in reports if report.exists()]  # noqa: S314 (pytest's own)
    for case in (case for root in written for case in root.iter("testcase")):
        row = counts[(case.get("classname") or "?.?").split(".")[1]]
        skip = case.find("skipped")
        outcome = (
            2 if skip is not None else 1 if case.find("failure") is not None or case.find("error") is not None else 0
        )
        row[outcome] += 1
        row[3] += float(case.get("time") or 0)
        if skip is not None:
            skips[f"{case.get('classname')}.{case.get('name')}"] = skip.get("message") or ""
    table = Table("suite", "passed", "failed", "skipped", "seconds of 2 workers", box=None)
    for name, (passed, wrong, skipped, seconds) in sorted(counts.items()):
        table.add_row(name, f"{passed:.0f}", f"{wrong:.0f}", f"{skipped:.0f}", f"{seconds:.0f}")
    console.print(table)
    for reason in sorted(set(skips.values())):
        names = sorted(name for name, its_reason in skips.items() if its_reason == reason)
        console.print(f"skipped, {reason}:", *(f"  {name}" for name in names), sep="\n", markup=False, soft_wrap=True)
    totals = [int(sum(row[index] for row in counts.values())) for index in range(3)]
    return totals[0], totals[1] + len(reports) - len(written), totals[2]
