"""The lifecycle rules of an S3 bucket. The id is the bucket's name; imported by it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Final

from local.resources.s3_settings import BUCKET, Setting
from local.resources.schema import Failure, Property
from local.resources.values import Values

LIMITS: Final = ("Lifecycle rules are stored; nothing expires. Transitions and filters by tag are refused by name.",)

_DEFAULT_SIZE: Final = "all_storage_classes_128K"


class BucketLifecycleConfiguration(Setting):
    """When objects and old versions go."""

    type_name = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
    source = "terraform-provider-aws internal/service/s3/bucket_lifecycle_configuration.go"
    properties: ClassVar = {
        **BUCKET,
        "rules": Property(
            "objects",
            required=True,
            shortest=1,
            longest=1000,
            fields={
                "abortIncompleteMultipartUpload": Property(
                    "object", fields={"daysAfterInitiation": Property("integer", minimum=1)}
                ),
                "expiration": Property(
                    "object",
                    fields={
                        "days": Property("integer", minimum=0),
                        "expiredObjectDeleteMarker": Property("boolean"),
                    },
                ),
                "filter": Property("object", computed=True, fields={"prefix": Property()}),
                "id": Property(required=True, longest=255),
                "noncurrentVersionExpiration": Property(
                    "object",
                    fields={
                        "newerNoncurrentVersions": Property("integer", minimum=1),
                        "noncurrentDays": Property("integer", required=True, minimum=1),
                    },
                ),
                "status": Property(required=True, choices=("Enabled", "Disabled")),
            },
        ),
    }
    outputs = frozenset({"transitionDefaultMinimumObjectSize"})
    nothing = ("NoSuchLifecycleConfiguration",)

    def validate(self, known: Values, given: frozenset[str]) -> Iterable[Failure]:
        """Refuse two rules of one id, and a rule that does nothing."""
        names = [rule.get("id") for rule in known.get("rules", [])]
        if len(names) != len(set(names)):
            yield Failure(
                "rules", "api error InvalidArgument: Rule ID must be unique. Found same ID for more than one rule"
            )
        actions = {"abortIncompleteMultipartUpload", "expiration", "noncurrentVersionExpiration"}
        for rule in known.get("rules", []):
            if not actions & rule.keys():
                yield Failure(
                    "rules",
                    f"api error InvalidRequest: At least one action needs to be specified in rule {rule.get('id')}",
                )

    def _put(self, client: Any, bucket: str, inputs: Values) -> None:
        rules = [_to_api(rule) for rule in inputs.get("rules", [])]
        client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})

    def _get(self, client: Any, bucket: str) -> Values | None:
        rules = client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
        return {"rules": [_from_api(rule) for rule in rules], "transitionDefaultMinimumObjectSize": _DEFAULT_SIZE}

    def _delete(self, client: Any, bucket: str, state: Values) -> None:
        client.delete_bucket_lifecycle(Bucket=bucket)


def _to_api(rule: Values) -> dict[str, Any]:
    written: dict[str, Any] = {
        "ID": rule["id"],
        "Status": rule["status"],
        "Filter": {"Prefix": rule.get("filter", {}).get("prefix", "")},
    }
    for key, (member, names) in _ACTIONS.items():
        if rule.get(key):
            written[member] = {names[name]: value for name, value in rule[key].items()}
    return written


def _from_api(rule: Any) -> Values:
    prefix = rule.get("Filter", {}).get("Prefix", rule.get("Prefix", ""))
    read: Values = {"id": rule["ID"], "status": rule["Status"], "filter": {"prefix": prefix}}
    for key, (member, names) in _ACTIONS.items():
        if rule.get(member):
            read[key] = {name: rule[member][api] for name, api in names.items() if api in rule[member]}
    return read


_ACTIONS: Final[dict[str, tuple[str, dict[str, str]]]] = {
    "abortIncompleteMultipartUpload": (
        "AbortIncompleteMultipartUpload",
        {"daysAfterInitiation": "DaysAfterInitiation"},
    ),
    "expiration": ("Expiration", {"days": "Days", "expiredObjectDeleteMarker": "ExpiredObjectDeleteMarker"}),
    "noncurrentVersionExpiration": (
        "NoncurrentVersionExpiration",
        {"newerNoncurrentVersions": "NewerNoncurrentVersions", "noncurrentDays": "NoncurrentDays"},
    ),
}

DRIVERS: Final = (BucketLifecycleConfiguration,)
