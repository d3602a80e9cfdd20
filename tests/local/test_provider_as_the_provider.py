"""What is a difference and what is none, and what is refused: each as in terraform-provider-aws and pulumi-aws.

The provider's file and function stand at each row; paths are inside its repository.
"""

import json
import re

import grpc
import pytest

from local.resources import DRIVERS
from local.resources.driver import Aws
from local.resources.values import Archive, Asset, Values
from local.wire import UNKNOWN
from tests.local.providing import DATABASE, TRUST, Providing

pytest_plugins = ["tests.local.providing"]

INSTANCE = "aws:rds/instance:Instance"
PARAMETERS = "aws:rds/parameterGroup:ParameterGroup"
SUBSCRIPTION = "aws:sns/topicSubscription:TopicSubscription"
FUNCTION = "aws:lambda/function:Function"
PERMISSION = "aws:lambda/permission:Permission"
MAPPING = "aws:lambda/eventSourceMapping:EventSourceMapping"
INVOCATION = "aws:lambda/invocation:Invocation"
LIFECYCLE = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
CORS = "aws:s3/bucketCorsConfiguration:BucketCorsConfiguration"
VERSIONING = "aws:s3/bucketVersioning:BucketVersioning"
BUCKET = "aws:s3/bucket:Bucket"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
API = "aws:apigatewayv2/api:Api"
INTEGRATION = "aws:apigatewayv2/integration:Integration"
ROUTE = "aws:apigatewayv2/route:Route"
STAGE = "aws:apigatewayv2/stage:Stage"
RULE = "aws:cloudwatch/eventRule:EventRule"
TARGET = "aws:cloudwatch/eventTarget:EventTarget"
ROLE = "aws:iam/role:Role"
QUEUE = "aws:sqs/queue:Queue"
ALIAS = "aws:kms/alias:Alias"
KEY = "aws:kms/key:Key"
GROUP = "aws:ec2/securityGroup:SecurityGroup"
TOPIC = "aws:sns/topic:Topic"
LOGS = "aws:cloudwatch/logGroup:LogGroup"
SECRET = "aws:secretsmanager/secret:Secret"
VERSION = "aws:secretsmanager/secretVersion:SecretVersion"
TOPIC_ARN = "arn:aws:sns:us-west-2:123456789012:t"
QUEUE_ARN = "arn:aws:sqs:us-west-2:123456789012:q"
ONE = {"app.py": Asset(text="1")}
CODE: Values = {
    "role": "arn:aws:iam::123456789012:role/r",
    "runtime": "python3.13",
    "handler": "app.handler",
    "code": Archive(assets=ONE),
}
PERMITTED: Values = {"action": "lambda:InvokeFunction", "function": "f", "principal": "events.amazonaws.com"}
INTEGRATED: Values = {"apiId": "a", "integrationType": "AWS_PROXY", "integrationUri": "u"}
ORIGIN: Values = {"allowedMethods": ["GET"], "allowedOrigins": ["*"]}
HOURLY: Values = {"scheduleExpression": "rate(1 hour)"}
MEASURED: Values = {
    "comparisonOperator": "GreaterThanThreshold",
    "evaluationPeriods": 1,
    "metricName": "m",
    "namespace": "n",
    "period": 60,
    "statistic": "Sum",
    "threshold": 1,
}
MANAGED: Values = {**DATABASE, "manageMasterUserPassword": True}


def test_an_instance_is_renamed_in_place_and_keeps_its_id(providing: Providing):
    # rds/instance.go resourceInstanceUpdate: NewDBInstanceIdentifier; not force new since v5
    made = providing.create(INSTANCE, MANAGED)
    renamed = {**MANAGED, "identifier": "other"}
    assert providing.diff(made, renamed).detailed == {"identifier": "UPDATE"}
    updated = providing.update(made, renamed)
    assert updated.outputs["identifier"] == "other"
    assert updated.outputs["resourceId"] == made.id
    again = providing.read(updated)
    assert again is not None
    assert again.outputs == updated.outputs
    providing.delete(updated)
    assert providing.client("rds").describe_db_instances()["DBInstances"] == []


def test_two_instances_have_two_ids(providing: Providing):
    made = [providing.create(INSTANCE, {**MANAGED, "identifier": name}, name=name).id for name in ("one", "two")]
    assert made[0] != made[1]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        # rds/instance.go, StateFunc and DiffSuppressFunc of the property
        ({"engine": "postgres"}, {"engine": "Postgres"}),
        ({"maintenanceWindow": "mon:03:00-mon:04:00"}, {"maintenanceWindow": "Mon:03:00-Mon:04:00"}),
        ({"allocatedStorage": 40, "maxAllocatedStorage": 100}, {"allocatedStorage": 20, "maxAllocatedStorage": 100}),
        ({}, {"maxAllocatedStorage": 20}),
    ],
)
def test_what_the_provider_suppresses_of_an_instance_is_no_difference(providing: Providing, before, after):
    made = providing.create(INSTANCE, {**MANAGED, **before})
    assert providing.diff(made, {**MANAGED, **after}).detailed == {}


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        # rds/instance.go: allocated_storage grows by itself only under a limit above what is asked for
        ({"allocatedStorage": 40}, {"allocatedStorage": 20}, {"allocatedStorage"}),
        # rds/engine_version.go compareActualEngineVersion: the text in state is the configured one
        ({"engineVersion": "16"}, {"engineVersion": "16.4"}, {"engineVersion"}),
    ],
)
def test_what_the_provider_does_not_suppress_of_an_instance_is_one(providing: Providing, before, after, changed):
    made = providing.create(INSTANCE, {**MANAGED, **before})
    assert providing.diff(made, {**MANAGED, **after}).detailed.keys() == changed


def test_a_password_handed_over_behind_the_program_is_no_difference_and_stays_rds_s(providing: Providing):
    # rds/instance.go resourceInstanceRead: manage_master_user_password is never read back
    adopted = {**DATABASE, "password": "first-password"}
    made = providing.create(INSTANCE, adopted)
    rds = providing.client("rds")
    rds.modify_db_instance(DBInstanceIdentifier="db", ManageMasterUserPassword=True, ApplyImmediately=True)
    found = providing.imported(INSTANCE, made.id)
    assert found is not None
    assert "manageMasterUserPassword" not in found.outputs
    assert found.outputs["masterUserSecrets"]
    assert providing.diff(found, DATABASE).detailed == {}
    changed = providing.update(found, {**DATABASE, "copyTagsToSnapshot": True})
    assert changed.outputs["masterUserSecrets"]


PARAMETER: Values = {"name": "log_statement", "value": "ddl", "applyMethod": "immediate"}


@pytest.mark.parametrize(
    ("after", "same"),
    [
        # pulumi-aws pkg/rds/parameter_group.go; rds/parameter_group.go resourceParameterHash
        ({"applyMethod": "pending-reboot"}, True),
        ({"name": "Log_Statement"}, True),
        ({"value": "all"}, False),
        ({"name": "log_duration"}, False),
    ],
)
def test_parameters_are_compared_by_name_and_value(providing: Providing, after: Values, same: bool):
    group = {"name": "p", "family": "postgres16"}
    made = providing.create(PARAMETERS, {**group, "parameters": [PARAMETER]})
    assert providing.diff(made, {**group, "parameters": [PARAMETER | after]}).changed is not same


def test_a_parameter_no_longer_given_is_reset_after_the_others_are_set(providing: Providing):
    # rds/parameter_group.go resourceParameterGroupUpdate
    group = {"name": "p", "family": "postgres16"}
    other = {"name": "log_duration", "value": "1", "applyMethod": "pending-reboot"}
    made = providing.create(PARAMETERS, {**group, "parameters": [PARAMETER, other]})
    updated = providing.update(made, {**group, "parameters": [PARAMETER | {"value": "all"}]})
    assert updated.outputs["parameters"] == [PARAMETER | {"value": "all"}]
    rds = providing.client("rds")
    (told,) = rds.describe_db_parameters(DBParameterGroupName="p", Source="user")["Parameters"]
    assert (told["ParameterName"], told["Source"]) == ("log_statement", "user")
    assert rds.describe_db_parameters(DBParameterGroupName="p", Source="system")["Parameters"] == []


@pytest.mark.parametrize(
    ("kind", "inputs", "property_"),
    [
        # schema's ConflictsWith counts what is given, false and empty too
        (INSTANCE, {**DATABASE, "manageMasterUserPassword": False, "password": "a-password"}, "password"),
        ("aws:sqs/queue:Queue", {"name": "q", "sqsManagedSseEnabled": False, "kmsMasterKeyId": "k"}, "kmsMasterKeyId"),
        (
            "aws:secretsmanager/secretVersion:SecretVersion",
            {"secretId": "s", "secretString": "", "secretBinary": "YQ=="},
            "secretBinary",
        ),
        # rds/instance.go, secretsmanager/secret_version.go: RequiredWith
        (INSTANCE, {**DATABASE, "passwordWo": "a-password"}, "passwordWo"),
        (INSTANCE, {**MANAGED, "passwordWoVersion": 1}, "passwordWoVersion"),
        (
            "aws:secretsmanager/secretVersion:SecretVersion",
            {"secretId": "s", "secretStringWo": "a"},
            "secretStringWo",
        ),
        # rds/instance.go and rds/validate.go
        (INSTANCE, {**MANAGED, "enabledCloudwatchLogsExports": ["everything"]}, "enabledCloudwatchLogsExports[0]"),
        (INSTANCE, {**MANAGED, "backupWindow": "24:00-99:99"}, "backupWindow"),
        (INSTANCE, {**MANAGED, "maintenanceWindow": "monday"}, "maintenanceWindow"),
        (INSTANCE, {**MANAGED, "monitoringRoleArn": "role"}, "monitoringRoleArn"),
        (INSTANCE, {**MANAGED, "kmsKeyId": "alias/key"}, "kmsKeyId"),
        (INSTANCE, {**MANAGED, "masterUserSecretKmsKeyId": "no key"}, "masterUserSecretKmsKeyId"),
        (INSTANCE, {**MANAGED, "dbName": "größe"}, "dbName"),
        # sns/topic_subscription.go CustomizeDiff
        (
            SUBSCRIPTION,
            {"topic": TOPIC_ARN, "protocol": "sqs", "endpoint": QUEUE_ARN, "filterPolicyScope": "MessageBody"},
            "filterPolicyScope",
        ),
        # lambda/function.go, lambda/validate.go
        (FUNCTION, {**CODE, "architectures": ["sparc"]}, "architectures[0]"),
        (FUNCTION, {**CODE, "runtime": "cobol"}, "runtime"),
        (FUNCTION, {**CODE, "layers": ["layer"]}, "layers[0]"),
        (FUNCTION, {**CODE, "kmsKeyArn": "key"}, "kmsKeyArn"),
        (FUNCTION, {**CODE, "handler": ""}, "handler"),
        (FUNCTION, {**CODE, "s3ObjectVersion": "1"}, "s3ObjectVersion"),
        (FUNCTION, {**CODE, "loggingConfig": {"logFormat": "Text", "logGroup": "a b"}}, "loggingConfig.logGroup"),
        # lambda/permission.go
        (PERMISSION, {**PERMITTED, "function": "a b"}, "function"),
        (PERMISSION, {**PERMITTED, "qualifier": "a b"}, "qualifier"),
        (PERMISSION, {**PERMITTED, "eventSourceToken": "a b"}, "eventSourceToken"),
        # lambda/invocation.go
        (INVOCATION, {"functionName": "f", "input": "{"}, "input"),
        # s3/bucket_lifecycle_configuration.go, s3/bucket_cors_configuration.go
        (LIFECYCLE, {"bucket": "a-bucket"}, "rules"),
        (LIFECYCLE, {"bucket": "a-bucket", "rules": []}, "rules"),
        (
            LIFECYCLE,
            {"bucket": "a-bucket", "rules": [{"id": "r", "status": "Enabled", "noncurrentVersionExpiration": {}}]},
            "rules[0].noncurrentVersionExpiration.noncurrentDays",
        ),
        (CORS, {"bucket": "b" * 64, "corsRules": [ORIGIN]}, "bucket"),
        (CORS, {"bucket": "a-bucket", "expectedBucketOwner": "me", "corsRules": [ORIGIN]}, "expectedBucketOwner"),
        (CORS, {"bucket": "a-bucket", "corsRules": [{**ORIGIN, "id": "i" * 256}]}, "corsRules[0].id"),
        # cloudwatch/metric_alarm.go
        (ALARM, {**MEASURED, "alarmActions": ["somebody"]}, "alarmActions[0]"),
        (ALARM, {**MEASURED, "unit": "Furlongs"}, "unit"),
        (ALARM, {**MEASURED, "extendedStatistic": "median"}, "extendedStatistic"),
        # ec2/vpc_security_group_ingress_rule.go
        (INGRESS, {"securityGroupId": "sg-1", "ipProtocol": "-1", "cidrIpv4": "::/0"}, "cidrIpv4"),
        (INGRESS, {"securityGroupId": "sg-1", "ipProtocol": "-1", "cidrIpv6": "10.0.0.0/8"}, "cidrIpv6"),
        # apigatewayv2/api.go, stage.go, route.go, integration.go
        (API, {"protocolType": "HTTP", "apiKeySelectionExpression": "$request.body"}, "apiKeySelectionExpression"),
        (API, {"protocolType": "HTTP", "version": ""}, "version"),
        (
            STAGE,
            {"apiId": "a", "accessLogSettings": {"destinationArn": "logs", "format": "f"}},
            "accessLogSettings.destinationArn",
        ),
        (ROUTE, {"apiId": "a", "routeKey": "GET /", "operationName": ""}, "operationName"),
        (INTEGRATION, {**INTEGRATED, "integrationMethod": "FETCH"}, "integrationMethod"),
        (INTEGRATION, {**INTEGRATED, "credentialsArn": "role"}, "credentialsArn"),
        # events/rule.go, events/target.go
        (RULE, {**HOURLY, "roleArn": "role"}, "roleArn"),
        (TARGET, {"rule": "r", "arn": "queue"}, "arn"),
        # iam/role.go, iam/validate.go
        (ROLE, {"assumeRolePolicy": TRUST, "permissionsBoundary": "boundary"}, "permissionsBoundary"),
        (ROLE, {"assumeRolePolicy": TRUST, "description": "\u201cquoted\u201d"}, "description"),
        (ROLE, {"assumeRolePolicy": TRUST, "name": "größe"}, "name"),
        (ROLE, {"assumeRolePolicy": TRUST, "region": "us-west-2"}, "region"),
        # logs/group.go
        (LOGS, {"kmsKeyId": "key"}, "kmsKeyId"),
    ],
)
def test_what_the_provider_refuses_is_refused(providing: Providing, kind: str, inputs: Values, property_: str):
    assert property_ in providing.check(kind, inputs)[1]


def test_versioning_does_not_go_back_to_never(providing: Providing):
    # s3/bucket_versioning.go CustomizeDiff
    def versioning(status: str) -> Values:
        return {"bucket": "a-bucket", "versioningConfiguration": {"status": status}}

    providing.create(BUCKET, {"bucket": "a-bucket"})
    made = providing.create(VERSIONING, versioning("Enabled"))
    with pytest.raises(grpc.RpcError, match="cannot be updated from 'Enabled' to 'Disabled'"):
        providing.diff(made, versioning("Disabled"))
    providing.delete(providing.update(made, versioning("Suspended")))


def test_a_bucket_s_setting_is_known_by_its_owner_too(providing: Providing):
    # s3/bucket.go CreateResourceID
    providing.create(BUCKET, {"bucket": "a-bucket"})
    inputs = {"bucket": "a-bucket", "expectedBucketOwner": "123456789012", "corsRules": [ORIGIN]}
    made = providing.create(CORS, inputs)
    assert made.id == "a-bucket,123456789012"
    found = providing.imported(CORS, made.id)
    assert found is not None
    assert not providing.diff(found, inputs).changed
    providing.delete(made)
    assert providing.imported(CORS, made.id) is None


@pytest.mark.parametrize(
    ("kind", "inputs", "property_", "pattern"),
    [
        # pulumi-aws provider/resources.go: the autonamer of each type
        (QUEUE, {"fifoQueue": True}, "name", r"Thing-[0-9a-f]{7}\.fifo"),
        (ALIAS, {"targetKeyId": "k"}, "name", r"alias/Thing-[0-9a-f]{7}"),
        (BUCKET, {}, "bucket", r"thing-[0-9a-f]{7}"),
        (PERMISSION, PERMITTED, "statementId", r"Thing-[0-9a-f]{7}"),
        (TARGET, {"rule": "r", "arn": QUEUE_ARN}, "targetId", r"Thing-[0-9a-f]{7}"),
    ],
)
def test_a_name_is_generated_as_pulumi_does(providing: Providing, kind, inputs, property_, pattern):
    assert re.fullmatch(pattern, providing.checked(kind, inputs, name="Thing")[property_])


@pytest.mark.parametrize(
    ("kind", "inputs", "length"),
    [(TOPIC, {}, 80), (LOGS, {}, 255), (SECRET, {}, 255), (QUEUE, {"fifoQueue": True}, 80)],
)
def test_a_generated_name_has_the_provider_s_length(providing: Providing, kind: str, inputs: Values, length: int):
    # one character short: our random part is joined by a hyphen that counts
    assert length - 1 <= len(providing.checked(kind, inputs, name="n" * 300)["name"]) <= length


def test_a_generated_target_id_is_refused_where_the_resource_s_name_is_too_long(providing: Providing):
    # events/target.go validates 64, pulumi-aws generates up to 255
    assert "targetId" in providing.check(TARGET, {"rule": "r", "arn": QUEUE_ARN}, name="n" * 60)[1]


def test_protocols_are_compared_by_meaning(providing: Providing):
    # ec2/vpc_security_group_ingress_rule.go, ipProtocol's StringSemanticEquals
    group = providing.create(GROUP, {"name": "g"})
    rule = {"securityGroupId": group.id, "fromPort": 1, "toPort": 1, "cidrIpv4": "10.0.0.0/8"}
    made = providing.create(INGRESS, {**rule, "ipProtocol": "6"})
    assert made.outputs["ipProtocol"] == "6"
    for same in ("6", "tcp", "TCP"):
        assert not providing.diff(made, {**rule, "ipProtocol": same}).changed
    assert providing.diff(made, {**rule, "ipProtocol": "udp"}).detailed == {"ipProtocol": "UPDATE"}


def test_a_key_is_the_same_by_id_and_by_arn(providing: Providing):
    # kms/alias.go suppressEquivalentKeyARNOrID
    one, two = (providing.create(KEY, {}, name=name) for name in ("one", "two"))
    made = providing.create(ALIAS, {"name": "alias/a", "targetKeyId": one.id})
    assert not providing.diff(made, {"name": "alias/a", "targetKeyId": one.outputs["arn"]}).changed
    assert providing.diff(made, {"name": "alias/a", "targetKeyId": two.outputs["arn"]}).changed


def test_cors_lists_are_compared_without_case(providing: Providing):
    # apigatewayv2/api.go: the sets hash in lower case
    api = {"name": "a", "protocolType": "HTTP"}
    made = providing.create(API, {**api, "corsConfiguration": {"allowHeaders": ["X-Api-Key"]}})
    assert not providing.diff(made, {**api, "corsConfiguration": {"allowHeaders": ["x-api-key"]}}).changed
    assert providing.diff(made, {**api, "corsConfiguration": {"allowHeaders": ["x-other"]}}).changed


@pytest.mark.parametrize(
    "block",
    [
        {"environment": {}},
        {"imageConfig": {"commands": []}},
        {"vpcConfig": {"subnetIds": [], "securityGroupIds": []}},
    ],
)
def test_a_block_without_content_is_no_difference(providing: Providing, block: Values):
    # lambda/function.go: DiffSuppressFunc of environment, image_config and vpc_config
    inputs = {**CODE, "name": "f", "role": providing.role("r")}
    made = providing.create(FUNCTION, inputs)
    assert not providing.diff(made, {**inputs, **block}).changed


def test_a_version_is_published_of_a_changed_configuration_too(providing: Providing):
    # lambda/function.go resourceFunctionUpdate, needsFunctionConfigUpdate
    inputs = {**CODE, "name": "f", "role": providing.role("r"), "publish": True}
    made = providing.create(FUNCTION, inputs)
    promised = providing.update(made, {**inputs, "timeout": 60}, preview=True).outputs
    assert promised["version"] is UNKNOWN
    assert promised["lastModified"] == made.outputs["lastModified"]
    versions = providing.client("lambda").list_versions_by_function
    before = len(versions(FunctionName="f")["Versions"])
    updated = providing.update(made, {**inputs, "timeout": 60})
    assert len(versions(FunctionName="f")["Versions"]) == before + 1
    providing.update(updated, {**inputs, "timeout": 60, "tags": {"a": "b"}})
    assert len(versions(FunctionName="f")["Versions"]) == before + 1


def test_code_that_was_changed_outside_is_not_looked_for(providing: Providing):
    # lambda/function.go: code_sha256 is not compared with the code given
    inputs = {**CODE, "name": "f", "role": providing.role("r")}
    made = providing.create(FUNCTION, inputs)
    made.outputs |= {"code": Archive(assets=ONE, hash="one"), "codeSha256": "another"}
    assert not providing.diff(made, {**inputs, "code": Archive(assets=ONE, hash="one")}).changed
    assert providing.diff(made, {**inputs, "code": Archive(assets=ONE, hash="two")}).changed


def test_reuse_of_a_data_key_means_nothing_without_encryption(providing: Providing):
    # sqs/queue.go: DiffSuppressFunc of kms_data_key_reuse_period_seconds
    made = providing.create(QUEUE, {"name": "q", "sqsManagedSseEnabled": False})
    wanted = {"name": "q", "kmsDataKeyReusePeriodSeconds": 600}
    assert not providing.diff(made, {**wanted, "sqsManagedSseEnabled": False}).changed
    assert providing.diff(made, {**wanted, "kmsMasterKeyId": "k"}).changed


def test_rules_of_a_lifecycle_are_ordered(providing: Providing):
    # s3/bucket_lifecycle_configuration.go: ListNestedBlock
    providing.create(BUCKET, {"bucket": "a-bucket"})
    rules = [{"id": name, "status": "Enabled", "expiration": {"days": 1}} for name in ("one", "two")]
    made = providing.create(LIFECYCLE, {"bucket": "a-bucket", "rules": rules})
    assert not providing.diff(made, {"bucket": "a-bucket", "rules": rules}).changed
    assert providing.diff(made, {"bucket": "a-bucket", "rules": rules[::-1]}).changed


def test_a_rule_without_a_state_keeps_the_one_it_has(providing: Providing):
    # events/rule.go: state is neither compared nor sent when it is left out
    made = providing.create(RULE, {"name": "r", **HOURLY})
    assert made.outputs["state"] == "ENABLED"
    providing.client("events").disable_rule(Name="r")
    again = providing.read(made)
    assert again is not None
    assert not providing.diff(again, {"name": "r", **HOURLY}).changed


def test_a_bus_that_is_given_by_its_arn_stays_so(providing: Providing):
    # events/rule.go: event_bus_name is kept as given
    bus = providing.client("events").create_event_bus(Name="bus")["EventBusArn"]
    rule = {"name": "r", "eventBusName": bus, "eventPattern": json.dumps({"source": ["a"]})}
    made = providing.create(RULE, rule)
    again = providing.read(made)
    assert again is not None
    assert again.outputs["eventBusName"] == bus
    assert not providing.diff(again, rule).changed
    target = {"rule": "r", "eventBusName": bus, "targetId": "t", "arn": QUEUE_ARN}
    hit = providing.create(TARGET, target)
    found = providing.read(hit)
    assert found is not None
    assert not providing.diff(found, target).changed
    providing.delete(hit)
    providing.delete(made)


def test_the_scope_of_a_filter_goes_back_when_it_is_no_longer_given(providing: Providing):
    # sns/topic_subscription.go CustomizeDiff
    topic = providing.create(TOPIC, {"name": "t"}).id
    plain = {"topic": topic, "protocol": "sqs", "endpoint": QUEUE_ARN, "filterPolicy": json.dumps({"a": ["b"]})}
    made = providing.create(SUBSCRIPTION, {**plain, "filterPolicyScope": "MessageBody"})
    assert providing.diff(made, plain).detailed == {"filterPolicyScope": "UPDATE"}
    updated = providing.update(made, plain)
    assert updated.outputs["filterPolicyScope"] == "MessageAttributes"
    assert not providing.diff(updated, plain).changed


def test_a_batch_size_left_out_is_the_service_s_default(providing: Providing):
    # lambda/event_source_mapping.go: DiffSuppressFunc of batch_size
    providing.create(FUNCTION, {**CODE, "name": "f", "role": providing.role("r")})
    sqs = providing.client("sqs")
    for name in ("q", "r"):
        sqs.create_queue(QueueName=name)
    plain = {"eventSourceArn": QUEUE_ARN, "functionName": "f"}
    made = providing.create(MAPPING, {**plain, "batchSize": 5})
    assert providing.diff(made, plain).detailed == {"batchSize": "UPDATE"}
    other = {"eventSourceArn": QUEUE_ARN[:-1] + "r", "functionName": "f"}
    assert not providing.diff(providing.create(MAPPING, other, name="other"), other).changed


def test_the_input_of_an_invocation_is_compared_as_text():
    # lambda/invocation.go: input has no suppression
    state, new = ({"functionName": "f", "input": text, "lifecycleScope": "CRUD"} for text in ('{"a":1}', '{"a": 1}'))
    found = DRIVERS[INVOCATION].diff(Aws(None, ("a", "b", None)), state, new)
    assert [item.path for item in found] == ["input"]


def test_a_version_of_a_secret_is_known_by_the_secret_as_given(providing: Providing):
    # secretsmanager/secret_version.go secretVersionCreateResourceID
    providing.create(SECRET, {"name": "s"})
    made = providing.create(VERSION, {"secretId": "s", "secretString": "one"})
    assert made.id == f"s|{made.outputs['versionId']}"
    assert not providing.diff(made, {"secretId": "s", "secretString": "one"}).changed


def test_a_redrive_policy_comes_back_without_blanks(providing: Providing):
    # sqs/queue.go waits until it reads back what it wrote, and compares its text in a plan
    wanted = {"deadLetterTargetArn": f"{QUEUE_ARN}-dlq", "maxReceiveCount": 5}
    sqs = providing.client("sqs")
    sqs.create_queue(QueueName="q-dlq")
    url = sqs.create_queue(QueueName="q", Attributes={"RedrivePolicy": json.dumps(wanted)})["QueueUrl"]
    for attributes in ("RedrivePolicy", "All"):
        told = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[attributes])["Attributes"]
        assert told["RedrivePolicy"] == json.dumps(wanted, separators=(",", ":"))
