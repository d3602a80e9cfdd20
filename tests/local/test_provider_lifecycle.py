"""Every type that needs little beside itself: made, read, imported, and seen without change."""

import json

import pytest

from local.resources.values import Archive, Asset
from tests.local.providing import TRUST, Providing, lifecycle

pytest_plugins = ["tests.local.providing"]

TAGS = {"Environment": "local"}
STATEMENT = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"}
POLICY = json.dumps({"Version": "2012-10-17", "Statement": [STATEMENT]})
CODE = Archive(assets={"app.py": Asset(text="def handler(event, context):\n    return event\n")})

ALONE = {
    "queue": ("aws:sqs/queue:Queue", {"name": "q", "visibilityTimeoutSeconds": 60, "tags": TAGS}, ()),
    "role": ("aws:iam/role:Role", {"name": "r", "assumeRolePolicy": TRUST, "description": "d", "tags": TAGS}, ()),
    "policy": ("aws:iam/policy:Policy", {"name": "p", "policy": POLICY, "tags": TAGS}, ()),
    "log group": ("aws:cloudwatch/logGroup:LogGroup", {"name": "/aws/x", "retentionInDays": 14, "tags": TAGS}, ()),
    "alarm": (
        "aws:cloudwatch/metricAlarm:MetricAlarm",
        {
            "name": "alarm",
            "comparisonOperator": "GreaterThanThreshold",
            "evaluationPeriods": 1,
            "metricName": "ApproximateNumberOfMessagesVisible",
            "namespace": "AWS/SQS",
            "period": 60,
            "statistic": "Maximum",
            "threshold": 0,
            "dimensions": {"QueueName": "q-dlq"},
            "alarmActions": ["arn:aws:sns:us-west-2:123456789012:t"],
            "treatMissingData": "notBreaching",
            "tags": TAGS,
        },
        (),
    ),
    "rule": (
        "aws:cloudwatch/eventRule:EventRule",
        {"name": "rule", "scheduleExpression": "rate(5 minutes)", "description": "d", "tags": TAGS},
        (),
    ),
    "bucket": ("aws:s3/bucket:Bucket", {"bucket": "a-bucket", "forceDestroy": True, "tags": TAGS}, ("forceDestroy",)),
    "secret": (
        "aws:secretsmanager/secret:Secret",
        {"name": "prefix/secret", "description": "d", "recoveryWindowInDays": 7, "tags": TAGS},
        ("recoveryWindowInDays", "forceOverwriteReplicaSecret"),
    ),
}


@pytest.mark.parametrize(("kind", "inputs", "written_only"), ALONE.values(), ids=ALONE)
def test_a_resource_is_read_as_it_was_made_and_imported_without_a_change(
    providing: Providing, kind: str, inputs: dict, written_only: tuple[str, ...]
):
    made = lifecycle(providing, kind, inputs, not_imported=written_only)
    providing.delete(made)
    assert providing.read(made) is None
    providing.delete(made)


@pytest.mark.parametrize(
    ("kind", "settings"),
    {
        "aws:s3/bucketVersioning:BucketVersioning": {"versioningConfiguration": {"status": "Enabled"}},
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": {"blockPublicAcls": True, "blockPublicPolicy": True},
        "aws:s3/bucketPolicy:BucketPolicy": {
            "policy": json.dumps({"Version": "2012-10-17", "Statement": [{**STATEMENT, "Principal": "*"}]})
        },
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": {
            "rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}, "bucketKeyEnabled": True}]
        },
        "aws:s3/bucketOwnershipControls:BucketOwnershipControls": {"rule": {"objectOwnership": "BucketOwnerEnforced"}},
        "aws:s3/bucketCorsConfiguration:BucketCorsConfiguration": {
            "corsRules": [{"allowedMethods": ["PUT", "GET"], "allowedOrigins": ["*"], "maxAgeSeconds": 300}]
        },
    }.items(),
)
def test_a_buckets_setting_is_read_as_it_was_made_and_imported_without_a_change(
    providing: Providing, kind: str, settings: dict
):
    providing.client("s3").create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    made = lifecycle(providing, kind, {"bucket": "bucket", **settings})
    providing.delete(made)


def test_a_zipped_function_is_read_as_it_was_made(providing: Providing):
    inputs = {
        "name": "f",
        "role": providing.role("f"),
        "code": CODE,
        "handler": "app.handler",
        "runtime": "python3.13",
        "timeout": 60,
        "memorySize": 256,
        "environment": {"variables": {"A": "1"}},
        "reservedConcurrentExecutions": 5,
        "tracingConfig": {"mode": "Active"},
        "tags": TAGS,
    }
    made = lifecycle(providing, "aws:lambda/function:Function", inputs, not_imported=("publish", "skipDestroy"))
    assert made.outputs["invokeArn"].endswith(":function:f/invocations")
    assert made.outputs["qualifiedArn"] == made.outputs["arn"] + ":$LATEST"


def test_an_instance_is_read_as_it_was_made(providing: Providing):
    inputs = {
        "identifier": "db",
        "instanceClass": "db.t4g.micro",
        "engine": "postgres",
        "engineVersion": "16",
        "allocatedStorage": 20,
        "username": "master",
        "dbName": "books",
        "manageMasterUserPassword": True,
        "storageEncrypted": True,
        "deletionProtection": True,
        "finalSnapshotIdentifier": "db-final",
        "tags": TAGS,
    }
    made = lifecycle(
        providing,
        "aws:rds/instance:Instance",
        inputs,
        imported_by="db",
        not_imported=("deleteAutomatedBackups", "skipFinalSnapshot", "finalSnapshotIdentifier"),
    )
    assert made.outputs["masterUserSecrets"][0]["secretStatus"] == "active"
    assert made.outputs["endpoint"] == f"{made.outputs['address']}:{made.outputs['port']}"
