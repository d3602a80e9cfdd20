"""Secrets Manager: secrets and their versions. A secret's value appears in no message of this module."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any, ClassVar, Final

from botocore.exceptions import ClientError

from local.resources.driver import Aws, AwsError, Driver, gone, pairs, sync_tags, unpaired
from local.resources.schema import Failure, Property
from local.resources.values import Values

LIMITS: Final = (
    "A KMS key of a secret is stored, not used; replication and rotation functions are not modelled.",
    "A secret in its recovery window keeps its name here as on AWS; it is not purged when the window ends.",
)

_MISSING: Final = ("ResourceNotFoundException",)
_CURRENT: Final = "AWSCURRENT"
_MOST_BYTES: Final = 65_536  # https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html


class Secret(Driver):
    """A secret without a value. Its id is its ARN; imported by it."""

    type_name = "aws:secretsmanager/secret:Secret"
    source = "terraform-provider-aws internal/service/secretsmanager/secret.go"
    properties: ClassVar = {
        "description": Property(longest=2048),
        "forceOverwriteReplicaSecret": Property("boolean", default=False, written_only=True),
        "kmsKeyId": Property(),
        "name": Property(computed=True, replaces=True, longest=512, pattern=r"[0-9A-Za-z/_+=.@-]+"),
        "policy": Property("policy", computed=True, longest=20_480),
        "recoveryWindowInDays": Property("integer", default=30, written_only=True),
    }
    outputs = frozenset({"arn", "tagsAll", "replicas"})
    autoname = ("name", 255)
    taggable = True

    def validate(self, known: Values, given: frozenset[str]) -> Iterable[Failure]:
        """Hold the recovery window to 0 or 7 to 30 days."""
        days = known.get("recoveryWindowInDays", 30)
        shortest, longest = 7, 30
        if days != 0 and not shortest <= days <= longest:
            yield Failure("recoveryWindowInDays", f"expected 0 or a value from {shortest} to {longest}, got {days}")
        name = known.get("name", "")
        if name.startswith("rds!"):
            message = (
                "api error InvalidRequestException: names with the prefix of a managing service, as rds!, are reserved"
            )
            yield Failure("name", message)

    def create(self, aws: Aws, inputs: Values) -> str:
        """CreateSecret without a value."""
        optional = {"Description": inputs.get("description"), "KmsKeyId": inputs.get("kmsKeyId")}
        answer = aws.client("secretsmanager").create_secret(
            Name=inputs["name"],
            Tags=pairs(inputs["tagsAll"]),
            **{key: value for key, value in optional.items() if value},
        )
        return str(answer["ARN"])

    def configure(self, aws: Aws, identifier: str, inputs: Values) -> None:
        """PutResourcePolicy, where there is one."""
        if inputs.get("policy"):
            aws.client("secretsmanager").put_resource_policy(SecretId=identifier, ResourcePolicy=inputs["policy"])

    def read(self, aws: Aws, identifier: str, known: Values) -> Values | None:
        """DescribeSecret; one that is scheduled for deletion counts as gone."""
        client = aws.client("secretsmanager")
        try:
            found = client.describe_secret(SecretId=identifier)
            policy = client.get_resource_policy(SecretId=identifier).get("ResourcePolicy")
        except ClientError as error:
            if gone(error, *_MISSING):
                return None
            raise
        if found.get("DeletedDate"):
            return None
        return {
            "id": found["ARN"],
            "arn": found["ARN"],
            "name": found["Name"],
            "description": found.get("Description") or None,
            "kmsKeyId": found.get("KmsKeyId") or None,
            "policy": policy or None,
            "replicas": [],
            "tagsAll": unpaired(found.get("Tags")),
        }

    def update(self, aws: Aws, identifier: str, old: Values, new: Values) -> None:
        """UpdateSecret (never its value), its policy and tags."""
        client = aws.client("secretsmanager")
        if any(old.get(key) != new.get(key) for key in ("description", "kmsKeyId")):
            # An empty member is taken as "leave it", so only what is set goes out.
            wanted = {"Description": new.get("description", ""), "KmsKeyId": new.get("kmsKeyId")}
            client.update_secret(SecretId=identifier, **{key: text for key, text in wanted.items() if text is not None})
        if new.get("policy") and new["policy"] != old.get("policy"):
            client.put_resource_policy(SecretId=identifier, ResourcePolicy=new["policy"])
        elif "policy" in new and not new["policy"] and old.get("policy"):
            client.delete_resource_policy(SecretId=identifier)
        sync_tags(
            old,
            new,
            lambda tags: client.tag_resource(SecretId=identifier, Tags=pairs(tags)),
            lambda keys: client.untag_resource(SecretId=identifier, TagKeys=keys),
        )

    def delete(self, aws: Aws, identifier: str, state: Values) -> None:
        """DeleteSecret with its recovery window, or at once where that is 0."""
        days = state.get("recoveryWindowInDays", 30)
        how: dict[str, Any] = {"RecoveryWindowInDays": days} if days else {"ForceDeleteWithoutRecovery": True}
        try:
            aws.client("secretsmanager").delete_secret(SecretId=identifier, **how)
        except ClientError as error:
            # InvalidRequestException: it is in its recovery window already.
            if not gone(error, *_MISSING, "InvalidRequestException"):
                raise


class SecretVersion(Driver):
    """A value of a secret. Its id is `<secret as given>|<version id>`; imported by it."""

    type_name = "aws:secretsmanager/secretVersion:SecretVersion"
    source = "terraform-provider-aws internal/service/secretsmanager/secret_version.go"
    properties: ClassVar = {
        "secretBinary": Property(secret=True, replaces=True, conflicts=("secretString", "secretStringWo")),
        "secretId": Property(required=True, replaces=True),
        "secretString": Property(secret=True, replaces=True, conflicts=("secretBinary", "secretStringWo")),
        "secretStringWo": Property(
            secret=True,
            written_only=True,
            conflicts=("secretBinary", "secretString"),
            needs=("secretStringWoVersion",),
        ),
        "secretStringWoVersion": Property("integer", replaces=True, written_only=True, needs=("secretStringWo",)),
        "versionStages": Property("strings", computed=True, unordered=True),
    }
    outputs = frozenset({"arn", "hasSecretStringWo", "secretArn", "versionId"})

    def validate(self, known: Values, given: frozenset[str]) -> Iterable[Failure]:
        """Hold the value to 64 KB, and `secretBinary` to base64."""
        for key in ("secretString", "secretBinary", "secretStringWo"):
            if len(known.get(key, "").encode()) > _MOST_BYTES:
                yield Failure(key, f"{key} is longer than the {_MOST_BYTES} bytes that Secrets Manager takes")
        try:
            base64.b64decode(known.get("secretBinary", ""), validate=True)
        except ValueError:
            yield Failure("secretBinary", "secretBinary is not base64")

    def create(self, aws: Aws, inputs: Values) -> str:
        """PutSecretValue."""
        value = _value(inputs)
        stages = {"VersionStages": inputs["versionStages"]} if inputs.get("versionStages") else {}
        answer = aws.client("secretsmanager").put_secret_value(SecretId=inputs["secretId"], **value, **stages)
        return f"{inputs['secretId']}|{answer['VersionId']}"

    def read(self, aws: Aws, identifier: str, known: Values) -> Values | None:
        """GetSecretValue of just this version; a write-only value stays out of state."""
        secret, _, version = identifier.rpartition("|")
        try:
            found = aws.client("secretsmanager").get_secret_value(SecretId=secret, VersionId=version)
        except ClientError as error:
            # A secret marked for deletion cannot be read any more: InvalidRequestException.
            if gone(error, *_MISSING, "InvalidRequestException"):
                return None
            raise
        written_only = bool(known.get("hasSecretStringWo") or known.get("secretStringWo"))
        binary = found.get("SecretBinary")
        return {
            "arn": found["ARN"],
            "secretArn": found["ARN"],
            # The provider keeps whether the secret was named by ARN or by name.
            "secretId": secret,
            "versionId": found["VersionId"],
            "versionStages": sorted(found.get("VersionStages") or ()),
            "hasSecretStringWo": written_only,
            "secretString": None if written_only else found.get("SecretString"),
            "secretBinary": base64.b64encode(binary).decode() if binary is not None and not written_only else None,
        }

    def state(self, aws: Aws, identifier: str, known: Values) -> Values | None:
        """Read and merge, without the value that is written and never kept."""
        result = super().state(aws, identifier, known)
        if result is not None:
            result.pop("secretStringWo", None)
        return result

    def update(self, aws: Aws, identifier: str, old: Values, new: Values) -> None:
        """Move the staging labels; another value is another version."""
        secret, _, version = identifier.rpartition("|")
        client = aws.client("secretsmanager")
        before = set(old.get("versionStages") or ())
        after = set(new.get("versionStages") or before)
        holders = client.describe_secret(SecretId=secret).get("VersionIdsToStages", {})
        for stage in sorted(after - before):
            holder = next((name for name, stages in holders.items() if stage in stages), None)
            client.update_secret_version_stage(
                SecretId=secret,
                VersionStage=stage,
                MoveToVersionId=version,
                **({"RemoveFromVersionId": holder} if holder and holder != version else {}),
            )
        for stage in sorted(before - after - {_CURRENT}):
            client.update_secret_version_stage(SecretId=secret, VersionStage=stage, RemoveFromVersionId=version)

    def delete(self, aws: Aws, identifier: str, state: Values) -> None:
        """Take the labels off; AWSCURRENT stays, as AWS has no way to leave a secret without it."""
        secret, _, version = identifier.rpartition("|")
        client = aws.client("secretsmanager")
        for stage in state.get("versionStages", []):
            if stage == _CURRENT:
                continue
            try:
                client.update_secret_version_stage(SecretId=secret, VersionStage=stage, RemoveFromVersionId=version)
            except ClientError as error:
                if not gone(error, *_MISSING, "InvalidRequestException", "InvalidParameterException"):
                    raise

    def diff(self, aws: Aws, state: Values, new: Values, ignored: Any = ()) -> list[Any]:
        """Compare, leaving out the write-only value: only its version number tells that it changed."""
        return super().diff(aws, state, new, (*ignored, "secretStringWo"))


def _value(inputs: Values) -> dict[str, Any]:
    if inputs.get("secretBinary"):
        return {"SecretBinary": base64.b64decode(inputs["secretBinary"])}
    text = inputs.get("secretString") or inputs.get("secretStringWo")
    if not text:
        message = "You must provide either SecretString or SecretBinary."
        raise AwsError("Secrets Manager: PutSecretValue", "InvalidRequestException", message)
    return {"SecretString": text}


DRIVERS: Final = (Secret, SecretVersion)
