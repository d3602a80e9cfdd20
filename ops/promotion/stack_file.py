"""A stack's configuration file, edited in its one place `artefacts`; comments, order and spelling stay."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError
from ruamel.yaml.tokens import CommentToken

from ops.errors import UserError

_KEY = "artefacts"
_PLACEHOLDER = "placeholder"
_EOL = 2
"""Where ruamel.yaml keeps the comment that follows a value."""


def artefacts_of(file: Path) -> dict[str, Any]:
    """Return the file's artefacts by name.

    Raises
    ------
    UserError
        It cannot be read, or has none.
    """
    return {str(name): _plain(value) for name, value in _artefacts(file, _load(file)).items()}


def pinned(file: Path, artefacts: Mapping[str, Any]) -> dict[str, Any]:
    """Return artefacts for a file that may build some of them: those stay builds, of exactly these digests.

    Without its `build` the program would want the repository gone that the image lies in.
    """
    held = artefacts_of(file) if any(line.strip().endswith(f":{_KEY}:") for line in _lines(file)) else {}
    found = dict(artefacts)
    for name, value in held.items():
        if "build" in value and "image" in found.get(name, {}):
            digest = str(found[name]["image"]).rpartition("@")[2]
            found[name] = {"build": {**value["build"], "pinned": digest}}
    return found


def set_artefacts(file: Path, artefacts: Mapping[str, Any]) -> None:
    """Write artefacts into the file; those that it has besides are removed.

    Raises
    ------
    UserError
        It cannot be read or written, or has no artefacts.
    """
    text = edited(file, artefacts)
    draft = file.with_suffix(".new")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(file)
    except OSError as error:
        raise UserError(f"{file.name} cannot be written: {error.strerror}.", exit_code=1) from error


def edited(file: Path, artefacts: Mapping[str, Any]) -> str:
    """Return the file's text with other artefacts.

    Raises
    ------
    UserError
        It cannot be read, or has no artefacts.
    """
    document = _load(file)
    held = _artefacts(file, document)
    for name in [each for each in held if each not in artefacts]:
        del held[name]
    for name, value in artefacts.items():
        _merge(held, name, value)
    written = io.StringIO()
    _yaml().dump(document, written)
    after = written.getvalue()
    lost = sorted(_comments(_read(file)) - _comments(after))
    if lost:
        raise UserError(f"{file.name} would lose the comment {lost[0]!r}.", "Move it away from the artefacts.")
    return after


def _comments(text: str) -> set[str]:
    found = {line[line.index("#") :].strip() for line in text.splitlines() if re.search(r"(^|\s)#", line)}
    return {comment for comment in found if _PLACEHOLDER not in comment}


def _merge(held: CommentedMap, name: str, value: Any) -> None:
    """Change leaves where they lie, so that the comments after them stay; those that call them placeholders go."""
    now = held.get(name)
    if isinstance(value, Mapping) and isinstance(now, CommentedMap) and set(value) == set(now):
        for key, part in value.items():
            _merge(now, key, part)
    elif now != value:
        held[name] = _plain(value)
        _forget_placeholder(held, name)


def _forget_placeholder(held: CommentedMap, name: str) -> None:
    token = held.ca.items.get(name, [None] * 4)[_EOL]
    if isinstance(token, CommentToken):
        first, line_feed, rest = token.value.partition("\n")
        if _PLACEHOLDER in first:
            token.value = line_feed + rest


def _plain(value: object) -> Any:
    return {str(key): _plain(part) for key, part in value.items()} if isinstance(value, Mapping) else value


def _artefacts(file: Path, document: Any) -> CommentedMap:
    config = document.get("config") if isinstance(document, CommentedMap) else None
    for key, value in (config or {}).items():
        if str(key).rpartition(":")[2] == _KEY and isinstance(value, CommentedMap):
            return value
    raise UserError(f"{file.name} has no configuration value {_KEY}.", "Give it one; promotion changes what is there.")


def _lines(file: Path) -> list[str]:
    return _read(file).splitlines()


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{file.name} cannot be read: {error.strerror}.") from error


def _load(file: Path) -> Any:
    try:
        return _yaml().load(_read(file))
    except YAMLError as error:
        raise UserError(f"{file.name} is not YAML: {error}") from error


def _yaml() -> YAML:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 1_000_000
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml
