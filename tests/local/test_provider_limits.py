"""What is refused, with AWS's error where it has one, before or instead of a call."""

import json
from typing import Any

import grpc
import pytest

from local.resources.values import Archive, Asset, Values
from local.wire import UNKNOWN
from tests.local.providing import TRUST, Providing

pytest_plugins = ["tests.local.providing"]

QUEUE = "aws:sqs/queue:Queue"
FUNCTION = "aws:lambda/function:Function"
MAPPING = "aws:lambda/eventSourceMapping:EventSourceMapping"
ROLE = "arn:aws:iam::123456789012:role/r"
Q = "arn:aws:sqs:us-west-2:123456789012:q"
CODE = Archive(assets={"app.py": Asset(text="")})
LAMBDA: Values = {"name": "f", "role": ROLE, "code": CODE, "handler": "app.handler", "runtime": "python3.13"}
INSTANCE: Values = {
    "identifier": "db",
    "instanceClass": "db.t4g.micro",
    "engine": "postgres",
    "allocatedStorage": 20,
    "username": "master",
}
ALARM: Values = {
    "name": "a",
    "comparisonOperator": "GreaterThanThreshold",
    "evaluationPeriods": 1,
    "metricName": "m",
    "namespace": "n",
    "period": 60,
    "statistic": "Maximum",
    "threshold": 0,
}


def policy(resource: str = "*", **statement: Any) -> str:
    members = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": resource, **statement}
    return json.dumps({"Version": "2012-10-17", "Statement": [{k: v for k, v in members.items() if v is not None}]})


REFUSED = {
    "misspelt": (QUEUE, {"visibilityTimeoutSecond": 1}, "visibilityTimeoutSecond", "did you mean"),
    "wrong shape": (QUEUE, {"delaySeconds": "soon"}, "delaySeconds", "kind integer"),
    "visibility": (QUEUE, {"visibilityTimeoutSeconds": 43_201}, "visibilityTimeoutSeconds", "0 - 43200"),
    "retention": (QUEUE, {"messageRetentionSeconds": 59}, "messageRetentionSeconds", "60 - 1209600"),
    "wait": (QUEUE, {"receiveWaitTimeSeconds": 21}, "receiveWaitTimeSeconds", "0 - 20"),
    "queue's name": (QUEUE, {"name": "q" * 81}, "name", "does not match"),
    "fifo's name": (QUEUE, {"name": "q", "fifoQueue": True}, "name", ".fifo"),
    "two encryptions": (QUEUE, {"kmsMasterKeyId": "k", "sqsManagedSseEnabled": True}, "kmsMasterKeyId", "conflicts"),
    "receive count": (
        QUEUE,
        {"redrivePolicy": json.dumps({"deadLetterTargetArn": Q, "maxReceiveCount": "5"})},
        "redrivePolicy",
        "must be a number",
    ),
    "redrive permission": (
        "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy",
        {"queueUrl": "u", "redriveAllowPolicy": json.dumps({"redrivePermission": "byQueue"})},
        "redriveAllowPolicy",
        "1 to 10",
    ),
    "other region": (QUEUE, {"name": "q", "region": "eu-west-1"}, "region", "configured for us-west-2"),
    "tag prefix": (QUEUE, {"name": "q", "tags": {"aws:x": "1"}}, "tags", "aws:"),
    "too many tags": (QUEUE, {"name": "q", "tags": {f"k{n}": "" for n in range(51)}}, "tags", "51 tags"),
    "environment's size": (
        FUNCTION,
        {**LAMBDA, "environment": {"variables": {"A": "x" * 4096}}},
        "environment",
        "exceeded the 4KB limit",
    ),
    "reserved variable": (
        FUNCTION,
        {**LAMBDA, "environment": {"variables": {"AWS_REGION": "x"}}},
        "environment",
        "Reserved keys used in this request: AWS_REGION",
    ),
    "timeout": (FUNCTION, {**LAMBDA, "timeout": 901}, "timeout", "1 - 900"),
    "memory": (FUNCTION, {**LAMBDA, "memorySize": 10_241}, "memorySize", "128 - 10240"),
    "two sources": (FUNCTION, {**LAMBDA, "imageUri": "r@sha256:0"}, "imageUri", "conflicts"),
    "no source": (
        FUNCTION,
        {key: value for key, value in LAMBDA.items() if key != "code"},
        "code",
        "must be specified",
    ),
    "no handler": (FUNCTION, {key: value for key, value in LAMBDA.items() if key != "handler"}, "handler", "Zip"),
    "image in a zip": (
        FUNCTION,
        {"name": "f", "role": ROLE, "imageUri": "r@sha256:0", "packageType": "Zip", "handler": "h", "runtime": "r"},
        "packageType",
        "does not go with imageUri",
    ),
    "batch without a window": (
        MAPPING,
        {"eventSourceArn": Q, "functionName": "f", "batchSize": 11},
        "batchSize",
        "Maximum batch window in seconds must be greater than 0",
    ),
    "fifo's batch": (
        MAPPING,
        {
            "eventSourceArn": Q + ".fifo",
            "functionName": "f",
            "batchSize": 11,
            "maximumBatchingWindowInSeconds": 1,
        },
        "batchSize",
        "FIFO",
    ),
    "maximum concurrency": (
        MAPPING,
        {"eventSourceArn": Q, "functionName": "f", "scalingConfig": {"maximumConcurrency": 1}},
        "scalingConfig.maximumConcurrency",
        "2 - 1000",
    ),
    "policy's size": (
        "aws:iam/policy:Policy",
        {"name": "p", "policy": policy("arn:aws:s3:::" + "b" * 6144)},
        "policy",
        "LimitExceeded: Cannot exceed quota for PolicySize: 6144",
    ),
    "trust policy's size": (
        "aws:iam/role:Role",
        {"name": "r", "assumeRolePolicy": policy(None, Sid="s" * 2048)},  # type: ignore[arg-type]
        "assumeRolePolicy",
        "ACLSizePerRole: 2048",
    ),
    "principal in a managed policy": (
        "aws:iam/policy:Policy",
        {"name": "p", "policy": policy(Principal="*")},
        "policy",
        "should not specify a principal",
    ),
    "policy without a resource": (
        "aws:iam/policy:Policy",
        {"name": "p", "policy": policy(Resource=None)},
        "policy",
        "must contain resources",
    ),
    "no JSON": ("aws:iam/policy:Policy", {"name": "p", "policy": "{"}, "policy", "invalid JSON"),
    "role's name": ("aws:iam/role:Role", {"name": "r" * 65, "assumeRolePolicy": TRUST}, "name", "at most 64"),
    "retention of logs": (
        "aws:cloudwatch/logGroup:LogGroup",
        {"name": "l", "retentionInDays": 8},
        "retentionInDays",
        "",
    ),
    "alarm's period": ("aws:cloudwatch/metricAlarm:MetricAlarm", {**ALARM, "period": 45}, "period", "multiple of 60"),
    "alarm over days": (
        "aws:cloudwatch/metricAlarm:MetricAlarm",
        {**ALARM, "evaluationPeriods": 1500},
        "evaluationPeriods",
        "more than a day",
    ),
    "plural of a rate": (
        "aws:cloudwatch/eventRule:EventRule",
        {"name": "r", "scheduleExpression": "rate(1 hours)"},
        "scheduleExpression",
        "not valid",
    ),
    "bucket's name": ("aws:s3/bucket:Bucket", {"bucket": "A_b"}, "bucket", "InvalidBucketName"),
    "managed and given password": (
        "aws:rds/instance:Instance",
        {**INSTANCE, "manageMasterUserPassword": True, "password": "a-long-password"},
        "manageMasterUserPassword",
        "conflicts with password",
    ),
    "short password": (
        "aws:rds/instance:Instance",
        {**INSTANCE, "password": "short"},
        "password",
        "MasterUserPassword is not a valid password",
    ),
    "instance's name": ("aws:rds/instance:Instance", {**INSTANCE, "identifier": "a--b"}, "identifier", "match"),
    "reserved secret": ("aws:secretsmanager/secret:Secret", {"name": "rds!x"}, "name", ""),
    "recovery window": (
        "aws:secretsmanager/secret:Secret",
        {"name": "s", "recoveryWindowInDays": 5},
        "recoveryWindowInDays",
        "7 to 30",
    ),
    "two peers": (
        "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
        {"securityGroupId": "sg-1", "ipProtocol": "-1", "cidrIpv4": "10.0.0.0/8", "referencedSecurityGroupId": "sg-2"},
        "cidrIpv4",
        "exactly one",
    ),
    "network with host bits": (
        "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
        {"securityGroupId": "sg-1", "ipProtocol": "-1", "cidrIpv4": "10.0.0.1/8"},
        "cidrIpv4",
        "host bits",
    ),
    "integration's timeout": (
        "aws:apigatewayv2/integration:Integration",
        {"apiId": "a", "integrationType": "AWS_PROXY", "integrationUri": "u", "timeoutMilliseconds": 30_001},
        "timeoutMilliseconds",
        "50 - 30000",
    ),
    "type without a driver": ("aws:kinesis/stream:Stream", {}, "", "local/resources/"),
}


@pytest.mark.parametrize(("kind", "inputs", "name", "reason"), REFUSED.values(), ids=REFUSED)
def test_check_refuses_by_name(providing: Providing, kind: str, inputs: Values, name: str, reason: str):
    _, failures = providing.check(kind, inputs)
    assert name in failures, failures
    assert reason in failures[name]


def test_a_refused_secret_is_not_said(providing: Providing):
    _, failures = providing.check("aws:rds/instance:Instance", {**INSTANCE, "password": "s3cret"})
    assert failures
    assert "s3cret" not in str(failures)


def test_what_is_not_known_yet_is_not_refused(providing: Providing):
    inputs, failures = providing.check(
        MAPPING,
        {
            "eventSourceArn": UNKNOWN,
            "functionName": UNKNOWN,
            "batchSize": 50,
            "maximumBatchingWindowInSeconds": UNKNOWN,
        },
    )
    assert failures == {}
    assert inputs["functionName"] is UNKNOWN


def test_a_queue_less_visible_than_its_function_takes_is_refused_by_lambda_s_sentence(providing: Providing):
    providing.create(FUNCTION, {**LAMBDA, "role": providing.role("r"), "timeout": 61})
    providing.create(QUEUE, {"name": "q", "visibilityTimeoutSeconds": 60})
    sentence = "Queue visibility timeout: 60 seconds is less than Function timeout: 61 seconds"
    with pytest.raises(grpc.RpcError, match=sentence):
        providing.create(MAPPING, {"eventSourceArn": Q, "functionName": "f"})
    assert providing.client("lambda").list_event_source_mappings()["EventSourceMappings"] == []


def test_an_eleventh_policy_on_a_role_is_refused(providing: Providing):
    providing.role("r")
    client = providing.client("iam")
    arns = [client.create_policy(PolicyName=f"p{n}", PolicyDocument=policy())["Policy"]["Arn"] for n in range(11)]
    for arn in arns[:10]:
        client.attach_role_policy(RoleName="r", PolicyArn=arn)
    with pytest.raises(grpc.RpcError, match="PoliciesPerRole: 10"):
        providing.create("aws:iam/rolePolicyAttachment:RolePolicyAttachment", {"role": "r", "policyArn": arns[10]})


def test_an_instance_without_any_password_is_refused(providing: Providing):
    with pytest.raises(grpc.RpcError, match="MasterUserPassword must be provided"):
        providing.create("aws:rds/instance:Instance", INSTANCE)


def test_more_than_lambda_unpacks_is_refused(providing: Providing, tmp_path):
    with (tmp_path / "large").open("wb") as file:
        file.truncate(262_144_001)  # sparse: it takes no room
    role = providing.role("r")
    with pytest.raises(grpc.RpcError, match="Unzipped size must be smaller than 262144000 bytes"):
        providing.create(FUNCTION, {**LAMBDA, "role": role, "code": Archive(path=str(tmp_path))})


def test_a_function_s_setting_that_the_embedded_lambda_cannot_change_is_refused_and_not_forgotten(providing: Providing):
    made = providing.create(FUNCTION, {**LAMBDA, "role": providing.role("r")})
    wanted = {**made.inputs, "tracingConfig": {"mode": "Active"}}
    with pytest.raises(grpc.RpcError, match="cannot change tracingConfig in place"):
        providing.update(made, wanted)
