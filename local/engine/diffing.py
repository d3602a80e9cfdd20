"""Differences between inputs: the provider's answer, our own where it has none, and replace_on_changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from local.engine import paths
from local.engine.values import PropertyMap, deep_equal, unwrap

_INVERSE = {"add": "delete", "delete": "add", "update": "update"}


@dataclass(frozen=True)
class PropertyDiff:
    """How one property differs.

    Attributes
    ----------
    kind
        ``add``, ``delete`` or ``update``, with ``-replace`` after it where it forces a replacement.
    input_diff
        True if old and new inputs differ, False if the old state and the new inputs do.
    """

    kind: str
    input_diff: bool = False

    @property
    def replaces(self) -> bool:
        """Whether it forces a replacement."""
        return self.kind.endswith("-replace")

    def to_replace(self) -> PropertyDiff:
        """Give the same difference, forcing a replacement."""
        return self if self.replaces else replace(self, kind=f"{self.kind}-replace")

    def inverted(self) -> PropertyDiff:
        """Give the difference in the other direction."""
        kind, separator, suffix = self.kind.partition("-")
        return replace(self, kind=f"{_INVERSE[kind]}{separator}{suffix}")


@dataclass(frozen=True)
class Diff:
    """A provider's answer to Diff.

    Attributes
    ----------
    changes
        ``unknown`` if the provider leaves it to the engine to compare.
    detailed
        Property path to difference; None if the provider gives none.
    """

    changes: Literal["some", "none", "unknown"] = "none"
    replace_keys: tuple[str, ...] = ()
    stable_keys: tuple[str, ...] = ()
    changed_keys: tuple[str, ...] = ()
    detailed: dict[str, PropertyDiff] | None = None
    delete_before_replace: bool = field(default=False)

    @property
    def replaces(self) -> bool:
        """Whether the resource has to be replaced."""
        return bool(self.replace_keys) or any(part.replaces for part in (self.detailed or {}).values())

    def inverted(self) -> Diff:
        """Give the diff that would undo this one."""
        if self.detailed is None:
            return self
        return replace(self, detailed={path: part.inverted() for path, part in self.detailed.items()})


def replacement(key: str) -> Diff:
    """Give the diff of a resource that is replaced for a reason of the engine's own (``id``, ``provider``)."""
    return Diff("some", replace_keys=(key,))


def compare_inputs(old: PropertyMap, new: PropertyMap) -> Diff:
    """Compare inputs property by property, secret marks aside, for a provider that does not compare itself."""
    detailed = dict(_differences((), unwrap(old), unwrap(new)))
    keys = tuple(sorted({str(paths.parse(path)[0]) for path in detailed}))
    return Diff("some" if detailed else "none", changed_keys=keys, detailed=detailed)


def _differences(path: paths.Path, old: Any, new: Any) -> Iterator[tuple[str, PropertyDiff]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from _difference_at((*path, key), key in old, key in new, old, new)
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            yield from _difference_at((*path, index), index < len(old), index < len(new), old, new)
    elif not deep_equal(old, new):
        yield _text(path), PropertyDiff("update", input_diff=True)


def _difference_at(
    path: paths.Path, in_old: bool, in_new: bool, old: Any, new: Any
) -> Iterator[tuple[str, PropertyDiff]]:
    if in_old and in_new:
        yield from _differences(path, old[path[-1]], new[path[-1]])
    else:
        yield _text(path), PropertyDiff("delete" if in_old else "add", input_diff=True)


def _text(path: paths.Path) -> str:
    text = ""
    for element in path:
        if isinstance(element, int):
            text += f"[{element}]"
        elif not element or any(mark in element for mark in '."[]'):
            text += '["' + element.replace('"', '\\"') + '"]'
        else:
            text += f".{element}" if text else element
    return text


def apply_replace_on_changes(diff: Diff, patterns: Iterable[str], *, unhealthy: bool) -> Diff:
    """Make differences at or under the given paths force a replacement.

    Parameters
    ----------
    diff
        The provider's answer.
    patterns
        The resource's replace_on_changes.
    unhealthy
        Whether the resource's initialisation failed; the path ``#initerror`` (or ``*``) then matches.

    Raises
    ------
    ValueError
        If a path is malformed.
    """
    if diff.changes != "some" and not unhealthy:
        return diff
    outer = [paths.parse(pattern) for pattern in patterns]

    def hit(path: str) -> bool:
        return any(paths.contains(pattern, paths.parse(path)) for pattern in outer)

    detailed = diff.detailed
    if detailed is not None:
        detailed = {path: part.to_replace() if hit(path) else part for path, part in detailed.items()}
    keys = dict.fromkeys((*diff.replace_keys, *(key for key in diff.changed_keys if hit(key))))
    changes = diff.changes
    if unhealthy and hit("#initerror"):
        keys["#initerror"] = None
        changes = "some"
    return replace(diff, changes=changes, detailed=detailed, replace_keys=tuple(keys))
