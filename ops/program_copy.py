"""A copy of the program that may be changed: the files that the Pulumi program reads, nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

from ops.paths import ROOT

PARTS = (
    "__main__.py",
    "flows.py",
    "settings.py",
    "Pulumi.yaml",
    *(f"Pulumi.{stack}.yaml" for stack in ("local", "staging", "prod")),
    "components",
    "handlers",
    "migrations",
    "requirements",
)


def copy_of_the_program(target: Path) -> Path:
    """Copy the program to `target` and return it."""
    target.mkdir(parents=True)
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, target / part, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        else:
            shutil.copy2(source, target / part)
    return target


def edit(project: Path, file: str, before: str, after: str) -> None:
    """Replace the one occurrence of `before` in a file of the copy.

    Raises
    ------
    ValueError
        There is none, or there are several: what was to be changed is not what is there.
    """
    path = project / file
    text = path.read_text()
    if text.count(before) != 1:
        raise ValueError(f"{file} has {text.count(before)} occurrences of {before!r}")
    path.write_text(text.replace(before, after))
