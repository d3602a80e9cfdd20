"""`./bmx bench`: runs a benchmark of `benchmarks/` in a process of its own, so that nothing else was loaded before."""

from __future__ import annotations

import os
import subprocess
import sys

from ops.errors import UserError
from ops.paths import ROOT


def names() -> list[str]:
    """Return the benchmarks' names."""
    return sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py") if path.stem != "__init__")


def run(name: str | None) -> int:
    """Run one benchmark, or each after the other; the worst exit code.

    Raises
    ------
    UserError
        There is no such benchmark.
    """
    if name is not None and name not in names():
        raise UserError(f"There is no benchmark {name!r}.", f"Benchmarks: {', '.join(names())}.")
    worst = 0
    for each in names() if name is None else [name]:
        print(f"== {each}", flush=True)  # noqa: T201
        done = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{each}"],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            check=False,
        )
        worst = max(worst, abs(done.returncode))
    return worst
