"""What is set on an S3 bucket by a resource of its own.

The id of each is the bucket's name, with `,` and the owner after it where one is expected; imported by it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from botocore.exceptions import ClientError

from local.resources.driver import Aws, Driver, gone
from local.resources.s3 import MISSING
from local.resources.schema import Difference, Property
from local.resources.values import Values

LIMITS: Final = (
    "Lifecycle rules, encryption and ownership of a bucket are stored; nothing expires, is encrypted or changes owner.",
    "The public access block is stored; every object is private here in any case.",
)

BUCKET: Final = {
    "bucket": Property(required=True, replaces=True, shortest=1, longest=63),
    "expectedBucketOwner": Property(replaces=True, pattern=r"\d{12}"),
}


class Setting(Driver):
    """One setting of a bucket: put, get, and delete."""

    nothing: ClassVar[tuple[str, ...]]

    @abstractmethod
    def _put(self, client: Any, bucket: str, inputs: Values) -> None: ...

    @abstractmethod
    def _get(self, client: Any, bucket: str) -> Values | None: ...

    @abstractmethod
    def _delete(self, client: Any, bucket: str, state: Values) -> None: ...

    def create(self, aws: Aws, inputs: Values) -> str:
        """Put the setting."""
        self._put(aws.client("s3"), inputs["bucket"], inputs)
        return ",".join(inputs[key] for key in BUCKET if inputs.get(key))

    def read(self, aws: Aws, identifier: str, known: Values) -> Values | None:
        """Get the setting."""
        try:
            bucket, _, owner = identifier.partition(",")
            found = self._get(aws.client("s3"), bucket)
        except ClientError as error:
            if gone(error, *MISSING, *self.nothing):
                return None
            raise
        return None if found is None else {"bucket": bucket, "expectedBucketOwner": owner or None, **found}

    def update(self, aws: Aws, identifier: str, old: Values, new: Values) -> None:
        """Put the setting."""
        self._put(aws.client("s3"), new["bucket"], new)

    def delete(self, aws: Aws, identifier: str, state: Values) -> None:
        """Delete the setting."""
        try:
            self._delete(aws.client("s3"), state["bucket"], state)
        except ClientError as error:
            if not gone(error, *MISSING, *self.nothing):
                raise


class BucketVersioning(Setting):
    """Versioning; once enabled it can be suspended, never taken away."""

    type_name = "aws:s3/bucketVersioning:BucketVersioning"
    source = "terraform-provider-aws internal/service/s3/bucket_versioning.go"
    properties: ClassVar = {
        **BUCKET,
        "versioningConfiguration": Property(
            "object",
            required=True,
            fields={
                "status": Property(required=True, choices=("Enabled", "Suspended", "Disabled")),
                "mfaDelete": Property(computed=True, choices=("Enabled", "Disabled")),
            },
        ),
    }
    nothing = ()

    def diff(self, aws: Aws, state: Values, new: Values, ignored: Sequence[str] = ()) -> list[Difference]:
        """Refuse the way back to "never versioned" in the plan (bucket_versioning.go, CustomizeDiff)."""
        before, after = (values["versioningConfiguration"].get("status") for values in (state, new))
        if after == "Disabled" and before in ("Enabled", "Suspended"):
            raise ValueError(f"versioning_configuration.status cannot be updated from '{before}' to '{after}'")
        return super().diff(aws, state, new, ignored)

    def _put(self, client: Any, bucket: str, inputs: Values) -> None:
        status = inputs["versioningConfiguration"]["status"]
        if status != "Disabled":
            client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})

    def _get(self, client: Any, bucket: str) -> Values | None:
        status = client.get_bucket_versioning(Bucket=bucket).get("Status", "Disabled")
        return {"versioningConfiguration": {"status": status}}

    def _delete(self, client: Any, bucket: str, state: Values) -> None:
        if state["versioningConfiguration"]["status"] in ("Enabled", "Suspended"):
            client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})


class BucketPublicAccessBlock(Setting):
    """The four switches against public access."""

    type_name = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
    source = "terraform-provider-aws internal/service/s3/bucket_public_access_block.go"
    switches: ClassVar = {
        "blockPublicAcls": "BlockPublicAcls",
        "blockPublicPolicy": "BlockPublicPolicy",
        "ignorePublicAcls": "IgnorePublicAcls",
        "restrictPublicBuckets": "RestrictPublicBuckets",
    }
    properties: ClassVar = {
        "bucket": BUCKET["bucket"],
        **dict.fromkeys(switches, Property("boolean", default=False)),
        "skipDestroy": Property("boolean", written_only=True),
    }
    nothing = ("NoSuchPublicAccessBlockConfiguration",)

    def _put(self, client: Any, bucket: str, inputs: Values) -> None:
        configuration = {api: inputs[key] for key, api in self.switches.items()}
        client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=configuration)

    def _get(self, client: Any, bucket: str) -> Values | None:
        found = client.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
        return {key: found[api] for key, api in self.switches.items()}

    def _delete(self, client: Any, bucket: str, state: Values) -> None:
        if not state.get("skipDestroy"):
            client.delete_public_access_block(Bucket=bucket)


class BucketPolicy(Setting):
    """A bucket's resource policy."""

    type_name = "aws:s3/bucketPolicy:BucketPolicy"
    source = "terraform-provider-aws internal/service/s3/bucket_policy.go"
    properties: ClassVar = {
        "bucket": BUCKET["bucket"],
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-policies.html: 20 KB
        "policy": Property("policy", required=True, longest=20_480),
    }
    nothing = ("NoSuchBucketPolicy",)

    def _put(self, client: Any, bucket: str, inputs: Values) -> None:
        client.put_bucket_policy(Bucket=bucket, Policy=inputs["policy"])

    def _get(self, client: Any, bucket: str) -> Values | None:
        return {"policy": client.get_bucket_policy(Bucket=bucket)["Policy"]}

    def _delete(self, client: Any, bucket: str, state: Values) -> None:
        client.delete_bucket_policy(Bucket=bucket)


class BucketServerSideEncryptionConfiguration(Setting):
    """Default encryption."""

    type_name = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
    source = "terraform-provider-aws internal/service/s3/bucket_server_side_encryption_configuration.go"
    properties: ClassVar = {
        **BUCKET,
        "rules": Property(
            "objects",
            required=True,
            unordered=True,
            fields={
                "applyServerSideEncryptionByDefault": Property(
                    "object",
                    fields={
                        "sseAlgorithm": Property(required=True, choices=("AES256", "aws:kms", "aws:kms:dsse")),
                        "kmsMasterKeyId": Property(),
                    },
                ),
                "bucketKeyEnabled": Property("boolean"),
            },
        ),
    }
    nothing = ("ServerSideEncryptionConfigurationNotFoundError",)

    def _put(self, client: Any, bucket: str, inputs: Values) -> None:
        rules = []
        for rule in inputs["rules"]:
            default = rule.get("applyServerSideEncryptionByDefault") or {}
            members = {"SSEAlgorithm": default.get("sseAlgorithm"), "KMSMasterKeyID": default.get("kmsMasterKeyId")}
            rules.append(
                {
                    "ApplyServerSideEncryptionByDefault": {key: value for key, value in members.items() if value},
                    "BucketKeyEnabled": rule.get("bucketKeyEnabled", False),
                }
            )
        client.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})

    def _get(self, client: Any, bucket: str) -> Values | None:
        found = client.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
        rules = []
        for rule in found:
            default = rule.get("ApplyServerSideEncryptionByDefault", {})
            members = {"sseAlgorithm": default.get("SSEAlgorithm"), "kmsMasterKeyId": default.get("KMSMasterKeyID")}
            rules.append(
                {
                    "applyServerSideEncryptionByDefault": {key: value for key, value in members.items() if value},
                    "bucketKeyEnabled": rule.get("BucketKeyEnabled", False),
                }
            )
        return {"rules": rules}

    def _delete(self, client: Any, bucket: str, state: Values) -> None:
        client.delete_bucket_encryption(Bucket=bucket)


class BucketOwnershipControls(Setting):
    """Who owns the objects."""

    type_name = "aws:s3/bucketOwnershipControls:BucketOwnershipControls"
    source = "terraform-provider-aws internal/service/s3/bucket_ownership_controls.go"
    properties: ClassVar = {
        "bucket": BUCKET["bucket"],
        "rule": Property(
            "object",
            required=True,
            fields={
                "objectOwnership": Property(
                    required=True, choices=("BucketOwnerPreferred", "ObjectWriter", "BucketOwnerEnforced")
                )
            },
        ),
    }
    nothing = ("OwnershipControlsNotFoundError",)

    def _put(self, client: Any, bucket: str, inputs: Values) -> None:
        rules = [{"ObjectOwnership": inputs["rule"]["objectOwnership"]}]
        client.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls={"Rules": rules})

    def _get(self, client: Any, bucket: str) -> Values | None:
        rules = client.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
        return {"rule": {"objectOwnership": rules[0]["ObjectOwnership"]}}

    def _delete(self, client: Any, bucket: str, state: Values) -> None:
        client.delete_bucket_ownership_controls(Bucket=bucket)


class BucketCorsConfiguration(Setting):
    """Which other origins may read or write."""

    type_name = "aws:s3/bucketCorsConfiguration:BucketCorsConfiguration"
    source = "terraform-provider-aws internal/service/s3/bucket_cors_configuration.go"
    members: ClassVar = {
        "allowedHeaders": "AllowedHeaders",
        "allowedMethods": "AllowedMethods",
        "allowedOrigins": "AllowedOrigins",
        "exposeHeaders": "ExposeHeaders",
        "id": "ID",
        "maxAgeSeconds": "MaxAgeSeconds",
    }
    properties: ClassVar = {
        **BUCKET,
        "corsRules": Property(
            "objects",
            required=True,
            unordered=True,
            longest=100,
            fields={
                "allowedHeaders": Property("strings", unordered=True),
                "allowedMethods": Property("strings", required=True, unordered=True),
                "allowedOrigins": Property("strings", required=True, unordered=True),
                "exposeHeaders": Property("strings", unordered=True),
                "id": Property(longest=255),
                "maxAgeSeconds": Property("integer"),
            },
        ),
    }
    nothing = ("NoSuchCORSConfiguration",)

    def _put(self, client: Any, bucket: str, inputs: Values) -> None:
        rules = [{self.members[key]: value for key, value in rule.items()} for rule in inputs["corsRules"]]
        client.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": rules})

    def _get(self, client: Any, bucket: str) -> Values | None:
        found = client.get_bucket_cors(Bucket=bucket)["CORSRules"]
        return {"corsRules": [{key: rule[api] for key, api in self.members.items() if rule.get(api)} for rule in found]}

    def _delete(self, client: Any, bucket: str, state: Values) -> None:
        client.delete_bucket_cors(Bucket=bucket)


DRIVERS: Final = (
    BucketVersioning,
    BucketPublicAccessBlock,
    BucketPolicy,
    BucketServerSideEncryptionConfiguration,
    BucketOwnershipControls,
    BucketCorsConfiguration,
)
