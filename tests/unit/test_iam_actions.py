"""Which permissions each call needs; each row names the page of AWS's reference that says so."""

import pytest

from local import iam_actions, iam_s3
from local.iam_actions import REFERENCE, Call, NotModelledError
from local.iam_s3 import S3Request

ARN = "arn:aws:{}:us-west-2:123456789012:{}".format
URL = "http://127.0.0.1:1/123456789012/jobs"
QUEUE = ARN("sqs", "jobs")
SECRET = ARN("secretsmanager", "secret:app/database-AbCdEf")
FUNCTION = ARN("lambda", "function:worker")
STREAMS = ARN("logs", "log-group:/aws/lambda/worker:log-stream:")

CALLS = [
    ("sqs", "SendMessage", {"QueueUrl": URL}, {"sqs:SendMessage": QUEUE}),
    ("sqs", "SendMessageBatch", {"QueueUrl": URL}, {"sqs:SendMessage": QUEUE}),
    ("sqs", "DeleteMessageBatch", {"QueueUrl": URL}, {"sqs:DeleteMessage": QUEUE}),
    ("sqs", "ChangeMessageVisibilityBatch", {"QueueUrl": URL}, {"sqs:ChangeMessageVisibility": QUEUE}),
    ("sqs", "GetQueueUrl", {"QueueName": "jobs"}, {"sqs:GetQueueUrl": QUEUE}),
    ("sqs", "ReceiveMessage", {"QueueUrl": URL}, {"sqs:ReceiveMessage": QUEUE}),
    ("sqs", "ListQueues", {}, {"sqs:ListQueues": "*"}),
    ("lambda", "Invoke", {"FunctionName": "worker"}, {"lambda:InvokeFunction": FUNCTION}),
    ("lambda", "Invoke", {"FunctionName": FUNCTION}, {"lambda:InvokeFunction": FUNCTION}),
    ("lambda", "Invoke", {"FunctionName": "123456789012:function:worker"}, {"lambda:InvokeFunction": FUNCTION}),
    ("lambda", "Invoke", {"FunctionName": "worker", "Qualifier": "7"}, {"lambda:InvokeFunction": FUNCTION + ":7"}),
    ("lambda", "GetFunctionConfiguration", {"FunctionName": "worker"}, {"lambda:GetFunctionConfiguration": FUNCTION}),
    ("lambda", "ListFunctions", {}, {"lambda:ListFunctions": "*"}),
    ("secretsmanager", "GetSecretValue", {"SecretId": "app/database"}, {"secretsmanager:GetSecretValue": SECRET}),
    ("secretsmanager", "GetSecretValue", {"SecretId": SECRET}, {"secretsmanager:GetSecretValue": SECRET}),
    ("secretsmanager", "GetSecretValue", {"SecretId": SECRET[:-7]}, {"secretsmanager:GetSecretValue": SECRET}),
    (
        "secretsmanager",
        "GetSecretValue",
        {"SecretId": "none"},
        {"secretsmanager:GetSecretValue": ARN("secretsmanager", "secret:none")},
    ),
    ("rds", "DescribeDBInstances", {"DBInstanceIdentifier": "db1"}, {"rds:DescribeDBInstances": ARN("rds", "db:db1")}),
    ("rds", "DescribeDBInstances", {}, {"rds:DescribeDBInstances": ARN("rds", "db:*")}),
    (
        "logs",
        "PutLogEvents",
        {"logGroupName": "/aws/lambda/worker", "logStreamName": "s"},
        {"logs:PutLogEvents": STREAMS + "s"},
    ),
    (
        "logs",
        "CreateLogStream",
        {"logGroupName": "/aws/lambda/worker", "logStreamName": "s"},
        {"logs:CreateLogStream": STREAMS + "s"},
    ),
    ("logs", "FilterLogEvents", {"logGroupName": "/aws/lambda/worker"}, {"logs:FilterLogEvents": STREAMS}),
    ("cloudwatch", "PutMetricData", {"Namespace": "worker"}, {"cloudwatch:PutMetricData": "*"}),
    ("cloudwatch", "DescribeAlarms", {}, {"cloudwatch:DescribeAlarms": ARN("cloudwatch", "alarm:*")}),
    ("sns", "Publish", {"TopicArn": ARN("sns", "alarms")}, {"sns:Publish": ARN("sns", "alarms")}),
    ("sns", "PublishBatch", {"TopicArn": ARN("sns", "alarms")}, {"sns:Publish": ARN("sns", "alarms")}),
    (
        "events",
        "PutEvents",
        {"Entries": [{}, {"EventBusName": "default"}]},
        {"events:PutEvents": ARN("events", "event-bus/default")},
    ),
    ("kms", "Decrypt", {"KeyId": "k1"}, {"kms:Decrypt": ARN("kms", "key/k1")}),
    ("xray", "PutTraceSegments", {}, {"xray:PutTraceSegments": "*"}),
    ("sts", "GetCallerIdentity", {}, {}),
]


def call(service, operation, parameters):
    known = {"app/database": SECRET, SECRET[:-7]: SECRET, SECRET: SECRET}
    return Call(service, operation, parameters, "123456789012", "us-west-2", known.get)


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "needed"),
    CALLS,
    ids=[f"{c[0]}:{c[1]}-{i} ({REFERENCE[c[0]].rsplit('/', 1)[-1]})" for i, c in enumerate(CALLS)],
)
def test_a_call_needs_exactly_the_permissions_of_the_reference(service, operation, parameters, needed):
    assert {n.action: n.resource for n in iam_actions.needs(call(service, operation, parameters))} == needed


def test_moving_messages_back_needs_all_that_the_task_does():
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/
    # sqs-configure-dead-letter-queue-redrive.html
    dead, target = QUEUE + "-dlq", QUEUE
    needed = iam_actions.needs(call("sqs", "StartMessageMoveTask", {"SourceArn": dead, "DestinationArn": target}))
    assert {(n.action, n.resource) for n in needed} == {
        ("sqs:StartMessageMoveTask", dead),
        ("sqs:ReceiveMessage", dead),
        ("sqs:DeleteMessage", dead),
        ("sqs:GetQueueAttributes", dead),
        ("sqs:SendMessage", target),
    }


def test_metrics_carry_their_namespace():
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/iam-cw-condition-keys-namespace.html
    (need,) = iam_actions.needs(call("cloudwatch", "PutMetricData", {"Namespace": "worker"}))
    assert need.context == {"cloudwatch:namespace": "worker"}


@pytest.mark.parametrize(
    ("given", "context"),
    [
        ({"ManageMasterUserPassword": True}, {"rds:managemasteruserpassword": "true"}),
        ({"ManageMasterUserPassword": False}, {"rds:managemasteruserpassword": "false"}),
        ({"MasterUserPassword": "x"}, {}),
    ],
)
def test_the_managed_passwords_key_is_there_when_the_parameter_is(given, context):
    # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-secrets-manager.html
    (need,) = iam_actions.needs(call("rds", "ModifyDBInstance", {"DBInstanceIdentifier": "db1"} | given))
    assert need.context == context


@pytest.mark.parametrize(("service", "operation"), [("sqs", "Fly"), ("dynamodb", "GetItem"), ("apigateway", "GetApis")])
def test_an_operation_that_is_not_modelled_is_refused_by_name(service, operation):
    with pytest.raises(NotModelledError, match=f"{service}:{operation} is not modelled"):
        iam_actions.needs(call(service, operation, {}))


BUCKET = "arn:aws:s3:::pictures"
OBJECT = BUCKET + "/books/1 a.png"
KEY = "books/1 a.png"
REQUESTS = [
    ("GET", KEY, {}, {}, {"s3:GetObject": OBJECT}),
    ("GET", KEY, {"x-id": "GetObject"}, {}, {"s3:GetObject": OBJECT}),
    ("HEAD", KEY, {}, {}, {"s3:GetObject": OBJECT}),
    ("GET", KEY, {"versionId": "1"}, {}, {"s3:GetObjectVersion": OBJECT}),
    ("HEAD", KEY, {"versionId": "1"}, {}, {"s3:GetObjectVersion": OBJECT}),
    ("GET", KEY, {"tagging": ""}, {}, {"s3:GetObjectTagging": OBJECT}),
    ("GET", KEY, {"tagging": "", "versionId": "1"}, {}, {"s3:GetObjectVersionTagging": OBJECT}),
    ("GET", KEY, {"acl": ""}, {}, {"s3:GetObjectAcl": OBJECT}),
    ("PUT", KEY, {}, {}, {"s3:PutObject": OBJECT}),
    ("PUT", KEY, {}, {"x-amz-tagging": "a=b"}, {"s3:PutObject": OBJECT, "s3:PutObjectTagging": OBJECT}),
    ("PUT", KEY, {}, {"x-amz-acl": "private"}, {"s3:PutObject": OBJECT, "s3:PutObjectAcl": OBJECT}),
    (
        "PUT",
        KEY,
        {},
        {"x-amz-copy-source": "/other/k%20k"},
        {"s3:PutObject": OBJECT, "s3:GetObject": "arn:aws:s3:::other/k k"},
    ),
    (
        "PUT",
        KEY,
        {},
        {"x-amz-copy-source": "other/k?versionId=2"},
        {"s3:PutObject": OBJECT, "s3:GetObjectVersion": "arn:aws:s3:::other/k"},
    ),
    ("POST", KEY, {"uploads": ""}, {}, {"s3:PutObject": OBJECT}),
    ("PUT", KEY, {"uploadId": "u", "partNumber": "1"}, {}, {"s3:PutObject": OBJECT}),
    ("POST", KEY, {"uploadId": "u"}, {}, {"s3:PutObject": OBJECT}),
    ("DELETE", KEY, {"uploadId": "u"}, {}, {"s3:AbortMultipartUpload": OBJECT}),
    ("GET", KEY, {"uploadId": "u"}, {}, {"s3:ListMultipartUploadParts": OBJECT}),
    ("DELETE", KEY, {}, {}, {"s3:DeleteObject": OBJECT}),
    ("DELETE", KEY, {"versionId": "1"}, {}, {"s3:DeleteObjectVersion": OBJECT}),
    ("GET", "", {}, {}, {"s3:ListBucket": BUCKET}),
    ("GET", "", {"list-type": "2"}, {}, {"s3:ListBucket": BUCKET}),
    ("HEAD", "", {}, {}, {"s3:ListBucket": BUCKET}),
    ("GET", "", {"versions": ""}, {}, {"s3:ListBucketVersions": BUCKET}),
    ("GET", "", {"location": ""}, {}, {"s3:GetBucketLocation": BUCKET}),
    ("GET", "", {"encryption": ""}, {}, {"s3:GetEncryptionConfiguration": BUCKET}),
    ("PUT", "", {"publicAccessBlock": ""}, {}, {"s3:PutBucketPublicAccessBlock": BUCKET}),
    ("DELETE", "", {"lifecycle": ""}, {}, {"s3:PutLifecycleConfiguration": BUCKET}),
    ("DELETE", "", {"policy": ""}, {}, {"s3:DeleteBucketPolicy": BUCKET}),
    ("PUT", "", {}, {}, {"s3:CreateBucket": BUCKET}),
]


@pytest.mark.parametrize(
    ("method", "key", "query", "headers", "needed"),
    REQUESTS,
    ids=[f"{r[0]}-{i} (list_amazons3.html)" for i, r in enumerate(REQUESTS)],
)
def test_an_s3_request_needs_exactly_the_permissions_of_the_reference(method, key, query, headers, needed):
    found = iam_s3.needs(S3Request(method, "pictures", key, query, headers))
    assert {n.action: n.resource for n in found} == needed


def test_deleting_many_needs_each_objects_own_permission():
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
    request = S3Request("POST", "pictures", "", {"delete": ""}, {}, deleted=(("a", None), ("b", "1")))
    assert [(n.action, n.resource) for n in iam_s3.needs(request)] == [
        ("s3:DeleteObject", BUCKET + "/a"),
        ("s3:DeleteObjectVersion", BUCKET + "/b"),
    ]


def test_a_listing_carries_its_prefix_only_when_it_has_one():
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/amazon-s3-policy-keys.html
    with_prefix = iam_s3.needs(S3Request("GET", "pictures", "", {"prefix": "books/"}, {}))
    assert with_prefix[0].context == {"s3:prefix": "books/"}
    assert iam_s3.needs(S3Request("GET", "pictures", "", {}, {}))[0].context == {}


@pytest.mark.parametrize(
    ("method", "key", "query"),
    [("GET", KEY, {"attributes": ""}), ("GET", "", {"inventory": ""}), ("POST", "", {}), ("PUT", "", {"location": ""})],
)
def test_an_s3_request_that_is_not_modelled_is_refused_by_name(method, key, query):
    with pytest.raises(NotModelledError, match=f"S3 {method} (object|bucket)"):
        iam_s3.needs(S3Request(method, "pictures", key, query, {}))


@pytest.mark.parametrize(
    ("request_", "exists", "asked"),
    [
        (S3Request("GET", "pictures", "k", {}, {}), False, True),
        (S3Request("HEAD", "pictures", "k", {}, {}), False, True),
        (S3Request("GET", "pictures", "k", {}, {}), True, False),
        (S3Request("PUT", "pictures", "k", {}, {}), False, False),
        (S3Request("GET", "pictures", "", {}, {}), False, False),
    ],
)
def test_only_whoever_may_list_learns_that_an_object_is_missing(request_, exists, asked):
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html, Permissions
    need = iam_s3.listing_for_missing(request_, lambda bucket, key: exists)
    assert (need is not None) is asked
