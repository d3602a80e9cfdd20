"""What the program makes, over all stacks: the right things, locked, named, tagged and closed."""

import dataclasses
import json

import pytest

import flows
from components.dashboard import body
from local.engine.values import unwrap
from ops.program_copy import copy_of_the_program
from tests.program.harness import said, steps
from tests.program.stacks import STACKS, deployed, harness

QUEUE = "aws:sqs/queue:Queue"
FUNCTION = "aws:lambda/function:Function"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
INSTANCE = "aws:rds/instance:Instance"
SECRET = "aws:secretsmanager/secret:Secret"

every_stack = pytest.mark.parametrize("stack", STACKS)


def every_flow():
    return [(stack, flow) for stack in STACKS for flow in flows.catalogue(f"bluemoxon-{stack}")]


every_stacks_flow = pytest.mark.parametrize(
    ("stack", "flow"), every_flow(), ids=lambda value: getattr(value, "key", value)
)


def with_code(stack):
    """Return the flows of a stack that have an artefact, so that there is a function."""
    made = deployed(stack).outcome.outputs["flows"]
    return {flow["key"] for flow in made if flow["deployed"]}


def dispatchers(stack):
    """Return the dispatchers of the flows that have code."""
    deployed_flows = with_code(stack)
    return {flow.dispatcher for flow in flows.catalogue("shop") if flow.dispatcher and flow.key in deployed_flows}


def test_the_local_stack_has_code_for_every_flow():
    assert with_code("local") == {flow.key for flow in flows.catalogue("bluemoxon-local")}


@every_stacks_flow
def test_a_flow_is_exactly_these_resources(stack, flow):
    made = {
        (state.type.split(":")[-1], state.name)
        for state in deployed(stack).resources.values()
        if state.custom and "WorkerFlow" in state.urn and state.name.startswith(f"{flow.key}-")
    }
    queues = {
        ("Queue", f"{flow.key}-queue"),
        ("Queue", f"{flow.key}-dead-letters"),
        ("QueuePolicy", f"{flow.key}-queue"),
        ("QueuePolicy", f"{flow.key}-dead-letters"),
        ("RedriveAllowPolicy", f"{flow.key}-dead-letters"),
        *(("MetricAlarm", f"{flow.key}-{end}") for end in ("dead-letters", "oldest-message", "backlog")),
    }
    function = {
        ("LogGroup", f"{flow.key}-function-logs"),
        ("Role", f"{flow.key}-function-role"),
        ("Policy", f"{flow.key}-function-role-1"),
        ("RolePolicyAttachment", f"{flow.key}-function-role-1"),
        ("Function", f"{flow.key}-function"),
        ("EventSourceMapping", f"{flow.key}-mapping"),
        *(("MetricAlarm", f"{flow.key}-{end}") for end in ("errors", "throttles", "duration")),
    }
    assert made == (queues | function if flow.key in with_code(stack) else queues)


@every_stack
def test_a_worker_is_told_which_delivery_is_its_last(stack):
    receives = {flow.key: flow.receives for flow in flows.catalogue(f"bluemoxon-{stack}")}
    for key in with_code(stack):
        variables = deployed(stack).inputs(FUNCTION, f"{key}-function")["environment"]["variables"]
        assert variables["BMX_MAX_RECEIVES"] == str(receives[key])


@every_stacks_flow
def test_a_queues_numbers_are_the_declarations(stack, flow):
    made = deployed(stack)
    queue, dead = (made.inputs(QUEUE, f"{flow.key}-{end}") for end in ("queue", "dead-letters"))
    redrive = json.loads(queue["redrivePolicy"])
    assert queue["visibilityTimeoutSeconds"] == flow.visibility_timeout
    assert (queue["messageRetentionSeconds"], dead["messageRetentionSeconds"]) == (345_600, 1_209_600)
    assert redrive["maxReceiveCount"] == flow.receives
    assert redrive["deadLetterTargetArn"].endswith(f":{made.prefix}-{flow.queue}-dlq")
    assert made.inputs(ALARM, f"{flow.key}-oldest-message")["threshold"] == 2 * flow.visibility_timeout
    assert made.inputs(ALARM, f"{flow.key}-backlog")["threshold"] == flow.backlog_threshold


@every_stacks_flow
def test_the_alarms_on_a_queue_keep_to_what_its_metrics_say(stack, flow):
    made = deployed(stack)
    dead, oldest, backlog = (
        made.inputs(ALARM, f"{flow.key}-{end}") for end in ("dead-letters", "oldest-message", "backlog")
    )
    # What the queue moves is not counted as sent; and dead letters that nobody touches make an idle queue, which emits
    # nothing, and must not end the alarm.
    assert (dead["metricName"], dead["treatMissingData"]) == ("ApproximateNumberOfMessagesVisible", "ignore")
    assert dead["dimensions"] == {"QueueName": f"{made.prefix}-{flow.queue}-dlq"}
    # A message received three times leaves the age: it is told by the dead letters, a crowd of them by their number.
    assert (oldest["metricName"], oldest["treatMissingData"]) == ("ApproximateAgeOfOldestMessage", "notBreaching")
    assert (backlog["metricName"], backlog["statistic"]) == ("ApproximateNumberOfMessagesVisible", "Minimum")
    assert oldest["dimensions"] == backlog["dimensions"] == {"QueueName": f"{made.prefix}-{flow.queue}"}


def test_a_functions_numbers_are_the_declarations():
    made = deployed("local")
    for flow in flows.catalogue(made.prefix):
        function = made.inputs(FUNCTION, f"{flow.key}-function")
        mapping = made.inputs("aws:lambda/eventSourceMapping:EventSourceMapping", f"{flow.key}-mapping")
        assert (function["timeout"], function["memorySize"]) == (flow.timeout, flow.memory)
        assert mapping["scalingConfig"] == {"maximumConcurrency": flow.maximum_concurrency}
        assert mapping["functionResponseTypes"] == ["ReportBatchItemFailures"]
        assert made.inputs(ALARM, f"{flow.key}-duration")["threshold"] == flow.timeout * 900


@every_stacks_flow
def test_only_a_flows_own_queue_may_redrive_into_its_dead_letters(stack, flow):
    made = deployed(stack)
    policy = made.inputs("aws:sqs/redriveAllowPolicy:RedriveAllowPolicy", f"{flow.key}-dead-letters")
    allowed = json.loads(policy["redriveAllowPolicy"])
    assert allowed["redrivePermission"] == "byQueue"
    assert [arn.split(":")[-1] for arn in allowed["sourceQueueArns"]] == [f"{made.prefix}-{flow.queue}"]


@every_stack
def test_every_queue_is_encrypted_polled_long_and_refuses_what_is_not_tls(stack):
    made = deployed(stack)
    policies = {
        unwrap(state.inputs)["queueUrl"]: json.loads(unwrap(state.inputs)["policy"])["Statement"]
        for state in made.of("aws:sqs/queuePolicy:QueuePolicy").values()
    }
    queues = made.of(QUEUE).values()
    assert queues
    for state in queues:
        assert state.inputs["sqsManagedSseEnabled"] is True
        assert state.inputs["receiveWaitTimeSeconds"] == 20
        (statement,) = policies[state.outputs["url"]]
        assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "sqs:*")
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert statement["Resource"] == state.outputs["arn"]


@every_stack
def test_every_alarm_has_an_action_and_its_topic_a_subscriber(stack):
    made = deployed(stack)
    subscribed = {state.inputs["topic"] for state in made.of("aws:sns/topicSubscription:TopicSubscription").values()}
    alarms = made.of(ALARM).values()
    assert {state.inputs["dimensions"].get("QueueName") for state in alarms} >= {
        flow.dead_letter_queue_name(made.prefix) for flow in flows.catalogue(made.prefix)
    }
    for state in alarms:
        assert subscribed.issuperset(state.inputs["alarmActions"])
        assert state.inputs["alarmActions"]


@every_stack
def test_a_schedule_that_no_longer_invokes_its_function_is_told(stack):
    made = deployed(stack)
    silences = {"rate(5 minutes)": 900, "rate(1 hour)": 7_500}
    rules = made.of("aws:cloudwatch/eventRule:EventRule").values()
    assert rules
    for rule in rules:
        name = rule.name.removesuffix("-schedule-rule")
        alarm = made.inputs(ALARM, f"{name}-not-invoked")
        assert (alarm["namespace"], alarm["metricName"], alarm["statistic"]) == ("AWS/Lambda", "Invocations", "Sum")
        assert alarm["dimensions"] == {"FunctionName": made.inputs(FUNCTION, name)["name"]}
        assert (alarm["comparisonOperator"], alarm["threshold"]) == ("LessThanThreshold", 1)
        # Lambda counts no zeros: a function that nobody invokes has no data.
        assert alarm["treatMissingData"] == "breaching"
        assert alarm["period"] == silences[rule.inputs["scheduleExpression"]]
        # Invoked once, without work, or the alarm would begin by going off.
        first = made.inputs("aws:lambda/invocation:Invocation", f"{name}-schedule-first")
        assert json.loads(first["input"]) == {"version": True}


@every_stack
def test_the_sweeper_knows_how_often_a_message_is_delivered_and_how_long_it_is_kept(stack):
    made = deployed(stack)
    (flow,) = [flow for flow in flows.catalogue(made.prefix) if "job_sweeper" in flow.producers]
    variables = made.inputs(FUNCTION, "job_sweeper")["environment"]["variables"]
    queue = made.inputs(QUEUE, f"{flow.key}-queue")
    assert variables["BMX_MESSAGE_RETENTION"] == str(int(queue["messageRetentionSeconds"]))
    assert variables["BMX_MAX_RECEIVES"] == str(json.loads(queue["redrivePolicy"])["maxReceiveCount"])


@every_stack
def test_every_function_is_traced_in_the_vpc_and_logs_to_a_group_that_forgets(stack):
    made = deployed(stack)
    groups = {state.inputs["name"]: state for state in made.of("aws:cloudwatch/logGroup:LogGroup").values()}
    functions = made.of(FUNCTION)
    # Each is known to the catalogue, which refuses a flow or a dispatcher of the same name.
    all_flows = {f"{flow.key}-function" for flow in flows.catalogue(made.prefix)}
    assert set(functions) - all_flows == {*flows.FUNCTIONS, *dispatchers(stack)}
    for state in functions.values():
        assert state.inputs["tracingConfig"] == {"mode": "Active"}
        assert state.inputs["architectures"] == ["x86_64"]
        assert state.inputs["vpcConfig"]["securityGroupIds"] == [
            made.of("aws:ec2/securityGroup:SecurityGroup")["database-clients"].id
        ]
        assert groups[f"/aws/lambda/{state.inputs['name']}"].inputs["retentionInDays"] == 30
        assert groups[f"/aws/lambda/{state.inputs['name']}"].urn in state.dependencies


@every_stack
def test_an_image_is_named_by_digest_where_it_was_built_or_in_the_accounts_own_registry_or_in_full(stack):
    image = deployed(stack).inputs(FUNCTION, "image_processing-function")["imageUri"]
    host, _, reference = image.partition("/")
    # Of the recording provider: staging's own repository, prod's account; no stack's file names a registry.
    hosts = {
        "local": "127.0.0.1",
        "staging": "registry.invalid",
        "prod": "123456789012.dkr.ecr.us-west-2.amazonaws.com",
    }
    assert host == hosts[stack]
    assert "@sha256:" in reference


@every_stack
def test_the_images_bucket_is_private_versioned_encrypted_protected_and_tls_only(stack):
    made = deployed(stack)
    assert made.of("aws:s3/bucket:Bucket")["images-bucket"].protect
    closed = made.inputs("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", "images-public-access")
    assert [
        closed[key] for key in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    ] == [True] * 4
    versioning = made.inputs("aws:s3/bucketVersioning:BucketVersioning", "images-versioning")
    assert versioning["versioningConfiguration"] == {"status": "Enabled"}
    ownership = made.inputs("aws:s3/bucketOwnershipControls:BucketOwnershipControls", "images-ownership")
    assert ownership["rule"] == {"objectOwnership": "BucketOwnerEnforced"}
    type_ = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
    (rule,) = made.inputs(type_, "images-encryption")["rules"]
    assert rule["applyServerSideEncryptionByDefault"] == {"sseAlgorithm": "AES256"}
    (statement,) = json.loads(made.inputs("aws:s3/bucketPolicy:BucketPolicy", "images-policy")["policy"])["Statement"]
    assert (statement["Effect"], statement["Action"]) == ("Deny", "s3:*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert [arn.partition(":::")[2] for arn in statement["Resource"]] == [
        f"{made.prefix}-images",
        f"{made.prefix}-images/*",
    ]
    (cors,) = made.inputs("aws:s3/bucketCorsConfiguration:BucketCorsConfiguration", "images-cors")["corsRules"]
    assert cors["allowedOrigins"] == [made.outcome.outputs["api_url"]]
    assert cors["allowedMethods"] == ["POST"]


@every_stack
def test_the_api_alone_may_invoke_its_function_and_the_rule_alone_the_sweeper(stack):
    made = deployed(stack)
    permissions = made.of("aws:lambda/permission:Permission")
    assert (
        permissions["http-permission"].inputs["sourceArn"]
        == made.of("aws:apigatewayv2/api:Api")["http-api"].outputs["executionArn"] + "/*/$default"
    )
    rule = made.of("aws:cloudwatch/eventRule:EventRule")["job_sweeper-schedule-rule"]
    assert rule.inputs["scheduleExpression"] == "rate(5 minutes)"
    assert permissions["job_sweeper-schedule-permission"].inputs["sourceArn"] == rule.outputs["arn"]
    assert len(permissions) == 2 + len(dispatchers(stack))


@every_stack
def test_a_dispatcher_is_there_only_where_its_flow_has_the_function_that_reads_what_it_sends(stack):
    made = deployed(stack)
    started = {name.removesuffix("-schedule-rule") for name in made.of("aws:cloudwatch/eventRule:EventRule")}
    assert started == {"job_sweeper", *dispatchers(stack)}
    assert dispatchers(stack) == ({"tracking_dispatcher"} if "tracking" in with_code(stack) else set())


@pytest.mark.parametrize("stack", ["local"])
def test_the_dispatcher_runs_every_hour_and_is_the_one_sender_of_tracking(stack):
    made = deployed(stack)
    rule = made.of("aws:cloudwatch/eventRule:EventRule")["tracking_dispatcher-schedule-rule"]
    assert rule.inputs["scheduleExpression"] == "rate(1 hour)"
    (target,) = [
        state
        for state in made.of("aws:cloudwatch/eventTarget:EventTarget").values()
        if state.inputs["rule"] == rule.inputs["name"]
    ]
    dispatcher = made.of(FUNCTION)["tracking_dispatcher"]
    assert target.inputs["arn"] == dispatcher.outputs["arn"]
    permission = made.inputs("aws:lambda/permission:Permission", "tracking_dispatcher-schedule-permission")
    assert permission["sourceArn"] == rule.outputs["arn"]
    senders = [
        name
        for name in made.of(FUNCTION)
        if "BMX_TRACKING_QUEUE_NAME" in made.inputs(FUNCTION, name)["environment"]["variables"]
    ]
    assert senders == ["tracking_dispatcher"]


@every_stack
def test_the_alarms_topic_is_encrypted_with_a_key_that_lets_cloudwatch_of_this_account_in(stack):
    made = deployed(stack)
    (key,) = made.of("aws:kms/key:Key").values()
    (topic,) = made.of("aws:sns/topic:Topic").values()
    assert topic.inputs["kmsMasterKeyId"] == key.outputs["arn"]
    assert key.inputs["enableKeyRotation"] is True
    administers, publishes = json.loads(key.inputs["policy"])["Statement"]
    assert administers["Principal"] == {"AWS": "arn:aws:iam::123456789012:root"}
    assert publishes["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert publishes["Action"] == ["kms:Decrypt", "kms:GenerateDataKey*"]
    assert publishes["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}
    alias = made.inputs("aws:kms/alias:Alias", "alarms-key")
    assert alias == {"name": f"alias/{made.prefix}-alarms", "targetKeyId": key.outputs["keyId"]}


@every_stack
def test_one_dashboard_shows_every_queue_and_function_of_the_catalogue(stack):
    made = deployed(stack)
    (dashboard,) = made.of("aws:cloudwatch/dashboard:Dashboard").values()
    assert dashboard.inputs["dashboardName"] == made.prefix
    widgets = json.loads(dashboard.inputs["dashboardBody"])["widgets"]
    shown = {metric[3] for widget in widgets for metric in widget["properties"]["metrics"]}
    assert shown == {
        name
        for flow in flows.catalogue(made.prefix)
        for name in (
            flow.queue_name(made.prefix),
            flow.dead_letter_queue_name(made.prefix),
            flow.function_name(made.prefix),
        )
    }
    places = [(widget["x"], widget["y"]) for widget in widgets]
    assert len(set(places)) == len(places)
    assert all(widget["x"] + widget["width"] <= 24 for widget in widgets)
    assert {widget["properties"]["region"] for widget in widgets} == {"us-west-2"}


@every_stack
def test_what_operators_did_is_kept_for_a_year(stack):
    made = deployed(stack)
    group = made.inputs("aws:cloudwatch/logGroup:LogGroup", "operations-log")
    assert (group["name"], group["retentionInDays"]) == (f"/{made.prefix}/operations", 365)


@every_stack
def test_the_schema_is_migrated_after_the_database_is_ready_and_before_anything_uses_it(stack):
    made = deployed(stack)

    def before(urn, seen):
        # A resource is registered once its parent is, and the parent once what it depends on is.
        for other in made.resources[urn].dependency_urns(with_parent=True):
            if other in made.resources and other not in seen:
                seen.add(other)
                before(other, seen)
        return seen

    invocation = made.of("aws:lambda/invocation:Invocation")["migration-invocation"]
    assert set(invocation.inputs["triggers"]) == {"package"}
    needed = {"migrate", "database-server-from-clients", "database-clients-to-server"}
    needed |= {"local": {"database-instance", "database-secret"}, "staging": {"database-instance"}}.get(stack, set())
    assert {made.resources[urn].name for urn in before(invocation.urn, set())} >= needed
    for name in ("api", "job_sweeper", "image_processing-function", *dispatchers(stack)):
        assert invocation.urn in before(made.of(FUNCTION)[name].urn, set()), name
        assert made.order.index(invocation.name) < made.order.index(name)


@every_stack
def test_everything_that_takes_tags_says_project_and_environment(stack):
    made = deployed(stack)
    tagged = [state for state in made.resources.values() if "tags" in state.inputs]
    assert {QUEUE, FUNCTION, ALARM, "aws:iam/role:Role", "aws:s3/bucket:Bucket"} <= {state.type for state in tagged}
    for state in tagged:
        assert state.inputs["tags"] == {"project": "bluemoxon", "environment": stack}, state.urn


@every_stack
def test_every_name_on_aws_tells_the_environment(stack):
    made = deployed(stack)
    names = {
        state.inputs[key]
        for state in made.resources.values()
        for key in ("name", "bucket", "identifier")
        if isinstance(state.inputs.get(key), str) and state.inputs[key] != "$default"
    }
    assert names
    assert [name for name in names if made.prefix not in name] == []


@every_stack
def test_the_exports_are_what_operators_tools_read(stack):
    made = deployed(stack)
    outputs = made.outcome.outputs
    assert outputs.keys() == {
        "api_url",
        "images_bucket",
        "database",
        "database_secret_arn",
        "api_keys_secret_arn",
        "flows",
        "migrate_function",
        "api_function",
        "operations_log_group",
        "alarms_topic_arn",
        "releases_bucket",
        "artefacts",
        "functions",
    }
    assert outputs["images_bucket"] == f"{made.prefix}-images"
    assert outputs["migrate_function"] == f"{made.prefix}-migrate"
    assert outputs["api_function"] == f"{made.prefix}-api"
    assert outputs["operations_log_group"] == f"/{made.prefix}/operations"
    assert outputs["alarms_topic_arn"].endswith(f":{made.prefix}-alarms")
    assert [flow["key"] for flow in outputs["flows"]] == [flow.key for flow in flows.catalogue(made.prefix)]


@every_stack
def test_the_api_carries_the_registry_of_every_flow_and_the_variables_of_those_it_sends_to(stack):
    made = deployed(stack)
    inputs = made.inputs(FUNCTION, "api")
    registry = json.loads(inputs["code"].assets["handlers/api/registry.json"].text)
    assert registry["prefix"] == made.prefix
    assert registry["environment"] == stack
    assert registry["flows"] == made.outcome.outputs["flows"]
    assert registry["flows"] == [
        flow.registry_entry(made.prefix, "BMX_", deployed=f"{flow.key}-function" in made.of(FUNCTION))
        for flow in flows.catalogue(made.prefix)
    ]
    variables = inputs["environment"]["variables"]
    sends = {"BMX_" + flow.variable for flow in flows.catalogue(made.prefix) if "api" in flow.producers}
    assert {name for name in variables if name.endswith("_QUEUE_NAME")} == sends
    assert variables["BMX_ENVIRONMENT"] == stack
    assert variables["BMX_DATABASE_SECRET_ARN"] == made.outcome.outputs["database_secret_arn"]
    assert variables["BMX_API_KEYS_SECRET_ARN"] == made.outcome.outputs["api_keys_secret_arn"]
    assert variables["BMX_DATABASE_SSLMODE"] == ("disable" if stack == "local" else "require")


def test_each_mode_of_the_database_makes_exactly_its_own_resources():
    def made(stack):
        return {
            (state.type.split(":")[-1], state.name)
            for state in deployed(stack).resources.values()
            if state.custom and "index:Database$" in state.urn
        }

    reached = {
        ("SecurityGroup", "database-clients"),
        ("SecurityGroupEgressRule", "database-clients-to-aws"),
        ("SecurityGroupEgressRule", "database-clients-to-server"),
        ("SecurityGroupIngressRule", "database-server-from-clients"),
    }
    assert made("prod") == reached
    assert made("staging") == reached | {("Instance", "database-instance"), ("Secret", "database-secret")}
    assert made("local") == made("staging") | {
        ("SecurityGroup", "database-server"),
        ("SubnetGroup", "database-subnets"),
        ("ParameterGroup", "database-parameters"),
        ("SecretVersion", "database-secret"),
    }


@every_stack
def test_the_database_is_reached_from_the_functions_on_its_port_and_from_nowhere_else(stack):
    made = deployed(stack)
    (rule,) = made.of("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule").values()
    clients = made.of("aws:ec2/securityGroup:SecurityGroup")["database-clients"].id
    assert rule.inputs["referencedSecurityGroupId"] == clients
    assert (rule.inputs["fromPort"], rule.inputs["toPort"], rule.inputs["ipProtocol"]) == (5432, 5432, "tcp")
    assert "cidrIpv4" not in rule.inputs
    for group in made.of("aws:ec2/securityGroup:SecurityGroup").values():
        assert "ingress" not in group.inputs


@pytest.mark.slow
def test_a_preview_of_an_unchanged_program_elsewhere_changes_nothing(tmp_path):
    project = copy_of_the_program(tmp_path / "copy")
    with harness("local", tmp_path, project, after=deployed("local")) as run:
        outcome = run.preview()
        assert outcome.ok, said(outcome)
        assert steps(outcome) == []


@pytest.mark.slow
def test_another_timeout_changes_exactly_what_carries_a_number_derived_from_it(tmp_path):
    project = copy_of_the_program(tmp_path / "copy")
    flow = flows.catalogue("bluemoxon-local")[0]
    other = dataclasses.replace(flow, timeout=flow.timeout + 60)
    carriers = {
        "timeout": {"image_processing-function"},
        "visibility_timeout": {"image_processing-queue"},
        "oldest_message_threshold": {"image_processing-oldest-message"},
        "duration_threshold": {"image_processing-duration"},
    }
    expected = set().union(
        *(names for field, names in carriers.items() if getattr(flow, field) != getattr(other, field))
    )
    if flow.registry_entry("p", deployed=True) != other.registry_entry("p", deployed=True):
        expected.add("api")
    if body("p", [flow], "r") != body("p", [other], "r"):
        expected.add("dashboard-dashboard")
    with harness("local", tmp_path, project, after=deployed("local")) as run:
        source = project / "flows.py"
        text = source.read_text()
        assert text.count(f"timeout={flow.timeout},") == 1
        source.write_text(text.replace(f"timeout={flow.timeout},", f"timeout={other.timeout},"))
        outcome = run.preview()
        assert outcome.ok, said(outcome)
        assert {op for op, _ in steps(outcome)} == {"update"}
        assert sorted(name for _, name in steps(outcome)) == sorted(expected)
