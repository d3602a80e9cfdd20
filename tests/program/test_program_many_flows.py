"""More flows than the catalogue has: one entry each is all that it takes, and AWS's limits hold."""

import json
from pathlib import Path

import pytest

from components import iam
from components.flow import Flow
from components.function import LARGEST_ENVIRONMENT, environment_bytes
from local.engine.state import ResourceState
from ops.program_copy import copy_of_the_program
from tests.program import stacks
from tests.program.harness import said
from tests.program.stacks import harness

FUNCTION = "aws:lambda/function:Function"
MARK = "        ],\n        prefix,\n"
ENTRY = (
    '            Flow(key="further_{n}", queue="further-{n}-jobs", code="further_{n}", timeout=60, memory=128,'
    ' handler="worker.handler", producers=(API,)),\n'
)


def made_with(further: int, tmp_path: Path) -> dict[tuple[str, str], ResourceState]:
    """Deploy the local stack with this many flows added to the catalogue; return each resource's state by type/name."""
    project = copy_of_the_program(tmp_path / "copy")
    catalogue = project / "flows.py"
    text = catalogue.read_text()
    assert text.count(MARK) == 1
    catalogue.write_text(text.replace(MARK, "".join(ENTRY.format(n=n) for n in range(further)) + MARK))
    with harness("local", tmp_path, project) as run:
        zips = {f"further_{n}": {"zip": {"bucket": "b", "key": "k.zip", "sha256": "c" * 64}} for n in range(further)}
        run.config["bluemoxon:artefacts"] = json.dumps(stacks.ARTEFACTS | zips)
        outcome = run.up(ok=None)
        assert outcome.ok, said(outcome)
        return {(state.type, state.name): state for state in run.store.resources()}


@pytest.mark.slow
def test_a_seventh_flow_takes_one_entry_in_the_catalogue(tmp_path: Path):
    made = made_with(1, tmp_path)
    api = made[FUNCTION, "api"].inputs
    registry = json.loads(api["code"].assets["handlers/api/registry.json"].text)
    assert registry["flows"][-1]["key"] == "further_0"
    assert registry["flows"][-1]["deployed"] is True
    assert len(registry["flows"]) == 7
    dashboard = made["aws:cloudwatch/dashboard:Dashboard", "dashboard-dashboard"].inputs["dashboardBody"]
    assert "bluemoxon-local-further-0-jobs-dlq" in dashboard
    alarms = {name for type_, name in made if type_.endswith(":MetricAlarm") and name.startswith("further_0-")}
    assert {name.removeprefix("further_0-") for name in alarms} == {
        "dead-letters",
        "oldest-message",
        "backlog",
        "errors",
        "throttles",
        "duration",
    }
    granted = "".join(
        state.inputs["policy"]
        for (type_, name), state in made.items()
        if type_ == "aws:iam/policy:Policy" and name.startswith("api-role-")
    )
    assert granted.count(':bluemoxon-local-further-0-jobs"') >= 2
    assert ':function:bluemoxon-local-further-0"' in granted


@pytest.mark.parametrize("number", [6, pytest.param(25, marks=pytest.mark.slow)])
def test_variables_and_policies_of_the_api_hold_this_many_flows(number: int):
    prefix, arn = "bluemoxon-staging", "arn:aws:{}:us-west-2:123456789012:{}"
    variables: dict[str, str] = {}
    statements = [*iam.unscoped_statements()]
    for n in range(number):
        # as long as the contract's longest
        flow = Flow(
            key=f"profile_generation_{n:02}", queue=f"profile-generation-{n:02}-jobs", code="c", timeout=600, memory=256
        )
        queue, dead = (
            arn.format("sqs", name) for name in (flow.queue_name(prefix), flow.dead_letter_queue_name(prefix))
        )
        function = arn.format("lambda", f"function:{flow.function_name(prefix)}")
        variables[f"BMX_{flow.variable}"] = flow.queue_name(prefix)
        statements += iam.producer_statements(queue)
        statements += iam.inspector_statements(queue, dead, function)
        statements += iam.redriver_statements(queue, dead)
    # the API's other variables come to less than a kilobyte
    assert environment_bytes(variables) <= LARGEST_ENVIRONMENT - 1024
    packed = iam.documents(statements)
    # one policy is left for the API's pictures, secrets and logs
    assert len(packed) <= iam.MOST_POLICIES - 1
    for document in packed:
        written = [{"Effect": "Allow", "Action": s.actions, "Resource": s.resources} for s in document]
        text = json.dumps({"Version": "2012-10-17", "Statement": written}, separators=(",", ":"))
        assert len(text) <= iam.LONGEST_POLICY
