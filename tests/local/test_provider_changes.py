"""What changes in place, what makes a new resource, and what is no change at all."""

import io
import json
import zipfile

import grpc
import pytest
from moto.apigatewayv2.models import apigatewayv2_backends

from local.resources.values import Archive, Asset, Values
from local.wire import UNKNOWN
from tests.local.providing import DATABASE, Made, Providing

pytest_plugins = ["tests.local.providing"]

QUEUE = "aws:sqs/queue:Queue"
FUNCTION = "aws:lambda/function:Function"
MAPPING = "aws:lambda/eventSourceMapping:EventSourceMapping"
INSTANCE = "aws:rds/instance:Instance"
SECRET_VERSION = "aws:secretsmanager/secretVersion:SecretVersion"


def code(text: str = "1") -> Archive:
    return Archive(assets={"app.py": Asset(text=text), "b/c.py": Asset(text="")})


def function(providing: Providing, **inputs: object) -> Made:
    return providing.create(FUNCTION, settings(providing.role("f"), **inputs))


def settings(role: str, **inputs: object) -> Values:
    return {
        "name": "f",
        "role": role,
        "code": code(),
        "handler": "app.handler",
        "runtime": "python3.13",
        **inputs,
    }


def test_a_changed_attribute_of_a_queue_is_an_update_that_reaches_the_cloud_and_leaves_the_rest(providing: Providing):
    made = providing.create(QUEUE, {"name": "q", "visibilityTimeoutSeconds": 60, "tags": {"a": "1", "b": "2"}})
    policy = json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "sqs:*"}]}
    )
    providing.create("aws:sqs/queuePolicy:QueuePolicy", {"queueUrl": made.id, "policy": policy})
    wanted = {"name": "q", "visibilityTimeoutSeconds": 90, "tags": {"a": "1", "c": "3"}}
    difference = providing.diff(made, wanted)
    assert difference.detailed == {"visibilityTimeoutSeconds": "UPDATE", "tags.b": "DELETE", "tags.c": "ADD"}
    assert difference.replaces == []
    assert providing.update(made, wanted, preview=True).outputs["arn"] == made.outputs["arn"]
    updated = providing.update(made, wanted)
    sqs = providing.client("sqs")
    attributes = sqs.get_queue_attributes(QueueUrl=made.id, AttributeNames=["All"])["Attributes"]
    assert attributes["VisibilityTimeout"] == "90"
    assert json.loads(attributes["Policy"]) == json.loads(policy)
    assert sqs.list_queue_tags(QueueUrl=made.id)["Tags"] == {"a": "1", "c": "3"}
    assert not providing.diff(updated, wanted).changed


@pytest.mark.parametrize(("before", "now", "changed"), [("1a", "1a", False), ("1a", "2b", True), ("", "", True)])
def test_code_of_which_the_engine_sends_only_the_hash_is_compared_by_it(
    providing: Providing, before: str, now: str, changed: bool
):
    # The Pulumi CLI leaves the contents out of every Diff.
    made = function(providing)
    made.outputs["code"] = Archive(hash=before)
    assert providing.diff(made, settings(made.outputs["role"], code=Archive(hash=now))).changed is changed


def test_a_change_made_behind_the_program_s_back_is_seen_after_a_refresh(providing: Providing):
    made = providing.create(QUEUE, {"name": "q", "visibilityTimeoutSeconds": 60})
    providing.client("sqs").set_queue_attributes(QueueUrl=made.id, Attributes={"VisibilityTimeout": "5"})
    refreshed = providing.read(made)
    assert refreshed is not None
    assert refreshed.outputs["visibilityTimeoutSeconds"] == 5
    assert providing.diff(refreshed, made.inputs).detailed == {"visibilityTimeoutSeconds": "UPDATE"}


def test_an_ignored_property_is_no_difference(providing: Providing):
    made = providing.create(QUEUE, {"name": "q", "visibilityTimeoutSeconds": 60})
    wanted = {"name": "q", "visibilityTimeoutSeconds": 90}
    assert not providing.diff(made, wanted, ignore=("visibilityTimeoutSeconds",)).changed


def test_a_policy_written_otherwise_is_no_change_and_one_that_says_otherwise_is(providing: Providing):
    one = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": "arn:aws:s3:::b/*"}
    two = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"}
    kind = "aws:iam/policy:Policy"
    made = providing.create(
        kind, {"name": "p", "policy": json.dumps({"Version": "2012-10-17", "Statement": [one, two]})}
    )
    turned = {
        "Statement": [
            {"Resource": ["*"], "Action": ["s3:ListBucket"], "Effect": "Allow"},
            {**one, "Action": ["s3:PutObject", "s3:GetObject"]},
        ],
        "Version": "2012-10-17",
    }
    assert not providing.diff(made, {"name": "p", "policy": json.dumps(turned)}).changed
    turned["Statement"][0]["Effect"] = "Deny"  # type: ignore[index]
    assert providing.diff(made, {"name": "p", "policy": json.dumps(turned)}).detailed == {"policy": "UPDATE"}


def test_a_policy_can_be_changed_more_often_than_it_may_have_versions(providing: Providing):
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"}
    kind, document = "aws:iam/policy:Policy", {"Version": "2012-10-17", "Statement": [statement]}
    made = providing.create(kind, {"name": "p", "policy": json.dumps(document)})
    for number in range(7):
        statement["Resource"] = f"arn:aws:s3:::b{number}/*"
        made = providing.update(made, {"name": "p", "policy": json.dumps(document)})
    assert "b6" in made.outputs["policy"]


def test_a_functions_code_is_compared_by_the_zip_that_it_makes(providing: Providing, tmp_path):
    made = function(providing)
    role = made.outputs["role"]
    assert not providing.diff(made, settings(role)).changed
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c.py").write_text("")
    (tmp_path / "app.py").write_text("1")
    assert not providing.diff(made, settings(role, code=Archive(path=str(tmp_path)))).changed
    wanted = settings(role, code=code("2"))
    assert providing.diff(made, wanted).detailed == {"code": "UPDATE"}
    previewed = providing.update(made, wanted, preview=True)
    assert previewed.outputs["codeSha256"] is UNKNOWN
    assert previewed.outputs["arn"] == made.outputs["arn"]
    updated = providing.update(made, wanted)
    assert updated.outputs["codeSha256"] != made.outputs["codeSha256"]
    assert not providing.diff(updated, wanted).changed


def test_a_function_changes_in_place_and_its_package_type_makes_a_new_one(providing: Providing):
    made = function(providing, timeout=60, environment={"variables": {"A": "1", "B": "2"}})
    role = made.outputs["role"]
    wanted = settings(
        role, timeout=90, environment={"variables": {"A": "x"}}, reservedConcurrentExecutions=2, tags={"t": "1"}
    )
    assert providing.diff(made, wanted).detailed == {
        "timeout": "UPDATE",
        "environment.variables.A": "UPDATE",
        "environment.variables.B": "DELETE",
        "reservedConcurrentExecutions": "UPDATE",
        "tags": "ADD",
    }
    updated = providing.update(made, wanted)
    found = providing.client("lambda").get_function(FunctionName="f")
    assert found["Configuration"]["Timeout"] == 90
    assert found["Configuration"]["Environment"]["Variables"] == {"A": "x"}
    assert found["Concurrency"]["ReservedConcurrentExecutions"] == 2
    assert found["Tags"] == {"t": "1"}
    assert not providing.diff(updated, wanted).changed
    image = {"name": "f", "role": role, "packageType": "Image", "imageUri": "r@sha256:" + "0" * 64}
    assert "packageType" in providing.diff(updated, image).replaces


def test_an_archive_makes_the_same_zip_whatever_the_order_and_time_of_its_files(providing: Providing, tmp_path):
    first = function(providing)
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as file:
        file.writestr("app.py", "1")
    (tmp_path / "f.zip").write_bytes(zipped.getvalue())
    turned = Archive(assets={"b/c.py": Asset(text=""), "app.py": Asset(text="1")})
    role = first.outputs["role"]
    assert not providing.diff(first, settings(role, code=turned)).changed
    assert providing.diff(first, settings(role, code=Archive(path=str(tmp_path / "f.zip")))).changed


def test_a_mapping_changes_in_place_and_another_queue_makes_a_new_one(providing: Providing):
    function(providing, timeout=60)
    sqs = providing.client("sqs")
    for name in ("q", "r"):
        sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "360"})
    arn = "arn:aws:sqs:us-west-2:123456789012:"
    inputs: Values = {"eventSourceArn": arn + "q", "functionName": "f", "scalingConfig": {"maximumConcurrency": 5}}
    made = providing.create(MAPPING, {**inputs, "functionResponseTypes": ["ReportBatchItemFailures"]})
    wanted: Values = {**inputs, "scalingConfig": {"maximumConcurrency": 8}, "batchSize": 50, "enabled": False}
    wanted["maximumBatchingWindowInSeconds"] = 20
    assert set(providing.diff(made, wanted).detailed) == {
        "scalingConfig.maximumConcurrency",
        "batchSize",
        "enabled",
        "maximumBatchingWindowInSeconds",
        "functionResponseTypes",
    }
    updated = providing.update(made, wanted)
    assert updated.outputs["state"] == "Disabled"
    assert not providing.diff(updated, wanted).changed
    assert providing.diff(made, {**inputs, "eventSourceArn": arn + "r"}).replaces == ["eventSourceArn"]


def test_a_password_of_the_program_reaches_the_database_and_never_comes_back_in_the_open(providing: Providing):
    made = providing.create(INSTANCE, {**DATABASE, "password": "first-password"})
    assert "password" in made.secrets
    wanted = {**DATABASE, "password": "not-used"}
    difference = providing.diff(made, wanted)
    assert difference.detailed == {"password": "UPDATE"}
    updated = providing.update(made, wanted)
    assert updated.outputs["password"] == "not-used"
    assert "password" in updated.secrets


def test_moving_to_a_managed_password_shows_the_secret_only_after_the_update(providing: Providing):
    made = providing.create(INSTANCE, {**DATABASE, "password": "first-password"})
    wanted = {**DATABASE, "manageMasterUserPassword": True}
    assert set(providing.diff(made, wanted).detailed) == {"password", "manageMasterUserPassword"}
    assert providing.update(made, wanted, preview=True).outputs["masterUserSecrets"] is UNKNOWN
    updated = providing.update(made, wanted)
    assert updated.outputs["masterUserSecrets"][0]["secretArn"].startswith("arn:aws:secretsmanager:")
    assert "password" not in updated.outputs


def test_another_user_or_database_name_makes_a_new_instance_after_the_old_one_is_gone(providing: Providing):
    made = providing.create(INSTANCE, {**DATABASE, "manageMasterUserPassword": True})
    difference = providing.diff(
        made, {**DATABASE, "manageMasterUserPassword": True, "username": "other", "dbName": "x"}
    )
    assert difference.replaces == ["dbName", "username"]
    assert difference.before


def test_another_value_is_another_version_of_a_secret(providing: Providing):
    secret = providing.create("aws:secretsmanager/secret:Secret", {"name": "s"})
    made = providing.create(SECRET_VERSION, {"secretId": secret.id, "secretString": "one"})
    assert providing.diff(made, {"secretId": secret.id, "secretString": "two"}).replaces == ["secretString"]
    second = providing.create(SECRET_VERSION, {"secretId": secret.id, "secretString": "two"})
    providing.delete(made)
    assert providing.client("secretsmanager").get_secret_value(SecretId=secret.id)["SecretString"] == "two"
    assert second.outputs["versionId"] != made.outputs["versionId"]


def test_a_stage_changes_in_place(providing: Providing):
    api = providing.create("aws:apigatewayv2/api:Api", {"name": "a", "protocolType": "HTTP"})
    plain: Values = {"apiId": api.id, "name": "$default"}
    log = {"destinationArn": "arn:aws:logs:us-west-2:123456789012:log-group:a", "format": "$context.requestId"}
    made = providing.create(
        "aws:apigatewayv2/stage:Stage",
        {**plain, "autoDeploy": True, "stageVariables": {"a": "1", "b": "2"}, "tags": {"old": "1", "kept": "1"}},
    )
    stages = apigatewayv2_backends["123456789012"]["us-west-2"].apis[api.id].stages
    stage = stages["$default"]
    wanted = {
        **plain,
        "accessLogSettings": log,
        "defaultRouteSettings": {"throttlingBurstLimit": 5, "throttlingRateLimit": 2},
        "description": "d",
        "stageVariables": {"b": "3"},
        "tags": {"kept": "2"},
    }
    updated = providing.update(made, wanted)
    assert stages["$default"] is stage, "made again: requests meanwhile would have found no stage"
    assert updated.outputs["defaultRouteSettings"]["throttlingBurstLimit"] == 5
    assert updated.outputs["stageVariables"] == {"b": "3"} and updated.outputs["tagsAll"] == {"kept": "2"}
    assert not updated.outputs["autoDeploy"]
    assert not providing.diff(updated, wanted).changed
    bare = providing.update(updated, plain)
    assert not {"accessLogSettings", "description", "stageVariables"} & bare.outputs.keys()
    assert not providing.diff(bare, plain).changed


@pytest.mark.parametrize("scope", ["CREATE_ONLY", "CRUD"])
def test_another_trigger_is_another_invocation_and_another_input_is_one_only_where_it_runs_once(
    providing: Providing, scope: str
):
    made = Made(
        "aws:lambda/invocation:Invocation",
        "thing",
        "f,$LATEST,0",
        {},
        {
            "functionName": "f",
            "input": "{}",
            "lifecycleScope": scope,
            "qualifier": "$LATEST",
            "terraformKey": "tf",
            "triggers": {"package": "1"},
            "result": "null",
        },
        frozenset(),
    )
    inputs = {"functionName": "f", "input": "{}", "lifecycleScope": scope, "triggers": {"package": "1"}}
    assert not providing.diff(made, inputs).changed
    assert providing.diff(made, {**inputs, "triggers": {"package": "2"}}).replaces == ["triggers"]
    assert bool(providing.diff(made, {**inputs, "input": '{"a": 1}'}).replaces) == (scope == "CREATE_ONLY")


def test_a_bucket_with_objects_is_only_deleted_by_force(providing: Providing):
    made = providing.create("aws:s3/bucket:Bucket", {"bucket": "a-bucket"})
    providing.client("s3").put_object(Bucket="a-bucket", Key="k", Body=b"")
    with pytest.raises(grpc.RpcError, match="BucketNotEmpty"):
        providing.delete(made)
    forced = providing.update(made, {"bucket": "a-bucket", "forceDestroy": True})
    providing.delete(forced)
    assert providing.read(made) is None


def test_a_protected_instance_is_not_deleted(providing: Providing):
    made = providing.create(INSTANCE, {**DATABASE, "manageMasterUserPassword": True, "deletionProtection": True})
    with pytest.raises(grpc.RpcError, match="Cannot delete protected DB Instance"):
        providing.delete(made)
    providing.delete(providing.update(made, {**DATABASE, "manageMasterUserPassword": True}))
    assert providing.read(made) is None


def test_an_instance_goes_with_a_snapshot_unless_that_is_skipped(providing: Providing):
    without = {key: value for key, value in DATABASE.items() if key != "skipFinalSnapshot"}
    made = providing.create(INSTANCE, {**without, "manageMasterUserPassword": True})
    with pytest.raises(grpc.RpcError, match="final_snapshot_identifier is required"):
        providing.delete(made)
    providing.delete(
        providing.update(made, {**without, "manageMasterUserPassword": True, "finalSnapshotIdentifier": "last"})
    )
    assert providing.client("rds").describe_db_snapshots(DBSnapshotIdentifier="last")["DBSnapshots"]


def test_other_log_exports_of_an_instance_are_a_change_that_is_made_once(providing: Providing):
    def wanted(*exports: str) -> Values:
        return {**DATABASE, "manageMasterUserPassword": True, "enabledCloudwatchLogsExports": list(exports)}

    made = providing.create(INSTANCE, wanted("postgresql"))
    changed = providing.update(made, wanted("upgrade"))
    (found,) = providing.client("rds").describe_db_instances(DBInstanceIdentifier="db")["DBInstances"]
    assert found["EnabledCloudwatchLogsExports"] == ["upgrade"]
    assert not providing.diff(changed, wanted("upgrade")).changed


@pytest.mark.parametrize("none", [{"enabledCloudwatchLogsExports": []}, {}], ids=["an empty list", "left out"])
def test_an_instance_can_be_told_to_export_no_log(providing: Providing, none: Values):
    plain: Values = {**DATABASE, "manageMasterUserPassword": True}
    made = providing.create(INSTANCE, {**plain, "enabledCloudwatchLogsExports": ["postgresql", "upgrade"]})
    changed = providing.update(made, {**plain, **none})
    (found,) = providing.client("rds").describe_db_instances(DBInstanceIdentifier="db")["DBInstances"]
    assert found["EnabledCloudwatchLogsExports"] == []
    assert not providing.diff(changed, {**plain, **none}).changed


def test_an_imported_instance_would_go_without_a_snapshot_and_with_its_backups(providing: Providing):
    """What AWS does not say of it, or the provider does not ask for: then the program's values come as a change."""
    plain: Values = {**DATABASE, "manageMasterUserPassword": True}
    providing.create(INSTANCE, plain)
    found = providing.imported(INSTANCE, "db")
    assert found is not None
    assert (found.outputs["skipFinalSnapshot"], found.outputs["deleteAutomatedBackups"]) == (True, True)
    kept = {**plain, "skipFinalSnapshot": False, "deleteAutomatedBackups": False}
    expected = {"skipFinalSnapshot", "deleteAutomatedBackups", "manageMasterUserPassword"}
    assert providing.diff(found, kept).detailed.keys() == expected


def test_a_security_group_rule_with_another_kind_of_peer_is_another_rule(providing: Providing):
    group = providing.create("aws:ec2/securityGroup:SecurityGroup", {"name": "g", "description": "d"})
    port = {"ipProtocol": "tcp", "fromPort": 5432, "toPort": 5432, "securityGroupId": group.id}
    rule = providing.create(
        "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", {**port, "cidrIpv4": "10.0.0.0/8"}
    )
    assert providing.diff(rule, {**port, "cidrIpv4": "10.1.0.0/16"}).detailed == {"cidrIpv4": "UPDATE"}
    peer = providing.diff(rule, {**port, "referencedSecurityGroupId": group.id}).detailed
    assert peer == {"cidrIpv4": "DELETE_REPLACE", "referencedSecurityGroupId": "ADD_REPLACE"}
