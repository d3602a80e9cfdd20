"""Property paths (`a.b[0]["c"].*`): parsing, containment, and the reset that makes ignore_changes work.

The semantics are those of Pulumi's `sdk/go/common/resource/properties_path.go`.
"""

from __future__ import annotations

from typing import Any

from local.engine.values import PropertyMap, Secret, make_secret

Path = tuple[str | int, ...]


def parse(text: str) -> Path:
    """Read a property path.

    Raises
    ------
    ValueError
        If the path is malformed; the message says how.
    """
    if text.startswith("."):
        raise ValueError("expected property path to start with a name or index")
    elements: list[str | int] = []
    rest = text
    while rest:
        if rest[0] == ".":
            rest = rest[1:]
            if not rest:
                raise ValueError("expected property path to end with a name or index")
        elif rest[0] == "[":
            element, rest = _bracket(rest)
            elements.append(element)
        else:
            end = min((at for at in (rest.find("."), rest.find("[")) if at >= 0), default=len(rest))
            elements.append(rest[:end])
            rest = rest[end:]
    return tuple(elements)


def _bracket(text: str) -> tuple[str | int, str]:
    if text.startswith('["'):
        return _quoted(text)
    end = text.find("]")
    if end < 0:
        raise ValueError("missing closing bracket in array index")
    segment = text[1:end]
    if segment == "*":
        return "*", text[end + 1 :]
    try:
        return int(segment), text[end + 1 :]
    except ValueError:
        raise ValueError(f"invalid array index: {segment!r}") from None


def _quoted(text: str) -> tuple[str, str]:
    key, at = "", 2
    while True:
        if at >= len(text):
            raise ValueError("missing closing quote in property name")
        if text[at] == '"':
            break
        if text.startswith('\\"', at):
            at += 1
        key += text[at]
        at += 1
    if text[at + 1 : at + 2] != "]":
        raise ValueError("missing closing bracket in property access")
    return key, text[at + 2 :]


def contains(outer: Path, inner: Path) -> bool:
    """Tell whether ``inner`` lies at or under ``outer``, where ``*`` stands for any one element."""
    if len(inner) < len(outer):
        return False
    return all(o == "*" or (type(o) is type(i) and o == i) for o, i in zip(outer, inner, strict=False))


def reset(path: Path, old: PropertyMap, new: PropertyMap) -> bool:
    """Put the old value back into ``new`` (changed in place) at a path.

    Returns
    -------
    bool
        False if the path runs through an element that only one side has, which cannot be ignored.
    """
    return bool(path) and _reset(path, old, new, None)


class _Side:
    """Old and new at one level, without their secret wrappers; ``secret`` tells that only the old one had one."""

    def __init__(self, old: Any, new: Any, secret: bool) -> None:
        old_secret, new_secret = isinstance(old, Secret), isinstance(new, Secret)
        self.old = old.value if isinstance(old, Secret) else old
        self.new = new.value if isinstance(new, Secret) else new
        self.secret = (secret or old_secret) and not new_secret

    def take(self, value: Any) -> Any:
        return make_secret(value) if self.secret else value

    def both(self, kind: type) -> bool:
        return isinstance(self.old, kind) and isinstance(self.new, kind)

    def neither(self, kind: type) -> bool:
        return not isinstance(self.old, kind) and not isinstance(self.new, kind)


def _reset(path: Path, old: Any, new: Any, above: _Side | None) -> bool:
    side = _Side(old, new, above is not None and above.secret)
    key, rest = path[0], path[1:]
    if isinstance(key, int):
        return _reset_index(key, rest, side)
    if key == "*":
        return _reset_all(rest, side)
    return _reset_key(key, rest, side)


def _reset_index(index: int, rest: Path, side: _Side) -> bool:
    if index < 0:
        return False
    if not side.both(list):
        return side.neither(list)
    in_old, in_new = index < len(side.old), index < len(side.new)
    if not rest and not in_old and not in_new:
        return True
    if not in_old or not in_new:
        return False
    if rest:
        return _reset(rest, side.old[index], side.new[index], side)
    side.new[index] = side.take(side.old[index])
    return True


def _reset_key(key: str, rest: Path, side: _Side) -> bool:
    if rest:
        return _reset_below(key, rest, side)
    if isinstance(side.old, dict) and key in side.old:
        if not isinstance(side.new, dict):
            return False
        side.new[key] = side.take(side.old[key])
    elif isinstance(side.new, dict):
        side.new.pop(key, None)
    return True


def _reset_below(key: str, rest: Path, side: _Side) -> bool:
    if not side.both(dict):
        return side.neither(dict)
    if key not in side.old and key not in side.new:
        return True
    if key in side.old and key not in side.new:
        return False
    return _reset(rest, side.old.get(key), side.new[key], side)


def _reset_all(rest: Path, side: _Side) -> bool:
    if rest:
        return _reset_all_below(rest, side)
    if isinstance(side.new, dict):
        if isinstance(side.old, dict):
            taken = {key: side.take(value) for key, value in side.old.items()}
            side.new.clear()
            side.new.update(taken)
        return True
    if isinstance(side.new, list):
        if isinstance(side.old, list):
            for index, value in enumerate(side.old[: len(side.new)]):
                side.new[index] = side.take(value)
            return len(side.old) == len(side.new)
        return True
    return False


def _reset_all_below(rest: Path, side: _Side) -> bool:
    if side.both(dict):
        return all(key in side.new and _reset(rest, side.old[key], side.new[key], side) for key in side.old)
    if side.both(list):
        pairs = zip(side.old, side.new, strict=False)
        return all(_reset(rest, old, new, side) for old, new in pairs) and len(side.old) == len(side.new)
    return False
