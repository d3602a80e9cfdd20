"""IAM's evaluation logic for one account, as plain functions over policy documents.

Explicit Deny first, then any Allow of an identity-based or a resource-based policy, otherwise an implicit deny
(https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html). What this program's
policies do not use (NotAction, date conditions, policy variables, ...) is refused by name, never guessed.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

SUPPORTED_KEYS = {
    "aws:principalaccount",
    "aws:principalarn",
    "aws:requestedregion",
    "aws:securetransport",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourceowner",
    "cloudwatch:namespace",
    "rds:managemasteruserpassword",
    "s3:delimiter",
    "s3:prefix",
    "s3:x-amz-acl",
    "s3:x-amz-server-side-encryption",
}
"""Condition keys that the evaluator can fill in, lower case: the names of keys are not case-sensitive."""

_STATEMENT_ELEMENTS = {"Sid", "Effect", "Action", "Resource", "Principal", "Condition"}


class UnsupportedPolicyError(Exception):
    """A policy uses something that the evaluator does not model; the message names it and the policy."""


@dataclass(frozen=True)
class Condition:
    """One operator on one key: true if any of `values` matches, or none for a negated operator."""

    operator: str
    key: str
    values: tuple[str, ...]
    if_exists: bool


@dataclass(frozen=True)
class Statement:
    """One statement; `source` says which policy it stands in, for the record of decisions."""

    effect: Literal["Allow", "Deny"]
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    principals: tuple[tuple[str, str], ...]
    conditions: tuple[Condition, ...]
    source: str


@dataclass(frozen=True)
class Principal:
    """Who asks: a role's session (`role_arn`, `session_arn`), or an AWS service (`service`)."""

    account: str
    role_arn: str = ""
    session_arn: str = ""
    service: str = ""


@dataclass(frozen=True)
class Access:
    """One action on one resource, with the condition keys of the request (names in lower case)."""

    action: str
    resource: str
    context: Mapping[str, str]


@dataclass(frozen=True)
class Verdict:
    """The outcome, AWS's words for it, and the statement that decided, if one did."""

    allowed: bool
    reason: str
    statement: Statement | None = None


def _listed(value: object) -> tuple[str, ...]:
    return tuple(str(item) for item in value) if isinstance(value, list) else (str(value),)


def _as_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@functools.lru_cache(maxsize=1024)
def parse(document: str, source: str, kind: Literal["identity", "resource"]) -> tuple[Statement, ...]:
    """Read a policy document.

    Raises
    ------
    UnsupportedPolicyError
        For an element, an operator, a condition key or a policy variable that is not modelled.
    """
    try:
        statements = json.loads(document)["Statement"]
    except (ValueError, KeyError, TypeError) as error:
        raise UnsupportedPolicyError(f"{source}: not a policy document with a Statement") from error
    if isinstance(statements, dict):
        statements = [statements]
    return tuple(_statement(raw, f"{source}#{raw.get('Sid') or index}", kind) for index, raw in enumerate(statements))


def _statement(raw: Mapping[str, Any], source: str, kind: str) -> Statement:
    required = {"Effect", "Action", "Resource"} | ({"Principal"} if kind == "resource" else set())
    allowed = _STATEMENT_ELEMENTS if kind == "resource" else _STATEMENT_ELEMENTS - {"Principal"}
    if unknown := set(raw) - allowed:
        raise UnsupportedPolicyError(f"{source}: element {', '.join(sorted(unknown))} is not modelled here")
    if missing := required - set(raw):
        raise UnsupportedPolicyError(f"{source}: element {', '.join(sorted(missing))} is missing")
    if raw["Effect"] not in ("Allow", "Deny"):
        raise UnsupportedPolicyError(f"{source}: Effect is {raw['Effect']!r}; it is Allow or Deny")
    statement = Statement(
        effect=raw["Effect"],
        actions=_listed(raw["Action"]),
        resources=_listed(raw["Resource"]),
        principals=_principals(raw.get("Principal"), source),
        conditions=tuple(_conditions(raw.get("Condition") or {}, source)),
        source=source,
    )
    for text in statement.resources + tuple(value for c in statement.conditions for value in c.values):
        if "${" in text:
            raise UnsupportedPolicyError(f"{source}: policy variable in {text!r} is not modelled here")
    return statement


def _principals(raw: object, source: str) -> tuple[tuple[str, str], ...]:
    if raw is None:
        return ()
    if raw == "*":
        return (("AWS", "*"),)
    if not isinstance(raw, dict):
        raise UnsupportedPolicyError(f"{source}: Principal {raw!r} is not modelled here")
    if unknown := set(raw) - {"AWS", "Service"}:
        raise UnsupportedPolicyError(f"{source}: Principal of type {', '.join(sorted(unknown))} is not modelled here")
    return tuple((kind, value) for kind, values in raw.items() for value in _listed(values))


def _conditions(raw: Mapping[str, Mapping[str, Any]], source: str) -> Iterable[Condition]:
    for name, keys in raw.items():
        operator = name.removesuffix("IfExists")
        if operator not in _OPERATORS:
            raise UnsupportedPolicyError(f"{source}: condition operator {name} is not modelled here")
        for key, value in keys.items():
            if key.lower() not in SUPPORTED_KEYS:
                raise UnsupportedPolicyError(f"{source}: condition key {key} is not modelled here")
            values = tuple(_as_text(item) for item in (value if isinstance(value, list) else [value]))
            yield Condition(operator, key.lower(), values, name.endswith("IfExists"))


@functools.lru_cache(maxsize=4096)
def _regex(pattern: str, any_run: str) -> str:
    return "".join(any_run if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)


def wildcard(pattern: str, value: str) -> bool:
    """Whether `value` matches `pattern`, where `*` is any run of characters and `?` is one; case-sensitive."""
    return re.fullmatch(_regex(pattern, ".*"), value, re.DOTALL) is not None


def action_matches(pattern: str, action: str) -> bool:
    """As `wildcard`, without regard to case.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_action.html
    """
    return re.fullmatch(_regex(pattern, ".*"), action, re.DOTALL | re.IGNORECASE) is not None


def resource_matches(pattern: str, resource: str) -> bool:
    """Whether an ARN matches a Resource element.

    A wildcard stays inside its colon-separated segment, unless `*` is the segment's last character, which reaches
    beyond the colons (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html).
    The sixth segment is the resource itself, whose own colons separate nothing.
    """
    head, tail = _segments(pattern)
    parts = [_regex(segment, "[^:]*") + (".*" if segment.endswith("*") else "") for segment in head]
    if tail is not None:
        parts.append(_regex(tail, ".*"))
    return re.fullmatch(":".join(parts), resource, re.DOTALL) is not None


_ARN_HEAD = 5  # arn, partition, service, region, account; then the resource


def _segments(text: str) -> tuple[list[str], str | None]:
    parts = text.split(":", _ARN_HEAD)
    return parts[:_ARN_HEAD], parts[_ARN_HEAD] if len(parts) > _ARN_HEAD else None


def arn_like(pattern: str, value: str) -> bool:
    """ArnLike, and ArnEquals, which behaves identically: each of the six components is matched separately.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
    """
    pattern_head, pattern_tail = _segments(pattern)
    head, tail = _segments(value)
    if pattern_tail is None or tail is None:
        return False
    return all(map(wildcard, [*pattern_head, pattern_tail], [*head, tail]))


# operator -> (match of one value, negated)
_OPERATORS: dict[str, tuple[Callable[[str, str], bool], bool]] = {
    "StringEquals": (str.__eq__, False),
    "StringNotEquals": (str.__eq__, True),
    "StringLike": (wildcard, False),
    "StringNotLike": (wildcard, True),
    "Bool": (lambda wanted, given: wanted.lower() == given.lower(), False),
    "ArnEquals": (arn_like, False),
    "ArnLike": (arn_like, False),
    "ArnNotEquals": (arn_like, True),
    "ArnNotLike": (arn_like, True),
}


def condition_holds(condition: Condition, context: Mapping[str, str]) -> bool:
    """Whether one condition is met.

    A key that the request does not carry: false, but true for a negated operator and for one with IfExists
    (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html).
    """
    match, negated = _OPERATORS[condition.operator]
    given = context.get(condition.key)
    if given is None:
        return negated or condition.if_exists
    return any(match(wanted, given) for wanted in condition.values) is not negated


def principal_matches(statement: Statement, principal: Principal, effect: str) -> bool:
    """Whether a resource-based statement speaks of `principal`.

    The account as principal (its root ARN or number) only lets the account's own policies decide, so it allows nothing
    by itself, but it denies everyone in it
    (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html).
    """
    account = {principal.account, f"arn:aws:iam::{principal.account}:root"}
    for kind, value in statement.principals:
        if kind == "Service":
            named = value == principal.service
        elif principal.service:
            named = value == "*"
        elif value in account:
            named = effect == "Deny"
        else:
            named = value in ("*", principal.role_arn, principal.session_arn)
        if named:
            return True
    return False


def _applies(statement: Statement, access: Access) -> bool:
    return (
        any(action_matches(pattern, access.action) for pattern in statement.actions)
        and any(resource_matches(pattern, access.resource) for pattern in statement.resources)
        and all(condition_holds(condition, access.context) for condition in statement.conditions)
    )


def decide(
    principal: Principal, access: Access, identity: Iterable[Statement], resource: Iterable[Statement]
) -> Verdict:
    """Decide one access in one account.

    Parameters
    ----------
    identity, resource
        Statements of the principal's identity-based policies and of the resource's own policy.

    Returns
    -------
    Verdict
        Its reason is the end of AWS's message
        (https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html).
    """
    matching = [("identity", s) for s in identity if _applies(s, access)]
    matching += [("resource", s) for s in resource if principal_matches(s, principal, s.effect) and _applies(s, access)]
    for kind, statement in matching:
        if statement.effect == "Deny":
            article = "an identity" if kind == "identity" else "a resource"
            return Verdict(False, f"with an explicit deny in {article}-based policy", statement)
    if matching:
        kind, statement = matching[0]
        return Verdict(True, f"allowed by {kind}-based policy", statement)
    kind = "resource" if principal.service else "identity"
    return Verdict(False, f"because no {kind}-based policy allows the {access.action} action")
