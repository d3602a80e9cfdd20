"""URNs and provider references, made and taken apart as Pulumi does."""

from __future__ import annotations

from typing import Final

ROOT_STACK_TYPE: Final = "pulumi:pulumi:Stack"
PROVIDER_PREFIX: Final = "pulumi:providers:"
_PREFIX: Final = "urn:pulumi:"


def make(stack: str, project: str, parent: str, type_: str, name: str) -> str:
    """Make the URN of a resource; the root stack's type is left out of its children's.

    >>> make("dev", "shop", "urn:pulumi:dev::shop::x:y:Z::box", "a:b:C", "inner")
    'urn:pulumi:dev::shop::x:y:Z$a:b:C::inner'
    """
    qualified = type_
    if parent and qualified_type(parent) != ROOT_STACK_TYPE:
        qualified = f"{qualified_type(parent)}${type_}"
    return f"{_PREFIX}{stack}::{project}::{qualified}::{name}"


def qualified_type(urn: str) -> str:
    """Give the type with its parents' types before it, joined by ``$``."""
    return _part(urn, 2)


def type_of(urn: str) -> str:
    """Give the resource's own type token."""
    return qualified_type(urn).rsplit("$", 1)[-1]


def name_of(urn: str) -> str:
    """Give the resource's name (which may itself contain ``::``)."""
    return _part(urn, 3)


def _part(urn: str, index: int) -> str:
    parts = urn.split("::", 3)
    if len(parts) != 4 or not urn.startswith(_PREFIX):  # noqa: PLR2004  urn:pulumi:stack::project::type::name
        raise ValueError(f"{urn!r} is not a URN")
    return parts[index]


def is_urn(text: str) -> bool:
    """Tell whether the text has the form of a URN."""
    return text.startswith(_PREFIX) and text.count("::") >= 3  # noqa: PLR2004  as above


def is_provider_type(type_: str) -> bool:
    """Tell whether the type is that of a provider resource."""
    return type_.startswith(PROVIDER_PREFIX)


def is_default_provider(urn: str) -> bool:
    """Tell whether the URN is that of a provider which the engine made itself."""
    return is_provider_type(type_of(urn)) and name_of(urn).startswith("default")


def provider_package(type_: str) -> str:
    """Give the package of a provider type (``pulumi:providers:x`` is ``x``)."""
    return type_.removeprefix(PROVIDER_PREFIX)


def package_of(token: str) -> str:
    """Give the package of a resource type or function token."""
    return token.split(":", 1)[0]


def split_reference(reference: str) -> tuple[str, str]:
    """Take a provider reference (``urn::id``) apart.

    Raises
    ------
    ValueError
        If it is not one.
    """
    urn, separator, id_ = reference.rpartition("::")
    if not separator or not is_urn(urn) or not id_:
        raise ValueError(f"{reference!r} is not a provider reference")
    return urn, id_
