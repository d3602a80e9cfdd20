"""What each function's role may do, over all stacks: what its needs name, and nothing else."""

import json

import pytest

import flows
from components.iam import LONGEST_POLICY
from components.needs import ReadObjects, ReadObjectVersions, TellMissingObjects, UseDatabase, WriteObjects
from components.unscoped import RUNNING_ACTIONS
from tests.program.stacks import STACKS, Deployed, deployed

FUNCTION = "aws:lambda/function:Function"

every_stack = pytest.mark.parametrize("stack", STACKS)


def allowed(made: Deployed, function: str) -> set[tuple[str, str]]:
    """Return every pair of action and resource that a function's role allows, from the policies attached to it."""
    role = made.of(FUNCTION)[function].inputs["role"].rpartition("/")[2]
    policies = {state.outputs["arn"]: state.inputs["policy"] for state in made.of("aws:iam/policy:Policy").values()}
    attached = [
        state.inputs["policyArn"]
        for state in made.of("aws:iam/rolePolicyAttachment:RolePolicyAttachment").values()
        if state.inputs["role"] == role
    ]
    assert attached
    pairs = set()
    for arn in attached:
        assert len(policies[arn]) <= LONGEST_POLICY
        for statement in json.loads(policies[arn])["Statement"]:
            assert statement["Effect"] == "Allow"
            pairs |= {(action, resource) for action in statement["Action"] for resource in statement["Resource"]}
    return pairs


def own(made: Deployed, function: str) -> set[tuple[str, str]]:
    """What every function's own running takes."""
    name = made.of(FUNCTION)[function].inputs["name"]
    streams = f"arn:aws:logs:us-west-2:123456789012:log-group:/aws/lambda/{name}:*"
    return {(action, "*") for action in RUNNING_ACTIONS} | {
        ("logs:CreateLogStream", streams),
        ("logs:PutLogEvents", streams),
    }


def reads_secrets(made: Deployed, *arns: str) -> set[tuple[str, str]]:
    return {("secretsmanager:GetSecretValue", arn) for arn in arns}


def database(made: Deployed) -> set[tuple[str, str]]:
    """The contract's secret, and in managed mode the one that RDS keeps."""
    arns = [made.outcome.outputs["database_secret_arn"]]
    if made.stack == "local":
        instance = made.of("aws:rds/instance:Instance")["database-instance"]
        arns.append(instance.outputs["masterUserSecrets"][0]["secretArn"])
    return reads_secrets(made, *arns)


def produces(made: Deployed, function: str) -> set[tuple[str, str]]:
    """Find the queues of the flows that name the function, and send to them."""
    pairs = set()
    for flow in flows.catalogue(made.prefix):
        if function in flow.senders:
            queue = f"arn:aws:sqs:us-west-2:123456789012:{flow.queue_name(made.prefix)}"
            pairs |= {("sqs:GetQueueUrl", queue), ("sqs:SendMessage", queue)}
    return pairs


def operates(made: Deployed) -> set[tuple[str, str]]:
    """Look at every flow, and bring its dead letters back."""
    pairs = {("cloudwatch:GetMetricData", "*"), ("lambda:ListEventSourceMappings", "*")}
    for flow in flows.catalogue(made.prefix):
        queue, dead_letters = (
            f"arn:aws:sqs:us-west-2:123456789012:{name}"
            for name in (flow.queue_name(made.prefix), flow.dead_letter_queue_name(made.prefix))
        )
        for arn in (queue, dead_letters):
            pairs |= {("sqs:GetQueueUrl", arn), ("sqs:GetQueueAttributes", arn)}
        takes = ("ReceiveMessage", "ChangeMessageVisibility", "DeleteMessage")
        pairs |= {("sqs:SendMessage", queue)} | {(f"sqs:{verb}", dead_letters) for verb in takes}
        if f"{flow.key}-function" in made.of(FUNCTION):
            function = f"arn:aws:lambda:us-west-2:123456789012:function:{flow.function_name(made.prefix)}"
            pairs.add(("lambda:GetFunctionConfiguration", function))
    return pairs


def pictures(made: Deployed, *actions: str) -> set[tuple[str, str]]:
    bucket = f"arn:aws:s3:::{made.prefix}-images"
    return {(action, f"{bucket}/books/*") for action in actions} | {("s3:ListBucket", bucket)}


@every_stack
def test_the_api_may_do_this_and_no_more(stack):
    made = deployed(stack)
    assert allowed(made, "api") == (
        own(made, "api")
        | database(made)
        | reads_secrets(made, made.outcome.outputs["api_keys_secret_arn"])
        | pictures(made, "s3:GetObject", "s3:PutObject")
        | produces(made, "api")
        | operates(made)
    )


@every_stack
def test_the_migration_may_log_in_and_no_more(stack):
    made = deployed(stack)
    assert allowed(made, "migrate") == own(made, "migrate") | database(made)


@every_stack
def test_the_sweeper_may_log_in_send_and_read_and_delete_what_was_uploaded_and_no_more(stack):
    made = deployed(stack)
    assert allowed(made, "job_sweeper") == (
        own(made, "job_sweeper")
        | database(made)
        | produces(made, "job_sweeper")
        | pictures(made, "s3:GetObject", "s3:DeleteObject")
    )


@pytest.mark.parametrize("stack", ["local"])
def test_the_dispatcher_may_log_in_and_send_and_no_more(stack):
    made = deployed(stack)
    name = "tracking_dispatcher"
    assert allowed(made, name) == own(made, name) | database(made) | produces(made, name)


@every_stack
def test_a_worker_may_do_what_its_flow_needs_and_receive_its_own_messages_and_no_more(stack):
    made = deployed(stack)
    granted = {
        ReadObjects("books/"): pictures(made, "s3:GetObject") - pictures(made),
        ReadObjectVersions("books/"): pictures(made, "s3:GetObjectVersion") - pictures(made),
        WriteObjects("books/"): pictures(made, "s3:PutObject") - pictures(made),
        TellMissingObjects(): pictures(made),
        UseDatabase(): database(made),
    }
    for flow in flows.catalogue(made.prefix):
        queue = f"arn:aws:sqs:us-west-2:123456789012:{flow.queue_name(made.prefix)}"
        consumes = {(f"sqs:{verb}", queue) for verb in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")}
        needs = set().union(*(granted[need] for need in flow.needs))
        if f"{flow.key}-function" not in made.of(FUNCTION):
            continue
        assert allowed(made, f"{flow.key}-function") == own(made, f"{flow.key}-function") | consumes | needs


@every_stack
def test_a_function_knows_of_nothing_that_its_role_may_not_reach(stack):
    made = deployed(stack)
    for function in made.of(FUNCTION):
        pairs = allowed(made, function)
        variables = made.inputs(FUNCTION, function)["environment"]["variables"]
        actions = {action for action, _ in pairs}
        resources = {resource for _, resource in pairs}
        assert ("BMX_DATABASE_SECRET_ARN" in variables) == ("secretsmanager:GetSecretValue" in actions)
        assert ("BMX_IMAGES_BUCKET" in variables) == ("s3:ListBucket" in actions)
        for name, value in variables.items():
            if name.endswith("_ARN"):
                assert value in resources, name
            if name.endswith("_QUEUE_NAME"):
                assert ("sqs:SendMessage", f"arn:aws:sqs:us-west-2:123456789012:{value}") in pairs


@every_stack
def test_every_role_is_lambdas_alone_and_has_no_policy_besides(stack):
    made = deployed(stack)
    roles = made.of("aws:iam/role:Role")
    assert len(roles) == len(made.of(FUNCTION))
    for state in roles.values():
        (statement,) = json.loads(state.inputs["assumeRolePolicy"])["Statement"]
        assert statement == {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
        assert not {"inlinePolicies", "managedPolicyArns"} & state.inputs.keys()
