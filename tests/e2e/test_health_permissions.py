"""Each inspect action taken from the API's role, one resource at a time: health names action and role, and goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.e2e.conftest import Deployed

ROLE = "bluemoxon-local-api"
SQS_ACTIONS = ("sqs:GetQueueUrl", "sqs:GetQueueAttributes")
UNSCOPED = ("lambda:ListEventSourceMappings", "cloudwatch:GetMetricData")


@pytest.fixture(scope="module")
def look(deployed: Deployed) -> Callable[[], Any]:
    client = deployed.cloud.client("lambda")

    def ask() -> Any:
        answer = client.invoke(FunctionName=deployed.stack.output("api_function"), Payload=b'{"health": "deep"}')
        text = answer["Payload"].read()
        assert "FunctionError" not in answer, text
        return json.loads(text)

    return ask


@contextmanager
def without(deployed: Deployed, action: str, resource: str) -> Iterator[None]:
    """Take one action on one resource from the API's role, in every policy that grants it, for the block."""
    iam = deployed.cloud.client("iam")
    changed = []
    for attached in iam.list_attached_role_policies(RoleName=ROLE)["AttachedPolicies"]:
        arn = attached["PolicyArn"]
        before = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        document = iam.get_policy_version(PolicyArn=arn, VersionId=before)["PolicyVersion"]["Document"]
        statements = [part for each in document["Statement"] for part in _less(each, action, resource)]
        if statements != document["Statement"]:
            text = json.dumps(document | {"Statement": statements})
            made = iam.create_policy_version(PolicyArn=arn, PolicyDocument=text, SetAsDefault=True)
            changed.append((arn, before, made["PolicyVersion"]["VersionId"]))
    try:
        assert changed, f"{ROLE} was never granted {action} on {resource}"
        yield
    finally:
        for arn, before, made in changed:
            iam.set_default_policy_version(PolicyArn=arn, VersionId=before)
            iam.delete_policy_version(PolicyArn=arn, VersionId=made)


def _less(statement: dict[str, Any], action: str, resource: str) -> Iterator[dict[str, Any]]:
    actions, resources = _list(statement["Action"]), _list(statement["Resource"])
    if action not in actions or resource not in resources:
        yield statement
        return
    others = [each for each in actions if each != action]
    rest = [each for each in resources if each != resource]
    if others:
        yield statement | {"Action": others}
    if rest:
        yield statement | {"Action": [action], "Resource": rest}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def queue_arn(deployed: Deployed, name: str) -> str:
    sqs = deployed.cloud.client("sqs")
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    return str(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"])


def hold(now: Any, before: Any, key: str, action: str) -> None:
    """The flow says what lacks, and nothing else of the answer is another than before."""
    queues = now["checks"]["sqs"]["queues"]
    assert f"the role {ROLE} lacks {action} on it" in queues[key]["diagnosis"]
    assert queues[key]["diagnosis_code"] == "not_permitted"
    for other, queue in before["checks"]["sqs"]["queues"].items():
        if other != key:
            assert queues[other]["diagnosis"] == queue["diagnosis"], other
    for check in ("database", "s3", "config"):
        assert now["checks"][check]["status"] == "healthy", now["checks"][check]


@pytest.mark.slow
def test_every_inspect_action_is_missed_by_name_on_every_queue_and_function(
    deployed: Deployed, look: Callable[[], Any]
) -> None:
    before = look()
    flows = deployed.stack.output("flows")
    assert set(before["checks"]["sqs"]["queues"]) == {flow["key"] for flow in flows}
    for flow in flows:
        for name in (flow["queue_name"], flow["dead_letter_queue_name"]):
            for action in SQS_ACTIONS:
                with without(deployed, action, queue_arn(deployed, name)):
                    now = look()
                hold(now, before, flow["key"], action)
                assert name in now["checks"]["sqs"]["queues"][flow["key"]]["diagnosis"]
        if not flow["deployed"]:
            continue
        functions = deployed.cloud.client("lambda")
        arn = functions.get_function_configuration(FunctionName=flow["function_name"])["FunctionArn"]
        with without(deployed, "lambda:GetFunctionConfiguration", arn):
            now = look()
        hold(now, before, flow["key"], "lambda:GetFunctionConfiguration")
        function = now["checks"]["lambdas"]["lambdas"][flow["key"]]
        assert function["status"] == "degraded"
        assert f"the role {ROLE} lacks lambda:GetFunctionConfiguration" in function["error"]
    assert look()["status"] == before["status"]


@pytest.mark.parametrize("action", UNSCOPED)
def test_an_action_without_a_resource_is_missed_by_name_at_every_flow(
    deployed: Deployed, look: Callable[[], Any], action: str
) -> None:
    before = look()
    with without(deployed, action, "*"):
        now = look()
    for key, queue in now["checks"]["sqs"]["queues"].items():
        if action == UNSCOPED[1] or before["checks"]["sqs"]["queues"][key]["mapping"]:
            assert f"the role {ROLE} lacks {action} on it" in queue["diagnosis"]
        assert queue["messages"] == before["checks"]["sqs"]["queues"][key]["messages"]
        assert queue["dead_letters"] is not None


def test_a_queue_that_may_neither_be_found_nor_looked_at_is_said_to_lack_both_permissions(
    deployed: Deployed, look: Callable[[], Any]
) -> None:
    flow = deployed.stack.output("flows")[0]
    arn = queue_arn(deployed, flow["queue_name"])
    with without(deployed, SQS_ACTIONS[0], arn), without(deployed, SQS_ACTIONS[1], arn):
        queue = look()["checks"]["sqs"]["queues"][flow["key"]]
    assert (queue["status"], queue["diagnosis_code"]) == ("unhealthy", "not_there_or_not_permitted")
    for action in SQS_ACTIONS:
        assert f"the role {ROLE} lacks {action} on it" in queue["diagnosis"]
