"""A driver's table of properties, and what follows from it: refusals, defaults, and what counts as a change.

Kinds are the shapes that the provider's schema knows; a value that the program cannot know yet passes every check.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

from local.resources.values import Archive, Values, contains_unknown
from local.wire import UNKNOWN

Kind = Literal[
    "string", "integer", "number", "boolean", "strings", "string_map", "object", "objects", "json", "policy", "archive"
]
Change = Literal["add", "delete", "update"]

_PYTHON: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "strings": (list,),
    "string_map": (dict,),
    "object": (dict,),
    "objects": (list,),
    "json": (str,),
    "policy": (str,),
    "archive": (Archive,),
}
# Members of a policy statement whose order and single-or-list form mean nothing.
_SETS: Final = frozenset({"Action", "NotAction", "Resource", "NotResource"})


class Failure(NamedTuple):
    """One refused input: the property's path and the reason, as Check answers it."""

    property: str
    reason: str


class Difference(NamedTuple):
    """One changed property: its path, what happened to it, and whether it forces replacement."""

    path: str
    change: Change
    replaces: bool


@dataclass(frozen=True)
class Property:
    """One input property.

    Attributes
    ----------
    kind
        Shape of the value; `json` and `policy` are strings compared by meaning.
    required, default
        As in the provider's schema.
    replaces
        A change makes a new resource.
    computed
        Left out, the cloud's own value stands and is no difference.
    secret
        Always wrapped as a secret in what the provider answers.
    written_only
        The cloud never says it back; the last value given is kept.
    choices, minimum, maximum, shortest, longest, pattern
        Limits of AWS or of the provider's schema. `shortest` and `longest` count characters, or members of a list or
        map; letters and digits of a pattern are ASCII's.
    each
        Pattern of each member of a list of strings.
    caseless
        Values that differ in case alone are the same.
    unordered
        A list in which order means nothing.
    conflicts
        Names of properties that cannot be given together with this one, whatever their value: false counts.
    needs
        Names of properties that have to be given together with this one.
    fields
        Properties of an object, or of each object in a list.
    """

    kind: Kind = "string"
    required: bool = False
    default: Any = None
    replaces: bool = False
    computed: bool = False
    secret: bool = False
    written_only: bool = False
    choices: tuple[Any, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    shortest: int | None = None
    longest: int | None = None
    pattern: str | None = None
    each: str | None = None
    caseless: bool = False
    unordered: bool = False
    conflicts: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    fields: Mapping[str, Property] = field(default_factory=dict)


Table = Mapping[str, Property]

# terraform-provider-aws internal/verify/validate.go, ValidARN
ARN: Final = (
    r"arn:aws(-[a-z]+)*:[^:]+:([a-z]{2}(-[a-z]+)+-\d{1,2})?:"
    r"(aws|aws-managed|third-party|aws-marketplace|\d{12}|cw.{10})?:.+"
)


def empty(value: Any) -> bool:
    """Whether the provider takes a value for "not given": nothing, false, zero, an empty string, list or map."""
    return value is None or (value is not UNKNOWN and value in (False, 0, "", [], {}))


def failures(table: Table, values: Mapping[str, Any], *, where: str = "", known_to: str = "") -> Iterator[Failure]:
    """Refuse what the table does not allow: unknown names, missing, ill-shaped or out-of-range values, conflicts."""
    for name in values:
        if name not in table:
            close = difflib.get_close_matches(name, table, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            yield Failure(where + name, f"{where + name!r} is not a property that {known_to} knows{hint}")
    for name, spec in table.items():
        if name not in values:
            if spec.required:
                yield Failure(where + name, f"missing required property {where + name!r}")
            continue
        if clash := [other for other in spec.conflicts if other in values]:
            yield Failure(where + name, f"{where + name!r} conflicts with {', '.join(clash)}: give one of them")
        if absent := [other for other in spec.needs if other not in values]:
            yield Failure(where + name, f"{where + name!r} has to be given together with {', '.join(absent)}")
        yield from _value_failures(spec, values[name], where + name, known_to)


def _value_failures(spec: Property, value: Any, path: str, known_to: str) -> Iterator[Failure]:
    if value is UNKNOWN:
        return
    wrong = isinstance(value, bool) and spec.kind != "boolean"
    if wrong or not isinstance(value, _PYTHON[spec.kind]):
        # The value itself stays out of the message: it may be a secret.
        yield Failure(path, f"{path!r} must be of kind {spec.kind}, and a {type(value).__name__} was given")
        return
    yield from _member_failures(spec, value, path, known_to)
    yield from _limit_failures(spec, value, path)


def _member_failures(spec: Property, value: Any, path: str, known_to: str) -> Iterator[Failure]:
    if spec.kind == "object":
        yield from failures(spec.fields, value, where=path + ".", known_to=known_to)
    elif spec.kind == "objects":
        for index, item in enumerate(value):
            if isinstance(item, dict):
                yield from failures(spec.fields, item, where=f"{path}[{index}].", known_to=known_to)
    elif spec.kind in ("strings", "string_map"):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _string_failures(spec, item, f"{path}[{key!r}]")
    elif spec.kind in ("json", "policy") and value:
        try:
            json.loads(value)
        except ValueError as error:
            yield Failure(path, f"{path!r} contains an invalid JSON document: {error}")


def _string_failures(spec: Property, value: Any, path: str) -> Iterator[Failure]:
    if value is UNKNOWN:
        return
    if not isinstance(value, str):
        yield Failure(path, f"{path} must be a string")
    elif spec.each and not re.fullmatch(spec.each, value, re.ASCII):
        yield Failure(path, f"invalid value for {path}: {value!r} does not match {spec.each}")


def _limit_failures(spec: Property, value: Any, path: str) -> Iterator[Failure]:
    if spec.choices and value not in spec.choices:
        yield Failure(path, f"expected {path} to be one of {list(spec.choices)}, got {value!r}")
    low, high = spec.minimum, spec.maximum
    if (low is not None and value < low) or (high is not None and value > high):
        yield Failure(path, f"expected {path} to be in the range ({low} - {high}), got {value}")
    if spec.shortest is not None and len(value) < spec.shortest:
        yield Failure(path, f"{path} has length {len(value)}, and at least {spec.shortest} is required")
    if spec.longest is not None and len(value) > spec.longest:
        yield Failure(path, f"{path} has length {len(value)}, and AWS allows at most {spec.longest}")
    if spec.pattern and value and not re.fullmatch(spec.pattern, value, re.ASCII | re.DOTALL):
        yield Failure(path, f"invalid value for {path}: {value!r} does not match {spec.pattern}")


def with_defaults(table: Table, values: Mapping[str, Any]) -> Values:
    """Fill in the schema's defaults, inside objects too."""
    filled = dict(values)
    for name, spec in table.items():
        if name not in filled and spec.default is not None:
            filled[name] = spec.default
        elif spec.kind == "object" and isinstance(filled.get(name), dict):
            filled[name] = with_defaults(spec.fields, filled[name])
        elif spec.kind == "objects" and isinstance(filled.get(name), list):
            items = filled[name]
            filled[name] = [with_defaults(spec.fields, item) if isinstance(item, dict) else item for item in items]
    return filled


def same(spec: Property, old: Any, new: Any) -> bool:
    """Whether two values of a property mean the same to AWS; an unknown one never does."""
    return not contains_unknown(new) and not any(_differences(spec, old, new, ""))


def differences(table: Table, old: Mapping[str, Any], new: Mapping[str, Any], where: str = "") -> Iterator[Difference]:
    """Compare what the cloud has with what the program wants, property by property."""
    for name, spec in table.items():
        path = _member(where, name)
        before, after = old.get(name), new.get(name)
        if name not in new:
            if not spec.computed and not empty(before):
                yield Difference(path, "delete", spec.replaces)
        elif empty(before) and after is not UNKNOWN and empty(after):
            continue
        elif before is None:
            yield Difference(path, "add", spec.replaces)
        else:
            yield from _differences(spec, before, after, path)


def _differences(spec: Property, old: Any, new: Any, path: str) -> Iterator[Difference]:
    if spec.kind == "object" and isinstance(old, dict) and isinstance(new, dict):
        for found in differences(spec.fields, old, new, path):
            yield found._replace(replaces=found.replaces or spec.replaces)
    elif spec.kind == "string_map" and isinstance(old, dict) and isinstance(new, dict):
        yield from _map_differences(spec, old, new, path)
    elif spec.kind in ("strings", "objects") and isinstance(old, list) and isinstance(new, list):
        yield from _list_differences(spec, old, new, path)
    elif new is UNKNOWN or _meaning(spec, old) != _meaning(spec, new):
        yield Difference(path, "update", spec.replaces)


def _map_differences(spec: Property, old: Values, new: Values, path: str) -> Iterator[Difference]:
    for key in sorted(old.keys() | new.keys()):
        if key not in new:
            yield Difference(_member(path, key), "delete", spec.replaces)
        elif key not in old:
            yield Difference(_member(path, key), "add", spec.replaces)
        elif new[key] is UNKNOWN or old[key] != new[key]:
            yield Difference(_member(path, key), "update", spec.replaces)


def _list_differences(spec: Property, old: list[Any], new: list[Any], path: str) -> Iterator[Difference]:
    if spec.unordered:
        remaining = list(old)
        added = []
        for index, item in enumerate(new):
            match = next((seen for seen in remaining if _same_item(spec, seen, item)), None)
            if match is None:
                added.append(index)
            else:
                remaining.remove(match)
        yield from (Difference(f"{path}[{index}]", "add", spec.replaces) for index in added)
        yield from (Difference(f"{path}[{old.index(item)}]", "delete", spec.replaces) for item in remaining)
        return
    for index in range(max(len(old), len(new))):
        at = f"{path}[{index}]"
        if index >= len(new):
            yield Difference(at, "delete", spec.replaces)
        elif index >= len(old):
            yield Difference(at, "add", spec.replaces)
        elif not _same_item(spec, old[index], new[index]):
            yield Difference(at, "update", spec.replaces)


def _same_item(spec: Property, old: Any, new: Any) -> bool:
    if isinstance(old, dict) and isinstance(new, dict):
        return not any(differences(spec.fields, old, new))
    return new is not UNKNOWN and bool(_meaning(spec, old) == _meaning(spec, new))


def _member(where: str, name: str) -> str:
    """Extend a property path as the protocol writes it: `a.b`, or `a["x.y"]` where the name is no identifier."""
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", name):
        return f"{where}.{name}" if where else name
    return f"{where}[{json.dumps(name)}]"


def _meaning(spec: Property, value: Any) -> Any:
    return value.casefold() if spec.caseless and isinstance(value, str) else meaning(spec.kind, value)


def meaning(kind: Kind, value: Any) -> Any:
    """Bring a value to the form in which equal means the same to AWS.

    Policies are compared as in github.com/hashicorp/awspolicyequivalence: key order, the order of statements, actions
    and resources, and a single value against a list of one, mean nothing.
    """
    if kind in ("json", "policy") and isinstance(value, str) and value:
        try:
            document = json.loads(value)
        except ValueError:
            return value
        return _policy(document) if kind == "policy" else document
    return value


def _policy(document: Any) -> Any:
    if not isinstance(document, dict):
        return document
    statements = document.get("Statement", [])
    statements = statements if isinstance(statements, list) else [statements]
    canonical = sorted((_statement(item) for item in statements), key=lambda item: json.dumps(item, sort_keys=True))
    return {**document, "Statement": canonical}


def _statement(statement: Any) -> Any:
    if not isinstance(statement, dict):
        return statement
    result: dict[str, Any] = {}
    for key, value in statement.items():
        if key in _SETS:
            result[key] = _as_set(value)
        elif key in ("Principal", "NotPrincipal"):
            # {"AWS": "*"} and "*" are one thing to AWS.
            principals = {"AWS": value} if isinstance(value, str) else value
            result[key] = {kind: _as_set(names) for kind, names in principals.items()}
        elif key == "Condition":
            result[key] = {op: {name: _as_set(item) for name, item in test.items()} for op, test in value.items()}
        else:
            result[key] = value
    return result


def _as_set(value: Any) -> list[str]:
    members: Sequence[Any] = value if isinstance(value, list) else [value]
    return sorted({json.dumps(item) if isinstance(item, bool) else str(item) for item in members})
