"""What is too long for every run is played by turns: each commit plays a share, and a few commits play all of it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

ALL = os.environ.get("BMX_TURNS") == "all"
"""`BMX_TURNS=all ./bmx test --all local -k many_seeds` plays everything."""


def share(everything: Sequence[T], shares: int) -> list[T]:
    """Return what this commit plays: one of so many shares, by its hash."""
    if ALL:
        return list(everything)
    head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout  # noqa: S607
    return list(everything[int(head[:8] or "0", 16) % shares :: shares])
