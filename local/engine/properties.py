"""Property values to and from the protobuf structs of Pulumi's gRPC protocol."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import struct_pb2

from local.engine.assets import absolute, with_hash
from local.engine.errors import EngineError
from local.engine.values import Archive, Asset, OutputValue, PropertyMap, ResourceReference, Secret
from local.wire import ARCHIVE, ASSET, OUTPUT, RESOURCE, SECRET, SIGNATURE, UNKNOWN, UNKNOWN_STRING, UNKNOWN_STRINGS


@dataclass(frozen=True)
class Marshal:
    """How to write property values for one reader.

    Attributes
    ----------
    unknowns, secrets, resources, outputs
        Whether the reader understands them; otherwise they are dropped, bared, given as id, or downgraded.
    folder
        If given, relative asset paths are made absolute from here.
    """

    unknowns: bool = True
    secrets: bool = True
    resources: bool = True
    outputs: bool = False
    folder: Path | None = None

    def struct(self, props: PropertyMap) -> struct_pb2.Struct:
        """Write a property map as a struct."""
        message = struct_pb2.Struct()
        message.update(self._object(props))
        return message

    def plain(self, props: PropertyMap) -> dict[str, Any]:
        """Write a property map as JSON-like Python values with the protocol's signatures."""
        return self._object(props)

    def _object(self, props: PropertyMap) -> dict[str, Any]:
        return {key: self._value(value) for key, value in props.items() if not self._dropped(value)}

    def _dropped(self, value: Any) -> bool:
        if isinstance(value, Secret):
            return self._dropped(value.value)
        return not self.unknowns and (value is UNKNOWN or (isinstance(value, OutputValue) and not value.known))

    def _value(self, value: Any) -> Any:
        if value is UNKNOWN:
            return UNKNOWN_STRING
        if isinstance(value, dict):
            return self._object(value)
        if isinstance(value, list):
            return [self._value(part) for part in value if not self._dropped(part)]
        return self._special(value)

    def _special(self, value: Any) -> Any:
        if isinstance(value, Secret):
            inner = self._value(value.value)
            return {SIGNATURE: SECRET, "value": inner} if self.secrets else inner
        if isinstance(value, OutputValue):
            return self._output(value)
        if isinstance(value, ResourceReference):
            return self._reference(value)
        if isinstance(value, Asset | Archive):
            return self._file(absolute(value, self.folder) if self.folder else value)
        return value

    def _output(self, value: OutputValue) -> Any:
        if self.outputs:
            written: dict[str, Any] = {SIGNATURE: OUTPUT, "secret": value.secret, "dependencies": [*value.dependencies]}
            return {**written, "value": self._value(value.value)} if value.known else written
        inner = value.value if value.known else UNKNOWN
        return self._value(Secret(inner) if value.secret else inner)

    def _reference(self, value: ResourceReference) -> Any:
        id_ = UNKNOWN_STRING if value.id is UNKNOWN else value.id
        if not self.resources:
            return value.urn if id_ is None else id_
        written = {SIGNATURE: RESOURCE, "urn": value.urn, "packageVersion": value.version}
        return written if id_ is None else {**written, "id": id_}

    def _file(self, value: Asset | Archive) -> dict[str, Any]:
        written: dict[str, Any] = {SIGNATURE: ASSET if isinstance(value, Asset) else ARCHIVE, "hash": value.hash}
        if isinstance(value, Asset) and value.text is not None:
            written["text"] = value.text
        if isinstance(value, Archive) and value.assets is not None:
            written["assets"] = {name: self._file(part) for name, part in value.assets.items()}
        for key in ("path", "uri"):
            if getattr(value, key) is not None:
                written[key] = getattr(value, key)
        return written


def unmarshal(message: struct_pb2.Struct, folder: Path | None = None) -> PropertyMap:
    """Read a property map from a struct.

    Parameters
    ----------
    message
        The struct received.
    folder
        If given, assets without a hash are hashed, with relative paths starting here.

    Raises
    ------
    EngineError
        If the struct carries a signature that this engine does not know.
    """
    return {key: _read(value, folder) for key, value in message.fields.items()}


def unmarshal_plain(value: Any, folder: Path | None = None) -> Any:
    """Read a value from its JSON-like form with signatures (see `Marshal.plain`)."""
    if isinstance(value, dict):
        if SIGNATURE in value:
            return _signed({key: unmarshal_plain(part, folder) for key, part in value.items()}, folder)
        return {key: unmarshal_plain(part, folder) for key, part in value.items()}
    if isinstance(value, list):
        return [unmarshal_plain(part, folder) for part in value]
    if isinstance(value, str) and value in UNKNOWN_STRINGS:
        return UNKNOWN
    return value


def _read(value: struct_pb2.Value, folder: Path | None) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        read = {key: _read(part, folder) for key, part in value.struct_value.fields.items()}
        return _signed(read, folder) if SIGNATURE in read else read
    if kind == "list_value":
        return [_read(part, folder) for part in value.list_value.values]
    if kind == "string_value":
        return UNKNOWN if value.string_value in UNKNOWN_STRINGS else value.string_value
    if kind == "number_value":
        # JSON has one kind of number; whole ones are shown and stored without a point, as Pulumi does.
        return int(value.number_value) if value.number_value.is_integer() else value.number_value
    return value.bool_value if kind == "bool_value" else None


def _signed(read: dict[str, Any], folder: Path | None) -> Any:
    signature = read[SIGNATURE]
    if signature == SECRET:
        return Secret(read.get("value"))
    if signature == OUTPUT:
        known = "value" in read and read["value"] is not UNKNOWN
        return OutputValue(
            read.get("value") if known else None,
            known,
            read.get("secret", False),
            tuple(read.get("dependencies") or ()),
        )
    if signature == RESOURCE:
        return ResourceReference(read["urn"], read.get("id"), read.get("packageVersion") or "")
    if signature in {ASSET, ARCHIVE}:
        names = ("hash", "text", "path", "uri") if signature == ASSET else ("hash", "assets", "path", "uri")
        kept = {name: read[name] for name in names if read.get(name) is not None}
        file = Asset(**kept) if signature == ASSET else Archive(**kept)
        return with_hash(file, folder) if folder else file
    raise EngineError(
        f"a property carries the signature {signature}, which the embedded engine does not know; use the Pulumi CLI"
    )
