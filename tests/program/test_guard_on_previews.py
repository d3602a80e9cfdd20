"""The plan gate over what the engine really writes: the incident is refused, an ordinary change passes."""

import json

import pytest

from ops.guard import judge, parse_preview, parse_state
from tests.program.harness import Harness
from tests.program.recording import RecordingProvider
from tests.program.stacks import STACKS, harness

PROGRAM = """
import pulumi
from tests.program.things import Thing, options

database = Thing(
    "database",
    type_="aws:rds/instance:Instance",
    engine="16",
    password=pulumi.Output.secret({password!r}),
    opts=options(protect=True),
)
Thing("worker", type_="aws:lambda/function:Function", timeout={timeout})
"""


@pytest.fixture
def run(tmp_path):
    provider = RecordingProvider("aws", force_new={"aws:rds/instance:Instance": ["engine"]})
    with Harness(tmp_path, PROGRAM.format(password="good", timeout=1), providers=[provider]) as made:
        made.up()
        yield made


def judged(outcome, state=None):
    return judge(parse_preview(json.dumps(outcome.to_json())), state)


def test_the_incident_is_refused_though_both_sides_are_masked(run):
    run.write(PROGRAM.format(password="not-used", timeout=1))
    outcome = run.preview()
    shown = json.dumps(outcome.to_json())
    assert outcome.ok
    assert "not-used" not in shown
    (finding,) = judged(outcome).refused
    assert (finding.rule, finding.what) == ("credential-change", "password")


def test_an_ordinary_change_passes(run):
    run.write(PROGRAM.format(password="good", timeout=2))
    report = judged(run.preview())
    assert report.passed
    assert [step.name for step in report.steps] == ["worker"]


def test_a_preview_that_the_program_ended_is_refused(run):
    run.write("raise RuntimeError('broken')")
    assert {finding.rule for finding in judged(run.preview()).refused} == {"preview-failed"}


@pytest.mark.parametrize(
    "stack", [pytest.param(stack, marks=pytest.mark.slow if stack != "local" else ()) for stack in STACKS]
)
def test_the_first_deployment_of_the_real_program_passes_but_for_the_account_that_staging_lets_in(stack, tmp_path):
    with harness(stack, tmp_path) as first:
        # What `pulumi stack export` says of a new stack; staging takes its database in, which needs it.
        report = judged(first.preview(), parse_state('{"version": 3, "deployment": {}}'))
    found = [(finding.rule, finding.urn.rsplit("::", 1)[1]) for finding in report.refused]
    assert found == ([("iam-widened", "image_processing-build-access")] if stack == "staging" else []), report.lines()
    assert report.preview.changes["create"] > 50
