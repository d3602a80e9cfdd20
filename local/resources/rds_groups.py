"""RDS: the subnet groups and parameter groups that instances are made in and under."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Final

from botocore.exceptions import ClientError

from local.resources.driver import Aws, Driver, gone, pairs, repeated, sync_tags, unpaired
from local.resources.schema import Difference, Failure, Property
from local.resources.values import Values, contains_unknown

LIMITS: Final = (
    "Parameter groups are stored; the database does not run under them.",
    "That the subnets of a group lie in two availability zones is not checked.",
)

_MISSING: Final = (
    "DBSubnetGroupNotFoundFault",
    "DBSubnetGroupNotFound",
    "DBParameterGroupNotFound",
    "DBParameterGroupNotFoundFault",
)
_NAME: Final = r"[a-z0-9_.\s-]+"
_BATCH: Final = 20  # parameters in one ModifyDBParameterGroup


class SubnetGroup(Driver):
    """A subnet group. Its id is its name; imported by it."""

    type_name = "aws:rds/subnetGroup:SubnetGroup"
    source = "terraform-provider-aws internal/service/rds/subnet_group.go"
    properties: ClassVar = {
        "description": Property(default="Managed by Pulumi"),
        "name": Property(replaces=True, longest=255, pattern=_NAME),
        "subnetIds": Property("strings", required=True, unordered=True),
    }
    outputs = frozenset({"arn", "supportedNetworkTypes", "vpcId", "tagsAll"})
    derived: ClassVar = {"vpcId": ("subnetIds",), "supportedNetworkTypes": ("subnetIds",)}
    autoname = ("name", 255)
    taggable = True

    def validate(self, known: Values, given: frozenset[str]) -> Iterable[Failure]:
        """Refuse the name that AWS keeps for itself."""
        if known.get("name") == "default":
            yield Failure("name", "api error InvalidParameterValue: the name default is reserved for subnet groups")

    def create(self, aws: Aws, inputs: Values) -> str:
        """CreateDBSubnetGroup."""
        aws.client("rds").create_db_subnet_group(
            DBSubnetGroupName=inputs["name"],
            DBSubnetGroupDescription=inputs["description"],
            SubnetIds=inputs["subnetIds"],
            Tags=pairs(inputs["tagsAll"]),
        )
        return str(inputs["name"])

    def read(self, aws: Aws, identifier: str, known: Values) -> Values | None:
        """DescribeDBSubnetGroups."""
        client = aws.client("rds")
        try:
            found = client.describe_db_subnet_groups(DBSubnetGroupName=identifier)["DBSubnetGroups"][0]
            tags = client.list_tags_for_resource(ResourceName=found["DBSubnetGroupArn"])["TagList"]
        except ClientError as error:
            if gone(error, *_MISSING):
                return None
            raise
        return {
            "name": found["DBSubnetGroupName"],
            "arn": found["DBSubnetGroupArn"],
            "description": found["DBSubnetGroupDescription"],
            "subnetIds": [subnet["SubnetIdentifier"] for subnet in found["Subnets"]],
            "supportedNetworkTypes": found.get("SupportedNetworkTypes", ["IPV4"]),
            "vpcId": found["VpcId"],
            "tagsAll": unpaired(tags),
        }

    def update(self, aws: Aws, identifier: str, old: Values, new: Values) -> None:
        """ModifyDBSubnetGroup and tags."""
        aws.client("rds").modify_db_subnet_group(
            DBSubnetGroupName=identifier, DBSubnetGroupDescription=new["description"], SubnetIds=new["subnetIds"]
        )
        _sync(aws, old, new)

    def delete(self, aws: Aws, identifier: str, state: Values) -> None:
        """DeleteDBSubnetGroup."""
        try:
            aws.client("rds").delete_db_subnet_group(DBSubnetGroupName=identifier)
        except ClientError as error:
            if not gone(error, *_MISSING):
                raise


def _sync(aws: Aws, old: Values, new: Values) -> None:
    client = aws.client("rds")
    sync_tags(
        old,
        new,
        lambda tags: client.add_tags_to_resource(ResourceName=old["arn"], Tags=pairs(tags)),
        lambda keys: client.remove_tags_from_resource(ResourceName=old["arn"], TagKeys=keys),
    )


class ParameterGroup(Driver):
    """A parameter group. Its id is its name; imported by it."""

    type_name = "aws:rds/parameterGroup:ParameterGroup"
    source = "terraform-provider-aws internal/service/rds/parameter_group.go"
    properties: ClassVar = {
        "description": Property(default="Managed by Pulumi", replaces=True),
        "family": Property(required=True, replaces=True),
        "name": Property(replaces=True, longest=255, pattern=r"(?!.*--)[a-z]([a-z0-9.-]*[a-z0-9])?"),
        "parameters": Property(
            "objects",
            unordered=True,
            fields={
                "applyMethod": Property(default="immediate", pattern="(?i:immediate|pending-reboot)", caseless=True),
                "name": Property(required=True, caseless=True),
                "value": Property(required=True),
            },
        ),
        "skipDestroy": Property("boolean", default=False, written_only=True),
    }
    outputs = frozenset({"arn", "tagsAll"})
    autoname = ("name", 255)
    taggable = True

    def create(self, aws: Aws, inputs: Values) -> str:
        """CreateDBParameterGroup."""
        aws.client("rds").create_db_parameter_group(
            DBParameterGroupName=inputs["name"],
            DBParameterGroupFamily=inputs["family"],
            Description=inputs["description"],
            Tags=pairs(inputs["tagsAll"]),
        )
        return str(inputs["name"])

    def configure(self, aws: Aws, identifier: str, inputs: Values) -> None:
        """ModifyDBParameterGroup."""
        _modify(aws, identifier, inputs.get("parameters", []))

    def read(self, aws: Aws, identifier: str, known: Values) -> Values | None:
        """DescribeDBParameterGroups, and the parameters that were set."""
        client = aws.client("rds")
        try:
            groups = client.describe_db_parameter_groups(DBParameterGroupName=identifier)["DBParameterGroups"]
            if not groups:  # the embedded RDS answers an empty list where AWS answers DBParameterGroupNotFound
                return None
            found = groups[0]
            listed = client.describe_db_parameters(DBParameterGroupName=identifier)["Parameters"]
            tags = client.list_tags_for_resource(ResourceName=found["DBParameterGroupArn"])["TagList"]
        except ClientError as error:
            if gone(error, *_MISSING):
                return None
            raise
        # What the program set stays in state although it is the engine's default (resourceParameterGroupRead).
        given = {item["name"].lower(): item for item in known.get("parameters") or ()}
        read = [
            _parameter(item) if item.get("Source") == "user" else given[item["ParameterName"]]
            for item in listed
            if item.get("Source") == "user" or item["ParameterName"] in given
        ]
        return {
            "name": found["DBParameterGroupName"],
            "arn": found["DBParameterGroupArn"],
            "description": found["Description"],
            "family": found["DBParameterGroupFamily"],
            "parameters": read or None,
            "tagsAll": unpaired(tags),
        }

    def update(self, aws: Aws, identifier: str, old: Values, new: Values) -> None:
        """ModifyDBParameterGroup, then ResetDBParameterGroup for what is no longer given, and tags."""
        before = {item["name"].lower(): item for item in old.get("parameters") or []}
        after = {item["name"].lower(): item for item in new.get("parameters") or []}
        _modify(aws, identifier, [item for name, item in after.items() if before.get(name) != item])
        gone_names = sorted(before.keys() - after.keys())
        for start in range(0, len(gone_names), _BATCH):
            reset = [
                {"ParameterName": name, "ApplyMethod": before[name]["applyMethod"].lower()}
                for name in gone_names[start : start + _BATCH]
            ]
            aws.client("rds").reset_db_parameter_group(DBParameterGroupName=identifier, Parameters=reset)
        _sync(aws, old, new)

    def diff(self, aws: Aws, state: Values, new: Values, ignored: Sequence[str] = ()) -> list[Difference]:
        """Compare; another method of applying alone is no change (pulumi-aws pkg/rds/parameter_group.go)."""
        wanted = {
            (item.get("name", "").lower(), item.get("value")): item
            for item in (new.get("parameters") or ())
            if not contains_unknown(item)
        }
        held = [wanted.get((item["name"].lower(), item["value"]), item) for item in (state.get("parameters") or ())]
        return super().diff(aws, {**state, "parameters": held}, new, ignored)

    def delete(self, aws: Aws, identifier: str, state: Values) -> None:
        """DeleteDBParameterGroup."""
        if state.get("skipDestroy"):
            return
        client = aws.client("rds")
        try:
            repeated(
                lambda: client.delete_db_parameter_group(DBParameterGroupName=identifier),
                "InvalidDBParameterGroupState",
            )
        except ClientError as error:
            if not gone(error, *_MISSING):
                raise


def _parameter(item: Any) -> Values:
    return {
        "name": item["ParameterName"],
        "value": item["ParameterValue"],
        "applyMethod": item.get("ApplyMethod", "immediate"),
    }


def _modify(aws: Aws, name: str, parameters: list[Values]) -> None:
    for start in range(0, len(parameters), _BATCH):
        batch = [
            {
                "ParameterName": item["name"].lower(),
                "ParameterValue": item["value"],
                "ApplyMethod": item["applyMethod"].lower(),
            }
            for item in parameters[start : start + _BATCH]
        ]
        aws.client("rds").modify_db_parameter_group(DBParameterGroupName=name, Parameters=batch)


DRIVERS: Final = (SubnetGroup, ParameterGroup)
