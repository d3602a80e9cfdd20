"""Property values as the engine holds them: plain Python plus secrets, unknowns, outputs, assets and references.

Null, booleans, numbers, strings, lists and dicts are Python's own. What Pulumi adds to JSON has a frozen class here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

from local.wire import UNKNOWN

PropertyMap = dict[str, Any]

MASKED: Final = "[secret]"


@dataclass(frozen=True)
class Secret:
    """A value that is masked when shown and encrypted when stored."""

    value: Any

    def __repr__(self) -> str:
        return MASKED


@dataclass(frozen=True)
class OutputValue:
    """An SDK output on its way to a transform: a value with its secretness and dependencies."""

    value: Any
    known: bool
    secret: bool
    dependencies: tuple[str, ...]

    def __repr__(self) -> str:
        return MASKED if self.secret else f"OutputValue({self.value!r})"


@dataclass(frozen=True)
class ResourceReference:
    """A resource passed as a property."""

    urn: str
    id: Any = None
    version: str = ""


@dataclass(frozen=True)
class Asset:
    """One file given by text, path or URI; equal to another when the SHA-256 of the content is."""

    hash: str = ""
    text: str | None = field(default=None, compare=False)
    path: str | None = field(default=None, compare=False)
    uri: str | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Archive:
    """Several files given by a path or as named assets; equal to another when the hash is."""

    hash: str = ""
    assets: dict[str, Any] | None = field(default=None, compare=False)
    path: str | None = field(default=None, compare=False)
    uri: str | None = field(default=None, compare=False)


def deep_equal(a: Any, b: Any) -> bool:
    """Tell whether two property values are the same, types included (Python alone holds ``True == 1``)."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(deep_equal(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(deep_equal(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, Secret) and isinstance(b, Secret):
        return deep_equal(a.value, b.value)
    return bool(a == b)


def _children(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value
    elif isinstance(value, Secret | OutputValue):
        yield value.value
    elif isinstance(value, Archive) and value.assets:
        yield from value.assets.values()


def walk(value: Any) -> Iterator[Any]:
    """Yield the value and everything inside it."""
    yield value
    for child in _children(value):
        yield from walk(child)


def contains_unknowns(value: Any) -> bool:
    """Tell whether any part of the value is unknown."""
    return any(part is UNKNOWN or (isinstance(part, OutputValue) and not part.known) for part in walk(value))


def contains_secrets(value: Any) -> bool:
    """Tell whether any part of the value is secret."""
    return any(isinstance(part, Secret) or (isinstance(part, OutputValue) and part.secret) for part in walk(value))


def output_dependencies(value: Any) -> set[str]:
    """Collect the URNs that the outputs inside the value depend on."""
    found: set[str] = set()
    for part in walk(value):
        if isinstance(part, OutputValue):
            found.update(part.dependencies)
    return found


def transform(value: Any, change: Callable[[Any], Any]) -> Any:
    """Rebuild a value bottom-up, passing every part through ``change``."""
    if isinstance(value, dict):
        value = {key: transform(part, change) for key, part in value.items()}
    elif isinstance(value, list):
        value = [transform(part, change) for part in value]
    elif isinstance(value, Secret):
        value = Secret(transform(value.value, change))
    elif isinstance(value, OutputValue):
        value = replace(value, value=transform(value.value, change))
    return change(value)


def make_secret(value: Any) -> Any:
    """Wrap a value as secret, once."""
    return value if isinstance(value, Secret) else Secret(value)


def annotate_secrets(received: PropertyMap, sent: PropertyMap) -> PropertyMap:
    """Mark as secret what is secret on the other side: for a provider that does not know secrets, and for display."""
    return {key: _annotated(value, sent[key]) if key in sent else value for key, value in received.items()}


def _annotated(received: Any, sent: Any) -> Any:
    if isinstance(received, dict) and isinstance(sent, dict):
        return annotate_secrets(received, sent)
    if contains_secrets(sent) and not contains_secrets(received):
        return make_secret(received)
    return received


def unwrap(value: Any) -> Any:
    """Give the value without its secret marks; for comparison only, never for display."""
    return transform(value, lambda part: part.value if isinstance(part, Secret) else part)


def mask(value: Any) -> Any:
    """Give the value with every secret replaced by ``[secret]``."""
    if isinstance(value, Secret):
        return MASKED
    if isinstance(value, dict):
        return {key: mask(part) for key, part in value.items()}
    if isinstance(value, list):
        return [mask(part) for part in value]
    return value


def downgrade_outputs(props: PropertyMap) -> PropertyMap:
    """Turn outputs into plain, secret and unknown values, as providers and state know them."""

    def downgrade(part: Any) -> Any:
        if not isinstance(part, OutputValue):
            return part
        inner = part.value if part.known else UNKNOWN
        return make_secret(inner) if part.secret else inner

    return {key: transform(value, downgrade) for key, value in props.items()}


def upgrade_to_outputs(props: PropertyMap, dependencies: dict[str, set[str]]) -> PropertyMap:
    """Turn each property that has dependencies into an output, so that a transform sees them."""
    upgraded: PropertyMap = {}
    for key, value in props.items():
        deps = dependencies.get(key)
        if isinstance(value, OutputValue) or not deps:
            upgraded[key] = value
            continue
        secret = isinstance(value, Secret)
        inner = value.value if isinstance(value, Secret) else value
        upgraded[key] = OutputValue(
            None if inner is UNKNOWN else inner, inner is not UNKNOWN, secret, tuple(sorted(deps))
        )
    return upgraded
