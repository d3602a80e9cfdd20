"""IAM both ways: a full run with its failures, held against what every role was granted."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import pytest

from components.unscoped import INSPECTING_ACTIONS, RUNNING_ACTIONS, UNSCOPED_ACTIONS
from local import iam_actions
from local.iam_policy import action_matches
from tests.e2e.conftest import Deployed
from tests.e2e.drive import FLOWS, PREFIX, Drive
from tests.e2e.grants import Grant, Use, differences, granted_to_roles, granted_to_services, uses

pytestmark = pytest.mark.slow

INSPECTOR = f"{PREFIX}-api"
ROLES = (
    *(f"{PREFIX}-{name}" for name in ("api", "job-sweeper", "migrate", "tracking-dispatcher")),
    *(flow.function_name(PREFIX) for flow in FLOWS),
)

#: Actions that every function's role has and that only AWS itself exercises: the one place where that is written down.
ONLY_AWS_ACTS = {
    "ec2:AssignPrivateIpAddresses": "Lambda's service attaches functions to the VPC; here there is no interface",
    "ec2:CreateNetworkInterface": "as above",
    "ec2:DeleteNetworkInterface": "as above",
    "ec2:DescribeNetworkInterfaces": "as above",
    "ec2:DescribeSubnets": "as above",
    "ec2:UnassignPrivateIpAddresses": "as above",
    "xray:PutTelemetryRecords": "Lambda's service sends the traces of active tracing; here nobody does",
    "xray:PutTraceSegments": "as above",
}


@dataclass
class Run:
    """The record of the deployment and of the drive, and where the drive stopped, if it did."""

    grants: set[Grant]
    used: set[Use]
    denied: set[Use]
    steps: dict[str, Exception | None] = field(default_factory=dict)

    @property
    def only_aws(self) -> set[Grant]:
        """The grants that no run here can use."""
        return {Grant(role, action, "*") for role in ROLES for action in ONLY_AWS_ACTS}


def resource_policies(deployed: Deployed) -> list[str]:
    """The policies that functions, topics, queues, buckets and secrets carry themselves."""
    cloud, found = deployed.cloud, []
    functions = cloud.client("lambda")
    for function in functions.list_functions()["Functions"]:
        try:
            found.append(functions.get_policy(FunctionName=function["FunctionName"])["Policy"])
        except functions.exceptions.ResourceNotFoundException:
            continue  # invoked by nobody but operators and its queue
    sns, sqs, s3, secrets = (cloud.client(name) for name in ("sns", "sqs", "s3", "secretsmanager"))
    for topic in sns.list_topics()["Topics"]:
        found.append(sns.get_topic_attributes(TopicArn=topic["TopicArn"])["Attributes"]["Policy"])
    for url in sqs.list_queues().get("QueueUrls", []):
        found.append(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"].get("Policy"))
    found.append(s3.get_bucket_policy(Bucket=deployed.stack.output("images_bucket"))["Policy"])
    for secret in secrets.list_secrets()["SecretList"]:
        found.append(secrets.get_resource_policy(SecretId=secret["ARN"]).get("ResourcePolicy"))
    kms = cloud.client("kms")
    for key in kms.list_keys()["Keys"]:
        found.append(kms.get_key_policy(KeyId=key["KeyId"], PolicyName="default")["Policy"])
    return [policy for policy in found if policy]


def to_services(grants: set[Grant]) -> set[Grant]:
    """Without what a key's policy gives to its own account, which only makes the account's IAM count for the key."""
    return {grant for grant in grants if not grant.role.endswith(":root")}


@pytest.fixture(scope="module")
def run(deployed: Deployed, tmp_path_factory: pytest.TempPathFactory) -> Run:
    record = deployed.cloud.iam
    before = len(record.decisions)
    drive = Drive(deployed, tmp_path_factory.mktemp("photos"))
    steps: dict[str, Exception | None] = {}
    for name, step in drive.steps().items():
        # a step that fails must not hide the permission that it failed for
        try:
            step()
            steps[name] = None
        except Exception as error:  # noqa: BLE001
            steps[name] = error
    time.sleep(2)  # logs are delivered behind the invocations
    decisions = record.decisions
    other = {number for numbers in deployed.elsewhere for number in numbers}
    own = [decision for number, decision in enumerate(decisions) if number not in other]
    # What a function has read in an earlier test it does not read again, so uses are those of the whole session.
    return Run(
        grants=granted_to_roles(deployed.cloud.client("iam"))
        | to_services(granted_to_services(resource_policies(deployed))),
        used=uses(own, allowed=True),
        denied=uses(decisions[: deployed.decided] + decisions[before:], allowed=False),
        steps=steps,
    )


def test_nothing_was_denied(run: Run) -> None:
    assert sorted(map(str, run.denied)) == []


def test_every_step_went_as_it_must(run: Run) -> None:
    assert {name: error for name, error in run.steps.items() if error} == {}


def test_what_was_granted_is_what_was_used_and_what_only_aws_uses(run: Run) -> None:
    assert differences(run.grants, run.used, run.denied, run.only_aws) == []


def test_only_the_functions_have_roles(run: Run) -> None:
    services = {"apigateway.amazonaws.com", "cloudwatch.amazonaws.com", "events.amazonaws.com"}
    assert {grant.role for grant in run.grants} == {*ROLES, *services}


def test_the_program_takes_no_more_for_unscoped_than_aws_alone_exercises() -> None:
    assert set(RUNNING_ACTIONS) == set(ONLY_AWS_ACTS)


def test_only_the_inspector_has_the_unscoped_actions_for_looking(run: Run) -> None:
    everywhere = {grant for grant in run.grants if grant.resource == "*" and grant.role in ROLES}
    assert {grant.role for grant in everywhere if grant.action in INSPECTING_ACTIONS} == {INSPECTOR}
    assert {grant.action for grant in everywhere} == set(UNSCOPED_ACTIONS)


def test_every_grant_taken_away_is_missed_by_name(run: Run) -> None:
    unmissed = [
        str(grant)
        for grant in sorted(run.grants)
        if not any(missed(grant, said) for said in told(run, grant.role, run.grants - {grant}))
    ]
    assert unmissed == []


def told(run: Run, role: str, grants: Collection[Grant]) -> list[str]:
    """The differences with other grants, of one role: a grant of another role changes nothing about it."""
    mine: list[Any] = [
        [each for each in everything if each.role == role] for everything in (grants, run.used, run.only_aws)
    ]
    return differences(mine[0], mine[1], set(), mine[2])


def missed(grant: Grant, said: str) -> bool:
    """Whether a difference speaks of this role's lack of this action."""
    used = said.removeprefix(f"used and not granted: {grant.role}: ")
    return (used != said and action_matches(grant.action, used.partition(" on ")[0])) or said == (
        f"said to be AWS's own and not granted: {grant}"
    )


def every_further_grant(grants: set[Grant]) -> set[Grant]:
    """Every modelled action, for every role, on every resource that any grant names and on everything."""
    actions = {f"{service}:{name}" for service, table in iam_actions.TABLES.items() for name in table}
    actions |= {f"s3:{name}" for name in ("GetObject", "PutObject", "DeleteObject", "ListBucket", "GetObjectVersion")}
    actions |= set(UNSCOPED_ACTIONS) | {"s3:*", "sqs:*", "*"}
    # Of each service's resources two stand for all: what is compared is the pattern's role, action and text.
    by_service: dict[str, list[str]] = {}
    for resource in sorted({grant.resource for grant in grants}):
        by_service.setdefault(resource.split(":")[2] if resource != "*" else "*", []).append(resource)
    resources = [resource for found in by_service.values() for resource in (found[0], found[-1])]
    return {
        Grant(role, action, resource)
        for role in {grant.role for grant in grants}
        for action in actions
        for resource in resources
        if resource == "*" or action == "*" or resource.split(":")[2] == action.split(":")[0]
    } - grants


def test_every_grant_added_is_found_by_name(run: Run) -> None:
    further = every_further_grant(run.grants)
    assert len(further) > 1000
    unfound = [
        str(grant)
        for grant in sorted(further)
        if f"granted and not needed: {grant}" not in told(run, grant.role, run.grants | {grant})
    ]
    assert unfound == []
