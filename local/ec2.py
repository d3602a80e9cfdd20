"""EC2 as moto does not have it: a security group stays while something uses it, and a rule's other peers can change.

moto deletes any group, whoever names it, and of a rule's peers changes an IPv4 network only
(https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteSecurityGroup.html,
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifySecurityGroupRules.html).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from moto.awslambda.models import lambda_backends
from moto.ec2.exceptions import DependencyViolationError
from moto.ec2.models.security_groups import SecurityGroup, SecurityGroupBackend
from moto.rds.models import rds_backends

from local.patching import Patches


def install() -> Patches:
    """Refuse to delete a security group in use, and change every kind of peer of a rule, until undone."""
    patches = Patches()
    delete = SecurityGroupBackend._delete_security_group
    modify = SecurityGroupBackend.modify_security_group_rules

    def delete_security_group(backend: Any, vpc_id: str | None, group_id: str) -> None:
        if any(group_id in groups for groups in _used(backend, group_id)):
            raise DependencyViolationError(f"resource {group_id} has a dependent object")
        delete(backend, vpc_id, group_id)

    def modify_security_group_rules(backend: Any, group_id: str, rules: dict[str, dict[str, Any]]) -> None:
        modify(backend, group_id, rules)
        group: SecurityGroup = backend.get_security_group_by_name_or_id(group_id)
        for identifier, wanted in rules.items():
            rule: Any = group.get_rule(identifier)
            if wanted.get("CidrIpv6"):
                rule.ip_range = {**rule.ip_range, "CidrIpv6": wanted["CidrIpv6"]}
            if wanted.get("PrefixListId"):
                rule.prefix_list_id = wanted["PrefixListId"]
            if wanted.get("ReferencedGroupId"):
                rule.source_group = {**rule.source_group, "GroupId": wanted["ReferencedGroupId"]}

    patches.set(SecurityGroupBackend, "_delete_security_group", delete_security_group)
    patches.set(SecurityGroupBackend, "modify_security_group_rules", modify_security_group_rules)
    return patches


def _used(backend: Any, group_id: str) -> Iterator[list[str]]:
    """Yield the security groups of each thing that uses some: database instances, functions, rules of other groups."""
    for instance in rds_backends[backend.account_id][backend.region_name].databases.values():
        yield instance.vpc_security_group_ids
    for function in lambda_backends[backend.account_id][backend.region_name].list_functions("ALL"):
        yield (function._vpc_config or {}).get("SecurityGroupIds", [])
    for groups in backend.groups.values():
        for group in groups.values():
            if group.id != group_id:
                yield [rule.source_group.get("GroupId", "") for rule in (*group.ingress_rules, *group.egress_rules)]
