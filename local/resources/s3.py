"""S3 buckets; what is set on a bucket by resources of its own lies in `s3_settings`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Final

from botocore.exceptions import ClientError

from local.resources.driver import Aws, Driver, gone, pairs, unpaired
from local.resources.schema import Failure, Property
from local.resources.values import Values

LIMITS: Final = (
    "Bucket names are unique in the embedded cloud only; on AWS they are unique in the whole partition.",
    "Replication, logging, object lock, notifications and the deprecated settings on the bucket itself "
    "are refused by name.",
)

MISSING: Final = ("NoSuchBucket", "404")
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
NAME: Final = r"(?!.*\.\.)(?!\d+\.\d+\.\d+\.\d+$)(?!xn--)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
# Hosted zones of S3 website endpoints: https://docs.aws.amazon.com/general/latest/gr/s3.html
_HOSTED_ZONES: Final = {
    "us-east-1": "Z3AQBSTGFYJSTF",
    "us-east-2": "Z2O1EMRO9K5GLX",
    "us-west-1": "Z2F56UZL2M1ACD",
    "us-west-2": "Z3BJ6K6RIION7M",
}


class Bucket(Driver):
    """A bucket. Its id is its name; imported by it."""

    type_name = "aws:s3/bucket:Bucket"
    source = "terraform-provider-aws internal/service/s3/bucket.go"
    properties: ClassVar = {
        "bucket": Property(computed=True, replaces=True),
        "forceDestroy": Property("boolean", default=False, written_only=True),
        "objectLockEnabled": Property("boolean", computed=True, replaces=True),
    }
    outputs = frozenset(
        ["arn", "bucketDomainName", "bucketRegion", "bucketRegionalDomainName", "hostedZoneId", "tagsAll"]
    )
    autoname = ("bucket", 63)
    taggable = True

    def generated(self, name: str, proposed: str | None, inputs: Values) -> str:
        """Bring the name to lower case (pulumi-aws provider/resources.go)."""
        return super().generated(name, proposed, inputs).lower()

    def validate(self, known: Values, given: frozenset[str]) -> Iterable[Failure]:
        """Hold the name to S3's rules."""
        name = known.get("bucket", "a-name")
        if not re.fullmatch(NAME, name):
            yield Failure("bucket", f"api error InvalidBucketName: The specified bucket is not valid: {name!r}")

    def create(self, aws: Aws, inputs: Values) -> str:
        """CreateBucket in the provider's region."""
        where = {} if aws.region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": aws.region}}
        lock = {"ObjectLockEnabledForBucket": True} if inputs.get("objectLockEnabled") else {}
        aws.client("s3").create_bucket(Bucket=inputs["bucket"], **where, **lock)
        return str(inputs["bucket"])

    def configure(self, aws: Aws, identifier: str, inputs: Values) -> None:
        """PutBucketTagging."""
        _tag(aws, identifier, inputs["tagsAll"])

    def read(self, aws: Aws, identifier: str, known: Values) -> Values | None:
        """HeadBucket and tags; names of hosts follow from region and name."""
        client = aws.client("s3")
        try:
            client.head_bucket(Bucket=identifier)
        except ClientError as error:
            if gone(error, *MISSING):
                return None
            raise
        try:
            tags = unpaired(client.get_bucket_tagging(Bucket=identifier)["TagSet"])
        except ClientError as error:
            if not gone(error, "NoSuchTagSet"):
                raise
            tags = {}
        return {
            "bucket": identifier,
            "arn": f"arn:{aws.partition}:s3:::{identifier}",
            "bucketDomainName": f"{identifier}.s3.amazonaws.com",
            "bucketRegionalDomainName": f"{identifier}.s3.{aws.region}.amazonaws.com",
            "bucketRegion": aws.region,
            "hostedZoneId": _HOSTED_ZONES.get(aws.region, ""),
            "objectLockEnabled": bool(known.get("objectLockEnabled", False)),
            "tagsAll": tags,
        }

    def update(self, aws: Aws, identifier: str, old: Values, new: Values) -> None:
        """PutBucketTagging; nothing else on a bucket itself can change."""
        if old.get("tagsAll", {}) != new["tagsAll"]:
            _tag(aws, identifier, new["tagsAll"])

    def delete(self, aws: Aws, identifier: str, state: Values) -> None:
        """DeleteBucket, which S3 refuses while there are objects; with `forceDestroy` all versions go first."""
        client = aws.client("s3")
        try:
            if state.get("forceDestroy"):
                for keys in _versions(client, identifier):
                    client.delete_objects(Bucket=identifier, Delete={"Objects": keys, "Quiet": True})
            client.delete_bucket(Bucket=identifier)
        except ClientError as error:
            if not gone(error, *MISSING):
                raise


def _tag(aws: Aws, bucket: str, tags: dict[str, str]) -> None:
    if tags:
        aws.client("s3").put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": pairs(tags)})
    else:
        aws.client("s3").delete_bucket_tagging(Bucket=bucket)


def _versions(client: Any, bucket: str) -> Iterator[list[dict[str, str]]]:
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket):
        found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        if found:
            yield [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in found]


DRIVERS: Final = (Bucket,)
