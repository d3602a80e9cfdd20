"""Grants and uses as sets: what the deployed policies allow, what the record shows, and how the two differ."""

from __future__ import annotations

import functools
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from local.iam import Decision
from local.iam_policy import action_matches, resource_matches


@dataclass(frozen=True, order=True)
class Grant:
    """One action that a role, or a service by a resource's policy, is allowed on one pattern of resources."""

    role: str
    action: str
    resource: str

    def __str__(self) -> str:
        return f"{self.role}: {self.action} on {self.resource}"


@dataclass(frozen=True, order=True)
class Use:
    """One access that was decided in the run."""

    role: str
    action: str
    resource: str

    def __str__(self) -> str:
        return f"{self.role}: {self.action} on {self.resource}"


@functools.cache
def covers(grant: Grant, use: Use) -> bool:
    """Whether the grant allows the use."""
    return (
        grant.role == use.role
        and action_matches(grant.action, use.action)
        and resource_matches(grant.resource, use.resource)
    )


def uses(decisions: Iterable[Decision], *, allowed: bool) -> set[Use]:
    """Every access that was allowed, or every one that was not."""
    return {Use(each.role, each.action, each.resource) for each in decisions if each.allowed is allowed}


def differences(
    grants: Collection[Grant], used: Collection[Use], denied: Collection[Use], only_aws: Collection[Grant]
) -> list[str]:
    """Hold what was granted against what was used.

    A grant is needed if some use is covered by it and by no other, so that a second, wider grant beside one that is
    needed does not pass as used.

    Parameters
    ----------
    only_aws
        Grants that no run here can use: they have to be there, and nothing may have used them.

    Returns
    -------
    list of str
        One sentence a difference, which names role, action and resource; empty where the two are equal.
    """
    found = [f"denied: {use}" for use in sorted(denied)]
    needed: set[Grant] = set()
    for use in used:
        covering = [grant for grant in grants if covers(grant, use)]
        if not covering:
            found.append(f"used and not granted: {use}")
        elif len(covering) == 1:
            needed.add(covering[0])
    found += [f"granted and not needed: {grant}" for grant in set(grants) - needed - set(only_aws)]
    found += [f"said to be AWS's own and used here: {grant}" for grant in set(only_aws) & needed]
    found += [f"said to be AWS's own and not granted: {grant}" for grant in set(only_aws) - set(grants)]
    return sorted(found)


def granted_to_roles(iam: Any) -> set[Grant]:
    """Every grant of every role of the account, from its attached and its inline policies."""
    found: set[Grant] = set()
    for page in iam.get_paginator("list_roles").paginate():
        for role in page["Roles"]:
            for document in _documents(iam, role["RoleName"]):
                for statement in _allowing(document):
                    found |= set(_atoms(role["RoleName"], statement))
    return found


def granted_to_services(policies: Iterable[str | Mapping[str, Any]]) -> set[Grant]:
    """Every grant in resources' own policies; whoever is allowed is named as the policy names it."""
    found: set[Grant] = set()
    for policy in policies:
        for statement in _allowing(json.loads(policy) if isinstance(policy, str) else policy):
            principals = statement["Principal"]
            named = (
                [principals] if isinstance(principals, str) else [v for vs in principals.values() for v in _list(vs)]
            )
            for name in named:
                found |= set(_atoms(name, statement))
    return found


def _documents(iam: Any, role: str) -> Iterator[Mapping[str, Any]]:
    for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        yield iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
    for attached in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
        policy = iam.get_policy(PolicyArn=attached["PolicyArn"])["Policy"]
        version = iam.get_policy_version(PolicyArn=policy["Arn"], VersionId=policy["DefaultVersionId"])
        yield version["PolicyVersion"]["Document"]


def _allowing(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    statements = document["Statement"]
    for statement in [statements] if isinstance(statements, Mapping) else statements:
        if statement["Effect"] == "Allow":
            yield statement


def _atoms(role: str, statement: Mapping[str, Any]) -> Iterator[Grant]:
    for action in _list(statement["Action"]):
        for resource in _list(statement["Resource"]):
            yield Grant(role, action, resource)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
