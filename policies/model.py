"""What a rule is, and what it looks at: plain data, nothing of Pulumi.

A rule over one resource sees its inputs before it is touched; a rule over the stack sees all outputs at the end. What
is not known yet (a preview) is `UNKNOWN`: no rule reports it, except where asking for the property at all is wrong.
Secrets arrive in plain, so a finding names a property and never holds its value.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from policies.tokens import STACK


class Unknown(enum.Enum):
    """A value that is known only after the deployment."""

    UNKNOWN = "unknown"


UNKNOWN: Final = Unknown.UNKNOWN

# Properties by which one AWS resource names another.
_HANDLES = ("arn", "url", "name", "bucket", "id")


@dataclass(frozen=True)
class Resource:
    """One resource, as the engine tells it.

    Attributes
    ----------
    type, name, urn
        Pulumi's type token, the name in the program, the URN.
    props
        Inputs, or outputs for rules over the stack; names as on the wire (camelCase).
    protect, ignored, delete_before_replace
        Its options; `ignored` is `ignore_changes`, names as on the wire.
    parent
        URN of its parent.
    depends
        Property to the URNs of the resources that its value is made from.
    """

    type: str
    name: str
    urn: str
    props: Mapping[str, Any]
    protect: bool = False
    ignored: Sequence[str] = ()
    delete_before_replace: bool | None = None
    parent: str | None = None
    depends: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def get(self, *path: str | int, default: Any = None) -> Any:
        """Return the value at a path, `UNKNOWN` where it or what holds it is, `default` where there is none.

        An ignored property has whatever exists and is not the program's word, so it is unknown too.
        """
        if path[0] in self.ignored:
            return UNKNOWN
        value: Any = self.props
        for step in path:
            value = _inside(value, step)
        return default if value is None else value


def _inside(value: Any, step: str | int) -> Any:
    if value is UNKNOWN:
        return UNKNOWN
    if isinstance(value, Mapping):
        return value.get(step)
    if isinstance(value, Sequence) and not isinstance(value, str) and isinstance(step, int) and step < len(value):
        return value[step]
    return None


@dataclass(frozen=True)
class Stack:
    """All resources of one stack."""

    resources: Sequence[Resource]

    @cached_property
    def by_type(self) -> Mapping[str, Sequence[Resource]]:
        """Resources by their type."""
        found: dict[str, list[Resource]] = {}
        for resource in self.resources:
            found.setdefault(resource.type, []).append(resource)
        return found

    def of(self, *types: str) -> list[Resource]:
        """Return the resources of some types."""
        return [resource for type_ in types for resource in self.by_type.get(type_, ())]

    @property
    def root(self) -> Resource | None:
        """Return the stack itself, whose properties are its outputs."""
        return next(iter(self.of(STACK)), None)

    def pointed_at(self, resource: Resource, prop: str, types: Iterable[str]) -> list[Resource]:
        """Return what a property refers to: by its value where that is known, else by what it was made from."""
        candidates = self.of(*types)
        value = resource.props.get(prop)
        named = [c for c in candidates if isinstance(value, str) and value in {c.props.get(h) for h in _HANDLES}]
        return named or [c for c in candidates if c.urn in resource.depends.get(prop, ())]

    def pointing_at(self, target: Resource, prop: str, type_: str) -> list[Resource]:
        """Return the resources of a type whose property refers to `target`."""
        return [r for r in self.of(type_) if target in self.pointed_at(r, prop, [target.type])]


@dataclass(frozen=True)
class Finding:
    """What a rule has to say of one resource.

    Attributes
    ----------
    resource
        Which one.
    prop
        The property or option, or what is missing.
    says
        What is wrong with it, as the end of a sentence that begins with it; never holds a value that may be secret.
    """

    resource: Resource
    prop: str
    says: str


Check = Callable[[Any], Iterable[Finding]]


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes
    ----------
    name
        Under which it is reported and waived.
    asks
        What has to be so, in one sentence.
    why
        What happens otherwise.
    fix
        How to get there.
    check
        Yields findings on a `Resource` of one of `types`, or on the `Stack` where there are no types.
    types
        Type tokens; none for a rule over the stack.
    fsbp
        Controls of AWS Foundational Security Best Practices that it answers.
    checkov
        Ids of Checkov's policies that it answers.
    mandatory
        Whether it stops a deployment, or only tells.
    """

    name: str
    asks: str
    why: str
    fix: str
    check: Check
    types: tuple[str, ...] = ()
    fsbp: tuple[str, ...] = ()
    checkov: tuple[str, ...] = ()
    mandatory: bool = True

    def findings(self, subject: Resource | Stack) -> Iterator[Finding]:
        """Ask the rule; a resource of another type is none of its business."""
        if isinstance(subject, Stack) is bool(self.types):
            return
        if isinstance(subject, Resource) and subject.type not in self.types:
            return
        yield from self.check(subject)

    def message(self, finding: Finding) -> str:
        """Write a finding with its remedy; names the property and the resource."""
        return f"{finding.prop} of {finding.resource.name!r} {finding.says}. {self.fix}"


def rule(
    name: str,
    *types: str,
    asks: str,
    why: str,
    fix: str,
    fsbp: tuple[str, ...] = (),
    checkov: tuple[str, ...] = (),
    mandatory: bool = True,
) -> Callable[[Check], Rule]:
    """Make a function a rule over resources of some types, or over the stack where none is given."""

    def made(check: Check) -> Rule:
        return Rule(name, asks, why, fix, check, types, fsbp, checkov, mandatory)

    return made
