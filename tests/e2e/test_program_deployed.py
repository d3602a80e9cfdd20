"""The deployed stack, previewed and changed as an operator would."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from components.flow import Flow
from flows import catalogue
from tests.e2e.conftest import Deployed
from tests.e2e.project import edit

TIMEOUT = "timeout=300"


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


def test_a_new_timeout_changes_exactly_what_carries_a_number_derived_from_it(deployed: Deployed) -> None:
    before = flow()
    derived = carrying_the_timeout(before)
    with edited(deployed, "flows.py", TIMEOUT, "timeout=240"):
        assert set(changed(deployed)) == derived


def carrying_the_timeout(flow: Flow) -> set[str]:
    """What the declaration derives from the timeout, by the names of the resources that carry it."""
    return {
        f"{flow.key}-queue",  # visibility timeout
        f"{flow.key}-function",  # the timeout itself
        f"{flow.key}-duration",  # alarm near the timeout
        "api-function",  # the registry in its package
    }


def test_a_password_in_the_configuration_is_refused_by_name(deployed: Deployed) -> None:
    outcome = deployed.operate("up", "bluemoxon:dbPassword=not-used")
    assert not outcome.ok
    said = " ".join(outcome.errors)
    assert "dbPassword" in said
    assert "password" in said.replace("dbPassword", "")
    assert "not-used" not in said
    assert changed(deployed) == {}


@pytest.mark.parametrize("target", ["flow", "database"])
def test_targeting_leaves_the_database_alone(deployed: Deployed, target: str) -> None:
    patterns = {"flow": "**WorkerFlow**", "database": "**rds/instance:Instance**"}
    outcome = deployed.operate("up", targets=(patterns[target],))
    assert outcome.ok, outcome.diagnostics
    assert not [step for step in outcome.steps if step.op != "same"]
