"""CloudWatch Logs: log groups."""

from __future__ import annotations

from typing import ClassVar, Final

from botocore.exceptions import ClientError

from local.resources.driver import Aws, Driver, gone, sync_tags
from local.resources.schema import ARN, Property
from local.resources.values import Values

LIMITS: Final = ("Log retention is stored; nothing is ever removed.",)

_MISSING: Final = ("ResourceNotFoundException", "ResourceNotFound")
# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
_RETENTIONS: Final = (
    0,
    1,
    3,
    5,
    7,
    14,
    30,
    60,
    90,
    120,
    150,
    180,
    365,
    400,
    545,
    731,
    1096,
    1827,
    2192,
    2557,
    2922,
    3288,
    3653,
)


class LogGroup(Driver):
    """A log group. Its id is its name; imported by it."""

    type_name = "aws:cloudwatch/logGroup:LogGroup"
    source = "terraform-provider-aws internal/service/logs/group.go"
    properties: ClassVar = {
        "kmsKeyId": Property(pattern=ARN),
        "logGroupClass": Property(computed=True, replaces=True, choices=("STANDARD", "INFREQUENT_ACCESS", "DELIVERY")),
        "name": Property(replaces=True, longest=512, pattern=r"[.\-_/#A-Za-z0-9]+"),
        "retentionInDays": Property("integer", default=0, choices=_RETENTIONS),
        "skipDestroy": Property("boolean", default=False, written_only=True),
    }
    outputs = frozenset({"arn", "tagsAll"})
    autoname = ("name", 255)
    taggable = True

    def unchanged(self, aws: Aws, name: str, state: Values, inputs: Values) -> bool | None:
        """A group of class DELIVERY keeps its own retention (logs/group.go, the property's DiffSuppressFunc)."""
        return True if name == "retentionInDays" and state.get("logGroupClass") == "DELIVERY" else None

    def create(self, aws: Aws, inputs: Values) -> str:
        """CreateLogGroup."""
        optional = {"kmsKeyId": inputs.get("kmsKeyId"), "logGroupClass": inputs.get("logGroupClass")}
        wanted = {key: value for key, value in optional.items() if value}
        aws.client("logs").create_log_group(logGroupName=inputs["name"], tags=inputs["tagsAll"], **wanted)
        return str(inputs["name"])

    def configure(self, aws: Aws, identifier: str, inputs: Values) -> None:
        """PutRetentionPolicy; 0 keeps events for ever."""
        _retain(aws, identifier, inputs["retentionInDays"])

    def read(self, aws: Aws, identifier: str, known: Values) -> Values | None:
        """DescribeLogGroups by prefix, and the one of exactly this name."""
        client = aws.client("logs")
        found = None
        for page in client.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=identifier):
            found = found or next((group for group in page["logGroups"] if group["logGroupName"] == identifier), None)
        if found is None:
            return None
        arn = found["arn"].removesuffix(":*")
        return {
            "name": identifier,
            "arn": arn,
            "retentionInDays": found.get("retentionInDays", 0),
            "kmsKeyId": found.get("kmsKeyId") or None,
            "logGroupClass": found.get("logGroupClass", "STANDARD"),
            "tagsAll": client.list_tags_for_resource(resourceArn=arn).get("tags", {}),
        }

    def update(self, aws: Aws, identifier: str, old: Values, new: Values) -> None:
        """PutRetentionPolicy, the key and tags."""
        client = aws.client("logs")
        _retain(aws, identifier, new["retentionInDays"])
        if new.get("kmsKeyId") and new["kmsKeyId"] != old.get("kmsKeyId"):
            client.associate_kms_key(logGroupName=identifier, kmsKeyId=new["kmsKeyId"])
        elif old.get("kmsKeyId") and not new.get("kmsKeyId"):
            client.disassociate_kms_key(logGroupName=identifier)
        sync_tags(
            old,
            new,
            lambda tags: client.tag_resource(resourceArn=old["arn"], tags=tags),
            lambda keys: client.untag_resource(resourceArn=old["arn"], tagKeys=keys),
        )

    def delete(self, aws: Aws, identifier: str, state: Values) -> None:
        """DeleteLogGroup, unless it is to be left."""
        if state.get("skipDestroy"):
            return
        try:
            aws.client("logs").delete_log_group(logGroupName=identifier)
        except ClientError as error:
            if not gone(error, *_MISSING):
                raise


def _retain(aws: Aws, name: str, days: int) -> None:
    if days:
        aws.client("logs").put_retention_policy(logGroupName=name, retentionInDays=days)
    else:
        aws.client("logs").delete_retention_policy(logGroupName=name)


DRIVERS: Final = (LogGroup,)
