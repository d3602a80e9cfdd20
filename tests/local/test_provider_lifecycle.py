"""Every type that needs little beside itself: made, read, imported, and seen without change."""

import json

import pytest

from local.resources.values import Archive, Asset, Values
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
    providing: Providing, kind: str, inputs: Values, written_only: tuple[str, ...]
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
        "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": {
            "rules": [
                {"id": "old", "status": "Enabled", "noncurrentVersionExpiration": {"noncurrentDays": 30}},
                {
                    "id": "unfinished",
                    "status": "Enabled",
                    "filter": {"prefix": ""},
                    "abortIncompleteMultipartUpload": {"daysAfterInitiation": 1},
                },
            ]
        },
        "aws:s3/bucketCorsConfiguration:BucketCorsConfiguration": {
            "corsRules": [{"allowedMethods": ["PUT", "GET"], "allowedOrigins": ["*"], "maxAgeSeconds": 300}]
        },
    }.items(),
)
def test_a_buckets_setting_is_read_as_it_was_made_and_imported_without_a_change(
    providing: Providing, kind: str, settings: Values
):
    providing.client("s3").create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    made = lifecycle(providing, kind, {"bucket": "bucket", **settings})
    providing.delete(made)


def network(providing: Providing) -> tuple[str, list[str]]:
    ec2 = providing.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    blocks = (("10.0.1.0/24", "us-west-2a"), ("10.0.2.0/24", "us-west-2b"))
    return vpc, [
        ec2.create_subnet(VpcId=vpc, CidrBlock=block, AvailabilityZone=zone)["Subnet"]["SubnetId"]
        for block, zone in blocks
    ]


def test_a_topic_its_policy_and_its_subscriber_are_read_as_they_were_made(providing: Providing):
    topic = lifecycle(providing, "aws:sns/topic:Topic", {"name": "t", "tags": TAGS})
    statement = {"Effect": "Allow", "Principal": {"Service": "cloudwatch.amazonaws.com"}, "Action": "sns:Publish"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [{**statement, "Resource": topic.id}]})
    allowed = lifecycle(providing, "aws:sns/topicPolicy:TopicPolicy", {"arn": topic.id, "policy": policy})
    subscriber = lifecycle(
        providing,
        "aws:sns/topicSubscription:TopicSubscription",
        {"topic": topic.id, "protocol": "email", "endpoint": "someone@example.org"},
        not_imported=("confirmationTimeoutInMinutes", "endpointAutoConfirms"),
    )
    for made in (subscriber, allowed, topic):
        providing.delete(made)
    assert providing.read(topic) is None
    assert providing.read(subscriber) is None


def test_security_groups_and_rules_are_read_as_they_were_made(providing: Providing):
    vpc, _ = network(providing)
    kind = "aws:ec2/securityGroup:SecurityGroup"
    group = lifecycle(providing, kind, {"name": "g", "description": "d", "vpcId": vpc, "tags": TAGS})
    other = lifecycle(providing, kind, {"name": "h", "vpcId": vpc})
    permissions = providing.client("ec2").describe_security_groups(GroupIds=[group.id])["SecurityGroups"][0]
    assert permissions["IpPermissionsEgress"] == []
    port = {"ipProtocol": "tcp", "fromPort": 5432, "toPort": 5432, "securityGroupId": group.id}
    ingress = lifecycle(
        providing,
        "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
        {**port, "referencedSecurityGroupId": other.id, "description": "clients"},
        not_imported=("description",),
    )
    egress = lifecycle(
        providing,
        "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
        {**port, "cidrIpv4": "0.0.0.0/0", "tags": TAGS},
    )
    for made in (ingress, egress, group, other):
        providing.delete(made)
        assert providing.read(made) is None


def test_an_http_api_is_read_as_it_was_made(providing: Providing):
    api = lifecycle(
        providing,
        "aws:apigatewayv2/api:Api",
        {"name": "a", "protocolType": "HTTP", "corsConfiguration": {"allowOrigins": ["*"]}, "tags": TAGS},
    )
    assert api.outputs["executionArn"] == f"arn:aws:execute-api:us-west-2:123456789012:{api.id}"
    arn = "arn:aws:lambda:us-west-2:123456789012:function:f"
    integration = lifecycle(
        providing,
        "aws:apigatewayv2/integration:Integration",
        {
            "apiId": api.id,
            "integrationType": "AWS_PROXY",
            "integrationUri": arn,
            "integrationMethod": "POST",
            "payloadFormatVersion": "2.0",
            "timeoutMilliseconds": 29_000,
        },
        imported_under=api.id,
    )
    route = lifecycle(
        providing,
        "aws:apigatewayv2/route:Route",
        {"apiId": api.id, "routeKey": "$default", "target": f"integrations/{integration.id}"},
        imported_under=api.id,
    )
    stage = lifecycle(
        providing,
        "aws:apigatewayv2/stage:Stage",
        {
            "apiId": api.id,
            "name": "$default",
            "autoDeploy": True,
            "defaultRouteSettings": {"throttlingBurstLimit": 20, "throttlingRateLimit": 10},
            "accessLogSettings": {"destinationArn": "arn:aws:logs:us-west-2:123456789012:log-group:l", "format": "{}"},
        },
        imported_under=api.id,
    )
    assert stage.outputs["invokeUrl"] == f"https://{api.id}.execute-api.us-west-2.amazonaws.com/"
    for made in (stage, route, integration, api):
        providing.delete(made)
        assert providing.read(made) is None
        providing.delete(made)


def test_a_database_group_is_read_as_it_was_made(providing: Providing):
    _, subnets = network(providing)
    subnet_group = {"name": "s", "subnetIds": subnets, "tags": TAGS}
    parameters = [{"name": "rds.force_ssl", "value": "1"}]
    for made in (
        lifecycle(providing, "aws:rds/subnetGroup:SubnetGroup", subnet_group),
        lifecycle(
            providing,
            "aws:rds/parameterGroup:ParameterGroup",
            {"name": "p", "family": "postgres16", "parameters": parameters},
            not_imported=("skipDestroy",),
        ),
    ):
        providing.delete(made)
        assert providing.read(made) is None


def test_an_attachment_a_rule_s_target_and_a_permission_are_read_as_they_were_made(providing: Providing):
    role = providing.role("r")
    arn = providing.client("iam").create_policy(PolicyName="p", PolicyDocument=POLICY)["Policy"]["Arn"]
    providing.client("events").put_rule(Name="rule", ScheduleExpression="rate(1 hour)")
    function = providing.create(
        "aws:lambda/function:Function",
        {"name": "f", "role": role, "code": CODE, "handler": "app.handler", "runtime": "python3.13"},
    )
    made = [
        lifecycle(providing, "aws:iam/rolePolicyAttachment:RolePolicyAttachment", {"role": "r", "policyArn": arn}),
        lifecycle(
            providing,
            "aws:cloudwatch/eventTarget:EventTarget",
            {"rule": "rule", "targetId": "one", "arn": function.outputs["arn"], "input": '{"a": 1}'},
            imported_by="default/rule/one",
            not_imported=("forceDestroy",),
        ),
        lifecycle(
            providing,
            "aws:lambda/permission:Permission",
            {
                "function": "f",
                "statementId": "s",
                "action": "lambda:InvokeFunction",
                "principal": "events.amazonaws.com",
                "sourceArn": "arn:aws:events:us-west-2:123456789012:rule/rule",
            },
            imported_by="f/s",
        ),
    ]
    for item in made:
        providing.delete(item)
        assert providing.read(item) is None
        providing.delete(item)


def test_a_queue_s_policy_and_a_mapping_are_read_as_they_were_made(providing: Providing):
    url = providing.client("sqs").create_queue(QueueName="q", Attributes={"VisibilityTimeout": "360"})["QueueUrl"]
    arn = "arn:aws:sqs:us-west-2:123456789012:q"
    providing.create(
        "aws:lambda/function:Function",
        {"name": "f", "role": providing.role("f"), "code": CODE, "handler": "app.handler", "runtime": "python3.13"},
    )
    statement = {"Effect": "Deny", "Principal": "*", "Action": "sqs:*", "Resource": arn}
    made = [
        lifecycle(
            providing,
            "aws:sqs/queuePolicy:QueuePolicy",
            {"queueUrl": url, "policy": json.dumps({"Version": "2012-10-17", "Statement": [statement]})},
        ),
        lifecycle(
            providing,
            "aws:lambda/eventSourceMapping:EventSourceMapping",
            {
                "eventSourceArn": arn,
                "functionName": "f",
                "batchSize": 1,
                "functionResponseTypes": ["ReportBatchItemFailures"],
                "scalingConfig": {"maximumConcurrency": 2},
                "tags": TAGS,
            },
        ),
    ]
    for item in made:
        providing.delete(item)
        assert providing.read(item) is None
        providing.delete(item)


def test_a_secret_s_value_is_read_as_it_was_written_and_is_always_secret(providing: Providing):
    secret = providing.create("aws:secretsmanager/secret:Secret", {"name": "s"})
    inputs = {"secretId": secret.id, "secretString": '{"host": "h"}'}
    version = lifecycle(providing, "aws:secretsmanager/secretVersion:SecretVersion", inputs)
    assert "secretString" in version.secrets
    assert version.id == f"{secret.id}|{version.outputs['versionId']}"
    providing.delete(version)


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
        not_imported=("skipFinalSnapshot", "finalSnapshotIdentifier", "manageMasterUserPassword"),
    )
    assert made.outputs["masterUserSecrets"][0]["secretStatus"] == "active"
    assert made.outputs["endpoint"] == f"{made.outputs['address']}:{made.outputs['port']}"
