"""Play a scenario on one engine and write its transcript."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.engine.engines import Engine, lay_out
from tests.engine.provider import ScriptedProvider, by_urn, serving
from tests.engine.scenario import Scenario, Step
from tests.engine.transcript import Run, short

#: Packages that the scripted provider stands for.
PACKAGES = ("scripted", "aws")


def play(scenario: Scenario, folder: Path, engine: Callable[[Path, dict[str, int]], Engine]) -> dict[str, Any]:
    """Run every step of ``scenario`` on the engine that ``engine`` makes, and give the transcript.

    Raises
    ------
    AssertionError
        A step was refused that should not be, was not refused where it should, or said something else.
    """
    provider = ScriptedProvider()
    with serving(provider) as port:
        under_test = engine(lay_out(scenario, folder), dict.fromkeys(PACKAGES, port))
        steps = [_play(step, scenario, provider, under_test) for step in scenario.steps]
    return {"scenario": scenario.name, "engine": under_test.version(), "steps": steps}


def _play(step: Step, scenario: Scenario, provider: ScriptedProvider, engine: Engine) -> dict[str, Any]:
    provider.begin(step.script)
    run = engine.run(step, provider.hanging.wait if step.killed else None)
    provider.release()
    _hold_to_its_sentence(step, run)
    operations = run.operations
    if run.exit_code:
        # What else had been begun when a step failed, and in which order, is a race; untouched neighbours are left out.
        operations = sorted((urn, op) for urn, op in operations if op != "same")
    played: dict[str, Any] = {
        "step": step.name,
        "command": " ".join([step.run, *step.options]),
        "exit": run.exit_code,
        "refused": step.says,
        "operations": _by_urn(operations),
        "calls": {short(urn): calls for urn, calls in by_urn(provider.calls).items()},
        "state": run.state,
        "pending": [f"{operation} {short(urn)}" for operation, urn in run.pending],
        "secrets in sight": _seen(step, run),
        "diagnostics": _without_paths(run.errors),
    }
    if scenario.ordered:
        played["order"] = [f"{call['method']} {call['urn'].rsplit('::', 1)[1]}" for call in provider.calls]
    return played


def _hold_to_its_sentence(step: Step, run: Run) -> None:
    if step.killed:
        return
    said = "\n".join(run.errors)
    assert bool(run.exit_code) == bool(step.says), f"{step.name}: exit {run.exit_code}\n{said}\n{run.output[-2000:]}"
    assert step.says in said, f"{step.name}: it should say {step.says!r}, it says:\n{said}"


def _by_urn(operations: list[tuple[str, str]]) -> dict[str, list[str]]:
    urns = sorted({urn for urn, _ in operations})
    return {short(urn): [operation for of, operation in operations if of == urn] for urn in urns}


def _without_paths(errors: list[str]) -> list[str]:
    """Leave out a traceback's lines: they say where the program lies on one machine."""
    lines = [[line for line in error.splitlines() if not re.search(r"(^|[\s\"'])/\w", line)] for error in errors]
    return ["\n".join(kept) for kept in lines if kept]


def _seen(step: Step, run: Run) -> list[str]:
    """Where a secret of the configuration can be read in plain text: nowhere, we hope."""
    places = {"output": run.output, "state": run.state_text, "errors": json.dumps(run.errors)}
    return [place for place, text in places.items() if any(secret in text for secret in step.secrets.values())]
