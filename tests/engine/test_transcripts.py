"""The real Pulumi engine's transcripts are the measure of the embedded engine."""

import json
import re

import pytest

from tests.engine.embedded import Embedded
from tests.engine.runner import play
from tests.engine.scenario import Scenario, general_scenarios, scenarios
from tests.engine.transcript import RECORDED, differences, read

#: What `./bmx test` leaves to `--all`: each step of a scenario runs a program in a process of its own.
LATER = frozenset(
    {
        "aliases",
        "hooks",
        "hooks_around_making",
        "ignore_changes",
        "imports",
        "invokes",
        "program_fails",
        "provider_fails",
        "refresh",
        "replace_on_changes",
        "retain",
        "targets_need_dependencies",
        "transforms",
        "unknowns",
    }
)
EVERY = pytest.mark.parametrize("scenario", scenarios(), ids=lambda scenario: scenario.name)


@pytest.mark.parametrize(
    "scenario",
    [
        pytest.param(scenario, marks=pytest.mark.slow if scenario.name in LATER else ())
        for scenario in general_scenarios()
    ],
    ids=lambda scenario: scenario.name,
)
def test_the_embedded_engine_does_what_the_real_one_did(scenario: Scenario, tmp_path):
    assert differences(read(scenario.name), play(scenario, tmp_path, Embedded)) == []


def test_every_scenario_has_a_transcript_of_its_steps_and_every_transcript_a_scenario():
    declared = {scenario.name: [step.name for step in scenario.steps] for scenario in scenarios()}
    recorded = {file.stem: [step["step"] for step in read(file.stem)["steps"]] for file in RECORDED.glob("*.json")}
    assert declared == recorded


@EVERY
def test_a_transcript_holds_no_path_and_no_address_and_secrets_only_where_the_provider_gets_them(scenario: Scenario):
    transcript = read(scenario.name)
    assert re.findall(r"(?:/tmp|/root|/home|/work)\b|\w+://|127\.0\.0\.1|localhost", json.dumps(transcript)) == []
    elsewhere = json.dumps(
        [{key: part for key, part in step.items() if key != "calls"} for step in transcript["steps"]]
    )
    assert [secret for step in scenario.steps for secret in step.secrets.values() if secret in elsewhere] == []
