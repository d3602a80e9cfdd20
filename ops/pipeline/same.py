"""`./bmx pipeline same-operations`: what is about to be done is what was reviewed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ops.errors import UserError
from ops.guard.preview import Preview, Step, parse_preview

_PLACE = frozenset({"path"})
"""Where an archive lies on the machine that made the preview; its hash stands beside it."""


def same_operations(reviewed: Path, fresh: Path) -> int:
    """Compare two previews; 0 when their operations are equal, else 1 with each difference by name.

    Equal are operation, resource, the properties that change, and the new inputs as far as a preview shows them.

    Raises
    ------
    UserError
        A file that cannot be read or is no whole preview.
    """
    one, other = (_read(path) for path in (reviewed, fresh))
    found = list(differences(one, other))
    for line in found:
        print(f"differs: {line}")  # noqa: T201
    count = sum(step.changes_it for step in other.steps)
    print("refused: not what was reviewed; review it again" if found else f"the same {count} operations")  # noqa: T201
    return 1 if found else 0


def differences(reviewed: Preview, fresh: Preview) -> Iterator[str]:
    """Name every operation that only one of the previews has, or that they mean differently; no value is named."""
    for name, preview in (("reviewed", reviewed), ("fresh", fresh)):
        if preview.errors or preview.corrupt:
            yield f"the {name} preview ended in an error"
    before, after = _operations(reviewed), _operations(fresh)
    for key in sorted(before.keys() - after.keys()):
        yield f"{key[0]} {key[1]} was reviewed and would not be done"
    for key in sorted(after.keys() - before.keys()):
        yield f"{key[0]} {key[1]} was not reviewed"
    for key in sorted(before.keys() & after.keys()):
        if paths := sorted(set(before[key].changed) ^ set(after[key].changed)):
            yield f"{key[0]} {key[1]} changes other properties: {', '.join(paths)}"
        old, new = before[key].new, after[key].new
        if names := sorted(name for name in {*old, *new} if _shown(old.get(name)) != _shown(new.get(name))):
            yield f"{key[0]} {key[1]} has other values: {', '.join(names)}"


def _operations(preview: Preview) -> dict[tuple[str, str], Step]:
    return {(step.op, step.urn): step for step in preview.steps if step.changes_it}


def _shown(value: Any) -> str:
    return json.dumps(_without_places(value), sort_keys=True)


def _without_places(value: Any) -> Any:
    if isinstance(value, Mapping):
        # The mark of an asset or archive in Pulumi's JSON; any other mapping keeps its "path".
        left_out = _PLACE if "4dabf18193072939515e22adb298388d" in value and "hash" in value else frozenset()
        return {key: _without_places(each) for key, each in value.items() if key not in left_out}
    return [_without_places(each) for each in value] if isinstance(value, list) else value


def _read(path: Path) -> Preview:
    try:
        return parse_preview(path.read_text(encoding="utf-8"), path.name)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path.name} cannot be read: {error}") from error
