"""KMS: customer managed keys and their aliases."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Final

from botocore.exceptions import ClientError

from local.resources.driver import Aws, Driver, gone, sync_tags, unpaired
from local.resources.schema import Failure, Property
from local.resources.values import Values

LIMITS: Final = (
    "Nothing is encrypted with a key; its policy is stored, and held against who has to be let in by the conformance "
    "test alone.",
)

_MISSING: Final = ("NotFoundException",)
_GONE_STATES: Final = ("PendingDeletion", "PendingReplicaDeletion")


def _tags(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"TagKey": key, "TagValue": value} for key, value in sorted(tags.items())]


class Key(Driver):
    """A symmetric key. Its id is its key id; imported by it. Deleted, it waits for its window."""

    type_name = "aws:kms/key:Key"
    source = "terraform-provider-aws internal/service/kms/key.go"
    properties: ClassVar = {
        "bypassPolicyLockoutSafetyCheck": Property("boolean", default=False, written_only=True),
        "customerMasterKeySpec": Property(default="SYMMETRIC_DEFAULT", replaces=True, choices=("SYMMETRIC_DEFAULT",)),
        "deletionWindowInDays": Property("integer", minimum=7, maximum=30, written_only=True),
        "description": Property(computed=True, longest=8192),
        "enableKeyRotation": Property("boolean", default=False),
        "isEnabled": Property("boolean", default=True),
        "keyUsage": Property(default="ENCRYPT_DECRYPT", replaces=True, choices=("ENCRYPT_DECRYPT",)),
        "multiRegion": Property("boolean", computed=True, replaces=True),
        "policy": Property("policy", computed=True, longest=32_768),
    }
    outputs = frozenset({"arn", "keyId", "rotationPeriodInDays", "tagsAll"})
    taggable = True

    def create(self, aws: Aws, inputs: Values) -> str:
        """CreateKey with policy and tags."""
        optional = {"Description": "description", "Policy": "policy", "MultiRegion": "multiRegion"}
        answer = aws.client("kms").create_key(
            KeyUsage=inputs["keyUsage"],
            KeySpec=inputs["customerMasterKeySpec"],
            BypassPolicyLockoutSafetyCheck=inputs["bypassPolicyLockoutSafetyCheck"],
            Tags=_tags(inputs["tagsAll"]),
            **{api: inputs[key] for api, key in optional.items() if inputs.get(key)},
        )
        return str(answer["KeyMetadata"]["KeyId"])

    def configure(self, aws: Aws, identifier: str, inputs: Values) -> None:
        """Rotation and whether the key may be used."""
        if inputs["enableKeyRotation"]:
            aws.client("kms").enable_key_rotation(KeyId=identifier)
        if not inputs["isEnabled"]:
            aws.client("kms").disable_key(KeyId=identifier)

    def read(self, aws: Aws, identifier: str, known: Values) -> Values | None:
        """DescribeKey, GetKeyPolicy, GetKeyRotationStatus and tags; a key that waits for its deletion is gone."""
        client = aws.client("kms")
        try:
            found = client.describe_key(KeyId=identifier)["KeyMetadata"]
        except ClientError as error:
            if gone(error, *_MISSING):
                return None
            raise
        if found["KeyState"] in _GONE_STATES:
            return None
        tags = client.list_resource_tags(KeyId=identifier)["Tags"]
        rotation = client.get_key_rotation_status(KeyId=identifier)
        return {
            "arn": found["Arn"],
            "keyId": found["KeyId"],
            "description": found.get("Description") or None,
            "isEnabled": found["Enabled"],
            "keyUsage": found["KeyUsage"],
            "customerMasterKeySpec": found.get("KeySpec", "SYMMETRIC_DEFAULT"),
            "multiRegion": found.get("MultiRegion", False),
            "policy": client.get_key_policy(KeyId=identifier, PolicyName="default")["Policy"],
            "enableKeyRotation": rotation["KeyRotationEnabled"],
            "rotationPeriodInDays": rotation.get("RotationPeriodInDays"),
            "tagsAll": unpaired(tags, "TagKey", "TagValue"),
        }

    def update(self, aws: Aws, identifier: str, old: Values, new: Values) -> None:
        """Each property by its own call, on an enabled key: AWS changes no disabled one (key.go, resourceKeyUpdate)."""
        client = aws.client("kms")

        def changed(key: str) -> bool:
            return key in new and old.get(key) != new[key]

        if changed("isEnabled") and new["isEnabled"]:
            client.enable_key(KeyId=identifier)
        if changed("enableKeyRotation"):
            rotate = client.enable_key_rotation if new["enableKeyRotation"] else client.disable_key_rotation
            rotate(KeyId=identifier)
        if changed("description"):
            client.update_key_description(KeyId=identifier, Description=new["description"])
        if changed("policy"):
            client.put_key_policy(
                KeyId=identifier,
                PolicyName="default",
                Policy=new["policy"],
                BypassPolicyLockoutSafetyCheck=new["bypassPolicyLockoutSafetyCheck"],
            )
        sync_tags(
            old,
            new,
            lambda tags: client.tag_resource(KeyId=identifier, Tags=_tags(tags)),
            lambda keys: client.untag_resource(KeyId=identifier, TagKeys=keys),
        )
        if changed("isEnabled") and not new["isEnabled"]:
            client.disable_key(KeyId=identifier)

    def delete(self, aws: Aws, identifier: str, state: Values) -> None:
        """ScheduleKeyDeletion, after the window given or AWS's 30 days."""
        window: dict[str, Any] = {"PendingWindowInDays": state.get("deletionWindowInDays") or 30}
        try:
            aws.client("kms").schedule_key_deletion(KeyId=identifier, **window)
        except ClientError as error:
            if not gone(error, *_MISSING, "KMSInvalidStateException"):
                raise


class Alias(Driver):
    """A key's name. Its id is that name; imported by it."""

    type_name = "aws:kms/alias:Alias"
    source = "terraform-provider-aws internal/service/kms/alias.go"
    properties: ClassVar = {
        "name": Property(replaces=True, longest=256, pattern=r"alias/[A-Za-z0-9/_-]+"),
        "targetKeyId": Property(required=True),
    }
    outputs = frozenset({"arn", "targetKeyArn"})
    derived: ClassVar = {"targetKeyArn": ("targetKeyId",)}
    autoname = ("name", 238)

    def generated(self, name: str, proposed: str | None, inputs: Values) -> str:
        """Put `alias/` before the name (pulumi-aws provider/resources.go)."""
        return proposed or f"alias/{super().generated(name, None, inputs)}"

    def unchanged(self, aws: Aws, name: str, state: Values, inputs: Values) -> bool | None:
        """Take ARN and id of one key for the same (kms/alias.go, suppressEquivalentKeyARNOrID)."""
        before, after = state.get(name), inputs.get(name)
        if name != "targetKeyId" or not isinstance(before, str) or not isinstance(after, str):
            return None
        return before.rpartition("key/")[2] == after.rpartition("key/")[2]

    def validate(self, known: Values, given: frozenset[str]) -> Iterable[Failure]:
        """Refuse the names that AWS keeps for its own keys."""
        if known.get("name", "").startswith("alias/aws/"):
            yield Failure("name", "api error NotAuthorizedException: alias/aws/ is reserved for AWS's own keys")

    def create(self, aws: Aws, inputs: Values) -> str:
        """CreateAlias."""
        aws.client("kms").create_alias(AliasName=inputs["name"], TargetKeyId=inputs["targetKeyId"])
        return str(inputs["name"])

    def read(self, aws: Aws, identifier: str, known: Values) -> Values | None:
        """ListAliases; there is no call for one."""
        client = aws.client("kms")
        for page in client.get_paginator("list_aliases").paginate():
            for found in page["Aliases"]:
                if found["AliasName"] == identifier and found.get("TargetKeyId"):
                    key = client.describe_key(KeyId=found["TargetKeyId"])["KeyMetadata"]
                    return {
                        "name": identifier,
                        "arn": found["AliasArn"],
                        "targetKeyId": found["TargetKeyId"],
                        "targetKeyArn": key["Arn"],
                    }
        return None

    def update(self, aws: Aws, identifier: str, old: Values, new: Values) -> None:
        """UpdateAlias."""
        aws.client("kms").update_alias(AliasName=identifier, TargetKeyId=new["targetKeyId"])

    def delete(self, aws: Aws, identifier: str, state: Values) -> None:
        """DeleteAlias."""
        try:
            aws.client("kms").delete_alias(AliasName=identifier)
        except ClientError as error:
            if not gone(error, *_MISSING):
                raise


DRIVERS: Final = (Key, Alias)
