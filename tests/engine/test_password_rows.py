"""The password matrix under the real engine and the embedded one; what a row must show is written here, beforehand.

A step's name says the cell: ``ignored`` (exit 0, nobody told, the value kept), ``nothing`` (no step on the database),
``overwritten``, ``replaced``, ``gone`` (the accident); a step that is refused says its sentence.
"""

from typing import Any

import pytest

from tests.engine.embedded import Embedded
from tests.engine.runner import play
from tests.engine.scenario import Scenario, password_scenarios
from tests.engine.transcript import differences, read

DATABASE = "aws:rds/instance:Instance::database"
EVERY = pytest.mark.parametrize("scenario", password_scenarios(), ids=lambda scenario: scenario.name)
GUARDED = ("password_guarded", "password_guarded_import")


def steps(name: str) -> list[dict[str, Any]]:
    """The recorded steps of a scenario."""
    found: list[dict[str, Any]] = read(name)["steps"]
    return found


def calls(step: dict[str, Any]) -> list[dict[str, Any]]:
    """What the provider was asked to do with the database."""
    return [call for call in step["calls"].get(DATABASE, []) if call["method"] != "read"]


def passwords(step: dict[str, Any]) -> list[str]:
    """The passwords that the provider was given."""
    return [call["inputs"]["password"]["secret"] for call in calls(step) if "password" in call.get("inputs", {})]


@EVERY
def test_the_embedded_engine_does_what_the_real_one_did(scenario: Scenario, tmp_path):
    assert differences(read(scenario.name), play(scenario, tmp_path, Embedded)) == []


@pytest.mark.parametrize("name", GUARDED)
def test_no_step_gives_a_locked_database_another_password_or_takes_it_away(name: str):
    later = [step for step in steps(name) if "creation" not in step["step"] and "recreated" not in step["step"]]
    assert [step["step"] for step in later for call in calls(step) if call["method"] in {"create", "delete"}] == []
    assert [step["step"] for step in later if set(passwords(step)) - {"a-good-password-1", "rotated"}] == []


@pytest.mark.parametrize("name", GUARDED)
def test_every_row_of_a_locked_database_is_as_its_name_says(name: str):
    for step in steps(name):
        cell = step["step"].rsplit(": ", 1)[-1]
        if cell in {"ignored", "nothing", "kept"}:
            assert step["exit"] == 0, step["step"]
            assert step["operations"].get(DATABASE, ["same"]) == ["same"], step["step"]
            assert calls(step) == [], step["step"]
        elif step["refused"] and step["refused"] != "quota":
            assert step["exit"], step["step"]
            assert calls(step) == [], step["step"]
            assert len(step["state"][DATABASE]) == 1, step["step"]


def test_the_accident_happens_to_a_database_that_only_protect_guards():
    seen = set()
    for step in steps("password_unguarded"):
        cell = step["step"].rsplit(": ", 1)[-1]
        methods = [call["method"] for call in calls(step)]
        expected = {"overwritten": ["update"], "replaced": ["create", "delete"], "gone": ["delete"], "nothing": []}
        if cell in expected:
            seen.add(cell)
            assert (step["exit"], methods) == (0, expected[cell]), step["step"]
            assert cell != "overwritten" or len(passwords(step)) == 1, step["step"]
    assert seen == {"overwritten", "replaced", "gone", "nothing"}


def test_an_ignored_password_is_no_guard_when_the_database_is_made():
    made = next(step for step in steps("password_guarded") if step["step"] == "recreated with another password")
    failed = steps("password_guarded")[0]
    assert passwords(failed) == ["not-used"]
    assert passwords(made) == ["a-good-password-1"]
