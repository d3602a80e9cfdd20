"""The deployed stack, previewed and changed as an operator would."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from components.dashboard import body
from components.flow import Flow
from flows import catalogue
from ops.program_copy import edit
from tests.e2e.conftest import Deployed


@contextmanager
def edited(deployed: Deployed, file: str, before: str, after: str) -> Iterator[None]:
    edit(deployed.project, file, before, after)
    try:
        yield
    finally:
        edit(deployed.project, file, after, before)


def flow() -> Flow:
    return catalogue("bluemoxon-local")[0]


def changed(deployed: Deployed) -> dict[str, set[str]]:
    """Names of the resources that a preview would touch, each with the properties that differ."""
    outcome = deployed.operate("preview")
    assert outcome.ok, outcome.diagnostics
    return {step.name: set(step.detailed_diff or {}) for step in outcome.steps if step.op != "same"}


def test_a_second_preview_finds_no_changes(deployed: Deployed) -> None:
    assert changed(deployed) == {}


#: Which resource carries which number of the declaration, by its name's end.
CARRIES = {
    "timeout": "{key}-function",
    "visibility_timeout": "{key}-queue",
    "duration_threshold": "{key}-duration",
    "oldest_message_threshold": "{key}-oldest-message",
}


def numbers(flow: Flow) -> dict[str, int]:
    """Every number of a declaration, given or derived."""
    names = {name for name in dir(flow) if not name.startswith("_")}
    return {name: value for name in names if isinstance(value := getattr(flow, name), int)}


def test_a_new_timeout_changes_exactly_what_carries_a_number_derived_from_it(deployed: Deployed) -> None:
    before = flow()
    after = replace(before, timeout=240)
    different = {name for name, value in numbers(before).items() if numbers(after)[name] != value}
    derived = {CARRIES[name].format(key=before.key) for name in different}
    if before.registry_entry("p", deployed=True) != after.registry_entry("p", deployed=True):
        derived.add("api")  # the registry in the API's package
    if body("p", [before], "r") != body("p", [after], "r"):
        derived.add("dashboard-dashboard")
    with edited(deployed, "flows.py", f"timeout={before.timeout},", "timeout=240,"):
        assert set(changed(deployed)) == derived


def test_a_password_in_the_configuration_is_refused_by_name(deployed: Deployed) -> None:
    outcome = deployed.operate("up", "bluemoxon:dbPassword=not-used")
    assert not outcome.ok
    said = " ".join(outcome.errors())
    assert "dbPassword" in said
    assert "password" in said.replace("dbPassword", "")
    assert "not-used" not in said
    assert changed(deployed) == {}


@pytest.mark.parametrize("target", ["flow", "database"])
@pytest.mark.slow
def test_targeting_leaves_the_database_alone(deployed: Deployed, target: str) -> None:
    patterns = {"flow": "**WorkerFlow**", "database": "**rds/instance:Instance**"}
    outcome = deployed.operate("up", targets=(patterns[target],))
    assert outcome.ok, outcome.diagnostics
    assert not [step for step in outcome.steps if step.op != "same"]
