"""Hostile picture files, made by code: each has a name, its bytes and what must come of it.

`bombs`, `damaged`, `disguised` and `unusual` hold them; `corpus()` is all of them by name.
"""

from __future__ import annotations

from functools import cache

from tests.corpus import bombs, damaged, disguised, unusual
from tests.corpus.entry import Hostile

__all__ = ["Hostile", "corpus"]


@cache
def corpus() -> dict[str, Hostile]:
    """All files by name."""
    files = [*bombs.FILES, *damaged.FILES, *disguised.FILES, *unusual.FILES]
    by_name = {file.name: file for file in files}
    assert len(by_name) == len(files), "two files have one name"
    return by_name
