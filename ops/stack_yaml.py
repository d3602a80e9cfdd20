"""YAML as the Pulumi CLI reads it, which is not as PyYAML does: `no` and `22:15` are text there, and `k:` is empty.

The CLI reads a stack's file with gopkg.in/yaml.v3, writes what it has read and reads that again
(`LoadProjectStackBytes` in sdk/go/common/workspace/loaders.go), so that `1.10` becomes 1.1 and `0123456` 42798
without a word. A scalar whose text would not survive that is refused here: neither the text nor what the CLI makes of
it is safe to go on with.
"""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NoReturn

import yaml

from ops.errors import UserError

# gopkg.in/yaml.v3, resolve.go
_TRUE: Final = ("true", "True", "TRUE")
_FALSE: Final = ("false", "False", "FALSE")
_NULL: Final = ("", "~", "null", "Null", "NULL")
_NO_NUMBER: Final = re.compile(r"\.(?:nan|NaN|NAN)|[-+]?\.(?:inf|Inf|INF)")
_TIME: Final = re.compile(r"\d{4}-\d{1,2}-\d{1,2}(?:[Tt ]\d{1,2}:\d{1,2}:\d{1,2}(?:\.\d+)?(?:Z|[-+]\d{2}:\d{2})?)?")
_INTEGER: Final = re.compile(r"[-+]?(?:0[xX][0-9a-fA-F]+|0[oO]?[0-7]+|0[bB][01]+|0|[1-9][0-9]*)")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_LEAST, _MOST = -(2**63), 2**64 - 1
# encoding/json writes a float without exponent from here to there
_PLAIN_FROM, _PLAIN_TO = Decimal("1e-6"), Decimal("1e21")


class _Loader(yaml.BaseLoader):
    """Composes nodes whose scalars are the text that stands in the file."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "tag", None):
            raise yaml.composer.ComposerError(None, None, f"the tag {event.tag} is not read here", event.start_mark)
        return super().compose_node(parent, index)


def read(path: Path) -> Any:
    """Read a file: dicts with text as keys, lists, text, and the numbers, booleans and nulls that the CLI sees.

    Returns
    -------
    dict, list, str, int, float, bool or None
        None for an empty file.

    Raises
    ------
    UserError
        If it cannot be read, is not YAML, gives a key twice, or holds what the CLI would change.
    """
    try:
        node = yaml.compose(path.read_text("utf-8-sig"), Loader=_Loader)
    except OSError as error:
        raise UserError(f"{path.name} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path.name} is not UTF-8: {error}.") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path.name} is not YAML: {error}") from error
    return None if node is None else _Reader(path.name).value(node, "")


class _Reader:
    """Turns the nodes of one file into values; names file, line and key of what it refuses."""

    def __init__(self, file: str) -> None:
        self._file = file

    def value(self, node: yaml.Node, key: str) -> Any:
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, key)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, f"{key}[{number}]") for number, item in enumerate(node.value)]
        return self._scalar(node, key)

    def _mapping(self, node: yaml.MappingNode, key: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for name_node, value_node in node.value:
            line = name_node.start_mark.line + 1
            scalar = isinstance(name_node, yaml.ScalarNode)
            name = self._scalar(name_node, f"a key of {key or 'the file'}") if scalar else None
            if not isinstance(name, str) or name == "<<":
                raise UserError(
                    f"{self._file}, line {line}: only text can be a key, not {name_node.value!r}.", "Put it in quotes."
                )
            if name in found:
                raise UserError(
                    f"{self._file}, line {line}: {name} is given a second time, the first is in line {lines[name]}.",
                    "Keep one of them.",
                )
            lines[name] = line
            found[name] = self.value(value_node, f"{key}.{name}" if key else name)
        return found

    def _scalar(self, node: yaml.Node, key: str) -> Any:
        text = str(node.value)
        if getattr(node, "style", None) is not None:  # quoted, or a block
            return text
        if text in _TRUE or text in _FALSE:
            return text in _TRUE
        if text in _NULL:
            return None
        if _NO_NUMBER.fullmatch(text):
            self._refuse(node, key, "for which JSON, and so the Pulumi CLI, has no number")
        if _TIME.fullmatch(text):
            self._refuse(node, key, "which the Pulumi CLI takes for a time and writes in its own way")
        number = _number(text.replace("_", "") if text[0] in "+-0123456789" else text)
        if number is None:
            return text
        if (canonical := written(number)) != text:
            self._refuse(node, key, f"which the Pulumi CLI hands to the program as {canonical}")
        return number

    def _refuse(self, node: yaml.Node, key: str, why: str) -> NoReturn:
        raise UserError(
            f"{self._file}, line {node.start_mark.line + 1}: {key} is {node.value}, {why}.",
            "Put it in quotes if the text is meant.",
        )


def _number(text: str) -> int | float | None:
    """What yaml.v3 takes a plain scalar for; None for text."""
    if _INTEGER.fullmatch(text):
        digits = text.lstrip("+-").lower()
        base = {"0x": 16, "0o": 8, "0b": 2}.get(digits[:2], 8 if digits.startswith("0") else 10)
        whole = int(digits, base) * (-1 if text.startswith("-") else 1)
        return whole if _LEAST <= whole <= _MOST else float(whole)
    if not _FLOAT.fullmatch(text):
        return None
    value = float(text)
    return None if value in (float("inf"), float("-inf")) else value


def written(number: float) -> str:
    """A number as Go's encoding/json writes it."""
    if isinstance(number, int):
        return str(number)
    exact = Decimal(repr(number))
    if exact == 0:
        return "0"
    if _PLAIN_FROM <= abs(exact) < _PLAIN_TO:
        plain = format(exact, "f")
        return plain.rstrip("0").rstrip(".") if "." in plain else plain
    mantissa, _, exponent = f"{number!r}".partition("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent):+d}".replace("e-0", "e-")
