"""EC2: security groups and their rules, each rule a resource of its own."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Final

from botocore.exceptions import ClientError

from local.resources.driver import Aws, Driver, gone, pairs, repeated, sync_tags, unpaired
from local.resources.schema import Difference, Failure, Property
from local.resources.values import Values

LIMITS: Final = (
    "Security groups are stored and let everything through: the embedded cloud has one network, 127.0.0.1.",
    "Rules written inside a security group (ingress, egress) are refused by name: use the rule resources.",
    "The description of a rule that names a group or prefix list is kept in state, not by the embedded EC2.",
    "A group can be deleted as soon as nothing uses it; on AWS the network interfaces of a function stay for minutes.",
    "The provider repeats the deletion of a security group, parameter group or rule in use for 3 to 15 minutes; here "
    "it is repeated for 5 seconds.",
)

_PROTOCOLS: Final = {"icmp": "1", "tcp": "6", "udp": "17", "icmpv6": "58", "all": "-1"}
_GROUP_MISSING: Final = ("InvalidGroup.NotFound", "InvalidGroupId.Malformed")
_RULE_MISSING: Final = ("InvalidSecurityGroupRuleId.NotFound", *_GROUP_MISSING)


class SecurityGroup(Driver):
    """A security group without rules. Its id is the group's; imported by it.

    AWS lets a new group reach everything; the provider takes that rule away (resourceSecurityGroupCreate).
    """

    type_name = "aws:ec2/securityGroup:SecurityGroup"
    source = "terraform-provider-aws internal/service/ec2/vpc_security_group.go"
    properties: ClassVar = {
        "description": Property(default="Managed by Pulumi", replaces=True, longest=255),
        "name": Property(replaces=True, longest=255, pattern=r"(?!sg-)[A-Za-z0-9 ._:/()#,@\[\]+=&;{}!$*-]+"),
        "revokeRulesOnDelete": Property("boolean", default=False, written_only=True),
        "vpcId": Property(computed=True, replaces=True),
    }
    outputs = frozenset({"arn", "ownerId", "tagsAll", "ingress", "egress"})
    autoname = ("name", 255)
    taggable = True

    def create(self, aws: Aws, inputs: Values) -> str:
        """CreateSecurityGroup."""
        vpc = {"VpcId": inputs["vpcId"]} if inputs.get("vpcId") else {}
        tags = [{"ResourceType": "security-group", "Tags": pairs(inputs["tagsAll"])}] if inputs["tagsAll"] else []
        answer = aws.client("ec2").create_security_group(
            GroupName=inputs["name"], Description=inputs["description"], TagSpecifications=tags, **vpc
        )
        return str(answer["GroupId"])

    def configure(self, aws: Aws, identifier: str, inputs: Values) -> None:
        """Take away the rule that lets everything out."""
        client = aws.client("ec2")
        group = client.describe_security_groups(GroupIds=[identifier])["SecurityGroups"][0]
        if group["IpPermissionsEgress"]:
            client.revoke_security_group_egress(GroupId=identifier, IpPermissions=group["IpPermissionsEgress"])

    def read(self, aws: Aws, identifier: str, known: Values) -> Values | None:
        """DescribeSecurityGroups; rules belong to their own resources."""
        try:
            found = aws.client("ec2").describe_security_groups(GroupIds=[identifier])["SecurityGroups"]
        except ClientError as error:
            if gone(error, *_GROUP_MISSING):
                return None
            raise
        if not found:
            return None
        group = found[0]
        return {
            "arn": f"arn:{aws.partition}:ec2:{aws.region}:{group['OwnerId']}:security-group/{identifier}",
            "name": group["GroupName"],
            "description": group["Description"],
            "ownerId": group["OwnerId"],
            "vpcId": group["VpcId"],
            "ingress": [],
            "egress": [],
            "tagsAll": unpaired(group.get("Tags")),
        }

    def update(self, aws: Aws, identifier: str, old: Values, new: Values) -> None:
        """Tags; nothing else can change in place."""
        _sync(aws, identifier, old, new)

    def delete(self, aws: Aws, identifier: str, state: Values) -> None:
        """DeleteSecurityGroup; EC2 refuses while anything uses it (DependencyViolation), rules of other groups too."""
        client = aws.client("ec2")
        try:
            if state.get("revokeRulesOnDelete"):
                _revoke_rules(client, identifier)
            repeated(lambda: client.delete_security_group(GroupId=identifier), "DependencyViolation")
        except ClientError as error:
            if not gone(error, *_GROUP_MISSING):
                raise


def _revoke_rules(client: Any, identifier: str) -> None:
    """Take away a group's own rules, and those of other groups that name it (forceRevokeSecurityGroupRules)."""
    for rule in client.describe_security_group_rules()["SecurityGroupRules"]:
        names = (rule["GroupId"], (rule.get("ReferencedGroupInfo") or {}).get("GroupId"))
        if identifier in names:
            revoke = client.revoke_security_group_egress if rule["IsEgress"] else client.revoke_security_group_ingress
            revoke(GroupId=rule["GroupId"], SecurityGroupRuleIds=[rule["SecurityGroupRuleId"]])


def _sync(aws: Aws, identifier: str, old: Values, new: Values) -> None:
    client = aws.client("ec2")
    sync_tags(
        old,
        new,
        lambda tags: client.create_tags(Resources=[identifier], Tags=pairs(tags)),
        lambda keys: client.delete_tags(Resources=[identifier], Tags=[{"Key": key} for key in keys]),
    )


class _Rule(Driver):
    """One rule of a security group. Its id is the rule's (`sgr-…`); imported by it."""

    source = (
        "terraform-provider-aws internal/service/ec2/vpc_security_group_ingress_rule.go (securityGroupRuleResource)"
    )
    sources: ClassVar = ("cidrIpv4", "cidrIpv6", "prefixListId", "referencedSecurityGroupId")
    properties: ClassVar = {
        "cidrIpv4": Property(),
        "cidrIpv6": Property(),
        "description": Property(longest=255),
        "fromPort": Property("integer", minimum=-1, maximum=65_535),
        "ipProtocol": Property(required=True),
        "prefixListId": Property(),
        "referencedSecurityGroupId": Property(),
        "securityGroupId": Property(required=True, replaces=True),
        "toPort": Property("integer", minimum=-1, maximum=65_535),
    }
    outputs = frozenset({"arn", "securityGroupRuleId", "tagsAll"})
    taggable = True
    egress: ClassVar[bool]

    def validate(self, known: Values, given: frozenset[str]) -> Iterable[Failure]:
        """Ask for exactly one peer, real networks, and ports with TCP and UDP."""
        peers = sorted(given & set(self.sources))
        if len(peers) != 1:
            yield Failure("cidrIpv4", f"exactly one of {', '.join(self.sources)} must be given, got {peers or 'none'}")
        for key, network in (("cidrIpv4", ipaddress.IPv4Network), ("cidrIpv6", ipaddress.IPv6Network)):
            try:
                if key in known:
                    network(known[key])
            except ValueError as error:
                yield Failure(key, f"api error InvalidParameterValue: {error}")
        with_ports = _protocol(known.get("ipProtocol", "")) in (_PROTOCOLS["tcp"], _PROTOCOLS["udp"])
        if with_ports and not {"fromPort", "toPort"} <= given:
            yield Failure("fromPort", "fromPort and toPort are required with tcp and udp")

    def unchanged(self, aws: Aws, name: str, state: Values, inputs: Values) -> bool | None:
        """Take a protocol's number, name and case for the same (vpc_security_group_ingress_rule.go, ipProtocol)."""
        before, after = state.get(name), inputs.get(name)
        if name != "ipProtocol" or not isinstance(before, str) or not isinstance(after, str):
            return None
        return _protocol(before) == _protocol(after)

    def diff(self, aws: Aws, state: Values, new: Values, ignored: Sequence[str] = ()) -> list[Difference]:
        """Compare; EC2 keeps the kind of a rule's peer, so another kind is another rule (ModifyPlan in the source)."""
        before, after = ({key for key in self.sources if values.get(key)} for values in (state, new))
        found = super().diff(aws, state, new, ignored)
        return [
            item._replace(replaces=item.replaces or (before != after and item.path in self.sources)) for item in found
        ]

    def create(self, aws: Aws, inputs: Values) -> str:
        """AuthorizeSecurityGroupIngress or -Egress."""
        client = aws.client("ec2")
        call = client.authorize_security_group_egress if self.egress else client.authorize_security_group_ingress
        tags = [{"ResourceType": "security-group-rule", "Tags": pairs(inputs["tagsAll"])}] if inputs["tagsAll"] else []
        answer = call(GroupId=inputs["securityGroupId"], IpPermissions=[_permission(inputs)], TagSpecifications=tags)
        return str(answer["SecurityGroupRules"][0]["SecurityGroupRuleId"])

    def read(self, aws: Aws, identifier: str, known: Values) -> Values | None:
        """DescribeSecurityGroupRules."""
        found = self._find(aws, identifier)
        if found is None or found["IsEgress"] != self.egress:
            return None
        everything = found["IpProtocol"] == "-1"
        return {
            "arn": f"arn:{aws.partition}:ec2:{aws.region}:{aws.account}:security-group-rule/{identifier}",
            "securityGroupRuleId": identifier,
            "securityGroupId": found["GroupId"],
            # As the program wrote it, while it means the same.
            "ipProtocol": known["ipProtocol"]
            if _protocol(known.get("ipProtocol", "")) == _protocol(found["IpProtocol"])
            else found["IpProtocol"],
            "fromPort": None if everything else found.get("FromPort"),
            "toPort": None if everything else found.get("ToPort"),
            # The embedded EC2 keeps a description with a network only.
            "description": found.get("Description") or (None if found.get("CidrIpv4") else known.get("description")),
            "cidrIpv4": found.get("CidrIpv4"),
            "cidrIpv6": found.get("CidrIpv6"),
            "prefixListId": found.get("PrefixListId"),
            "referencedSecurityGroupId": (found.get("ReferencedGroupInfo") or {}).get("GroupId"),
            "tagsAll": unpaired(found.get("Tags")),
        }

    def _find(self, aws: Aws, identifier: str) -> Any:
        try:
            found = aws.client("ec2").describe_security_group_rules(SecurityGroupRuleIds=[identifier])
        except ClientError as error:
            if gone(error, *_RULE_MISSING):
                return None
            raise
        rules = [rule for rule in found["SecurityGroupRules"] if rule["SecurityGroupRuleId"] == identifier]
        return rules[0] if rules else None

    def update(self, aws: Aws, identifier: str, old: Values, new: Values) -> None:
        """ModifySecurityGroupRules and tags."""
        names = {
            "cidrIpv4": "CidrIpv4",
            "cidrIpv6": "CidrIpv6",
            "description": "Description",
            "fromPort": "FromPort",
            "ipProtocol": "IpProtocol",
            "prefixListId": "PrefixListId",
            "referencedSecurityGroupId": "ReferencedGroupId",
            "toPort": "ToPort",
        }
        rule = {api: new[key] for key, api in names.items() if new.get(key) is not None}
        if any(old.get(key) != new.get(key) for key in names):
            aws.client("ec2").modify_security_group_rules(
                GroupId=new["securityGroupId"],
                SecurityGroupRules=[{"SecurityGroupRuleId": identifier, "SecurityGroupRule": rule}],
            )
        _sync(aws, identifier, old, new)

    def delete(self, aws: Aws, identifier: str, state: Values) -> None:
        """RevokeSecurityGroupIngress or -Egress."""
        client = aws.client("ec2")
        call = client.revoke_security_group_egress if self.egress else client.revoke_security_group_ingress
        try:
            call(GroupId=state["securityGroupId"], SecurityGroupRuleIds=[identifier])
        except ClientError as error:
            if not gone(error, *_RULE_MISSING):
                raise


def _protocol(text: str) -> str:
    return _PROTOCOLS.get(text.lower(), text.lower())


def _permission(inputs: Values) -> dict[str, Any]:
    said = {"Description": inputs["description"]} if inputs.get("description") else {}
    ranges = {
        "cidrIpv4": ("IpRanges", "CidrIp"),
        "cidrIpv6": ("Ipv6Ranges", "CidrIpv6"),
        "prefixListId": ("PrefixListIds", "PrefixListId"),
        "referencedSecurityGroupId": ("UserIdGroupPairs", "GroupId"),
    }
    permission: dict[str, Any] = {"IpProtocol": inputs["ipProtocol"]}
    permission |= {api: inputs[key] for key, api in (("fromPort", "FromPort"), ("toPort", "ToPort")) if key in inputs}
    for key, (members, member) in ranges.items():
        if inputs.get(key):
            permission[members] = [{member: inputs[key], **said}]
    return permission


class SecurityGroupIngressRule(_Rule):
    """A rule that lets something in."""

    type_name = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
    egress = False


class SecurityGroupEgressRule(_Rule):
    """A rule that lets something out."""

    type_name = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
    egress = True


DRIVERS: Final = (SecurityGroup, SecurityGroupIngressRule, SecurityGroupEgressRule)
