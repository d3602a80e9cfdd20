"""Property values as the resource protocol carries them, and as drivers see them.

On the wire a property map is a `google.protobuf.Struct` in which secrets, assets, archives and outputs are objects
with a signature and unknowns are fixed strings (sdk/go/common/resource/plugin/rpc.go). Drivers see plain Python values,
`UNKNOWN`, `Asset` and `Archive`; that a property was secret is remembered by its top-level name and put back again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import struct_pb2

from local.wire import ARCHIVE, ASSET, OUTPUT, RESOURCE, SECRET, SIGNATURE, UNKNOWN, UNKNOWN_STRING, UNKNOWN_STRINGS

Values = dict[str, Any]


@dataclass(frozen=True)
class Asset:
    """One file: its text, or the path where it lies."""

    text: str | None = None
    path: str | None = None
    uri: str | None = None
    hash: str = field(default="", compare=False)


@dataclass(frozen=True)
class Archive:
    """A tree of files: assets by name, or the path of a folder or zip file."""

    assets: Mapping[str, Any] | None = None
    path: str | None = None
    uri: str | None = None
    hash: str = field(default="", compare=False)


def contains_unknown(value: Any) -> bool:
    """Whether a value is unknown or has an unknown inside."""
    if value is UNKNOWN:
        return True
    if isinstance(value, Mapping):
        return any(contains_unknown(item) for item in value.values())
    if isinstance(value, list | tuple):
        return any(contains_unknown(item) for item in value)
    return False


def decode(struct: struct_pb2.Struct) -> tuple[Values, frozenset[str]]:
    """Read a property map.

    Returns
    -------
    values
        Plain values; properties without a value are left out.
    secrets
        Names of the top-level properties that are secret, or hold a secret somewhere inside.
    """
    secrets: set[str] = set()
    values: Values = {}
    for name, wire in struct.fields.items():
        seen: list[bool] = []
        value = _decode(wire, seen)
        if value is not None:
            values[name] = value
        if seen:
            secrets.add(name)
    return values, frozenset(secrets)


def _decode(wire: struct_pb2.Value, secret: list[bool]) -> Any:
    kind = wire.WhichOneof("kind")
    if kind == "string_value":
        return UNKNOWN if wire.string_value in UNKNOWN_STRINGS else wire.string_value
    if kind == "number_value":
        number = wire.number_value
        return int(number) if number.is_integer() else number
    if kind == "bool_value":
        return wire.bool_value
    if kind == "list_value":
        return [_decode(item, secret) for item in wire.list_value.values]
    if kind == "struct_value":
        return _decode_object(wire.struct_value, secret)
    return None


def _decode_object(struct: struct_pb2.Struct, secret: list[bool]) -> Any:
    fields = struct.fields
    signature = fields[SIGNATURE].string_value if SIGNATURE in fields else None
    if signature is None:
        return {name: item for name in fields if (item := _decode(fields[name], secret)) is not None}
    plain = {name: _decode(fields[name], secret) for name in fields if name != SIGNATURE}
    if signature == SECRET:
        secret.append(True)
        return plain.get("value")
    if signature == ASSET:
        return Asset(plain.get("text"), plain.get("path"), plain.get("uri"), plain.get("hash") or "")
    if signature == ARCHIVE:
        return Archive(plain.get("assets"), plain.get("path"), plain.get("uri"), plain.get("hash") or "")
    if signature == RESOURCE:
        return plain.get("id") or plain.get("urn")
    if signature == OUTPUT:
        if plain.get("secret"):
            secret.append(True)
        return plain.get("value", UNKNOWN)
    message = f"a property carries the signature {signature}, which this provider does not know"
    raise ValueError(message)


def encode(values: Mapping[str, Any], secrets: Collection[str] = ()) -> struct_pb2.Struct:
    """Write a property map, wrapping the top-level properties named in `secrets` as secrets."""
    struct = struct_pb2.Struct()
    for name, value in values.items():
        if value is None:
            continue
        wire = _encode(value)
        if name in secrets:
            wire = _object({SIGNATURE: struct_pb2.Value(string_value=SECRET), "value": wire})
        struct.fields[name].CopyFrom(wire)
    return struct


def _object(fields: Mapping[str, struct_pb2.Value]) -> struct_pb2.Value:
    return struct_pb2.Value(struct_value=struct_pb2.Struct(fields=fields))


def _encode(value: Any) -> struct_pb2.Value:  # noqa: PLR0911  (one return a kind of value)
    if value is UNKNOWN:
        return struct_pb2.Value(string_value=UNKNOWN_STRING)
    if value is None:
        return struct_pb2.Value(null_value=struct_pb2.NULL_VALUE)
    if isinstance(value, bool):
        return struct_pb2.Value(bool_value=value)
    if isinstance(value, int | float):
        return struct_pb2.Value(number_value=value)
    if isinstance(value, str):
        return struct_pb2.Value(string_value=value)
    if isinstance(value, Asset):
        return _object(_signed(ASSET, {"text": value.text, "path": value.path, "uri": value.uri, "hash": value.hash}))
    if isinstance(value, Archive):
        fields = {"assets": value.assets, "path": value.path, "uri": value.uri, "hash": value.hash}
        return _object(_signed(ARCHIVE, fields))
    if isinstance(value, Mapping):
        return _object({str(name): _encode(item) for name, item in value.items() if item is not None})
    if isinstance(value, Iterable):
        return struct_pb2.Value(list_value=struct_pb2.ListValue(values=[_encode(item) for item in value]))
    message = f"a property of Python type {type(value).__name__} has no form on the wire"
    raise TypeError(message)


def _signed(signature: str, fields: Mapping[str, Any]) -> dict[str, struct_pb2.Value]:
    given = {name: _encode(value) for name, value in fields.items() if value is not None and value != ""}
    if signature == ASSET and not given.keys() & {"text", "path", "uri"}:
        given["text"] = _encode("")
    return {SIGNATURE: struct_pb2.Value(string_value=signature), **given}
