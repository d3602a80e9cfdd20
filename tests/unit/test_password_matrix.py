"""The written matrix: its rows stand beside what Pulumi's own engine did, and its layers are what the program has."""

import json
from typing import Any

import pytest

from ops.matrix_layers import CONTROLS, LAYERS
from ops.matrix_rows import INSTANCE, ROWS, Cell, Proof, Row
from ops.paths import ROOT
from ops.program_copy import copy_of_the_program, edit

RECORDED = ROOT / "tests" / "engine" / "recorded"
PROVEN = [(row, row.proof) for row in (*ROWS, *CONTROLS) if row.proof]


def recorded(proof: Proof, name: str) -> dict[str, Any]:
    steps = json.loads((RECORDED / f"{proof.scenario}.json").read_text())["steps"]
    found: list[dict[str, Any]] = [step for step in steps if step["step"] == name]
    assert len(found) == 1, (proof.scenario, name)
    return found[0]


def recorded_class(step: dict[str, Any]) -> str:
    """The class of a cell, where *ignored* and *nothing* are one: the engine leaves the database as it is."""
    if step["exit"]:
        return "refused"
    operations = {op for urn, ops in step["operations"].items() if INSTANCE in urn for op in ops}
    done = sorted(operations - {"same", "refresh", "read"})
    return f"allowed: {', '.join(done)}" if done else "kept"


def written_class(cell: str) -> str:
    return "kept" if cell in {"ignored", "nothing"} else cell


@pytest.mark.parametrize(("row", "proof"), PROVEN, ids=lambda value: getattr(value, "name", ""))
def test_the_real_engine_did_what_the_row_says(row: Row, proof: Proof) -> None:
    step = recorded(proof, proof.up)
    assert recorded_class(step) == written_class(row.cell.up)
    if proof.preview:
        assert recorded(proof, proof.preview)["command"].startswith("preview")
        assert recorded_class(recorded(proof, proof.preview)) == written_class(row.cell.preview)
    if step["refused"] and proof.scenario != "program_fails":
        # There the sentence is the settings' own; what is proven is that a program that refuses leaves all as it is.
        said = row.cell.up_says or row.cell.says
        assert said in step["refused"] or step["refused"] in said


@pytest.mark.parametrize(("row", "proof"), PROVEN, ids=lambda value: getattr(value, "name", ""))
def test_the_recorded_command_has_the_rows_options(row: Row, proof: Proof) -> None:
    command = recorded(proof, proof.up)["command"]
    assert command.split()[0] == row.kind
    for option in ("ignore_protect", "run_program"):
        assert (f"--{option.replace('_', '-')}" in command) == bool(row.options.get(option))
    assert ("--replace" in command) == bool(row.options.get("replace"))


def test_only_what_no_engine_takes_part_in_has_no_transcript() -> None:
    assert {row.name for row in (*ROWS, *CONTROLS) if not row.proof} == {"deleted by another hand at AWS"}


def test_every_row_has_a_name_of_its_own() -> None:
    for rows in (ROWS, CONTROLS):
        assert len({row.name for row in rows}) == len(rows)


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_a_layer_changes_a_cell_of_a_row_that_there_is(layer) -> None:
    cells: dict[str, Cell] = {row.name: row.cell for row in ROWS}
    assert set(layer.then) <= set(cells)
    assert [name for name, cell in layer.then.items() if cell == cells[name]] == []
    assert layer.then


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_the_program_has_the_layer(layer, tmp_path) -> None:
    project = copy_of_the_program(tmp_path / "program")
    for change in layer.edits:
        edit(project, change.file, change.before, change.after)


@pytest.mark.parametrize("row", CONTROLS, ids=lambda row: row.name)
def test_a_control_is_the_program_without_its_guards(row: Row, tmp_path) -> None:
    project = copy_of_the_program(tmp_path / "program")
    for change in row.edits:
        edit(project, change.file, change.before, change.after)
    lock = (project / "components" / "credential_lock.py").read_text()
    assert "hooks=" not in lock
    assert "protect=True" not in lock
    assert "*IGNORED," not in lock.replace("*REFUSED, *IGNORED", "")


@pytest.mark.parametrize(("up", "code"), [("nothing", 0), ("allowed: update", 1)])
def test_the_command_fails_when_a_cell_is_not_as_written(up: str, code: int, monkeypatch, capsys) -> None:
    from local import offline
    from ops import matrix

    row = next(row for row in ROWS if row.name == "full up")
    result = matrix.Result("as it is", row, row.cell, Cell("nothing", up), ("said",))
    monkeypatch.setattr(matrix, "matrix", lambda folder, **_: iter([result]))
    monkeypatch.setattr(offline, "install", lambda: None)
    assert matrix.show(layers=False, as_json=True) == code
    (shown,) = json.loads(capsys.readouterr().out)["results"]
    assert shown["as_written"] is (code == 0)
    assert shown["real_engine"]["scenario"] == "password_guarded"
    assert matrix.show(layers=False, as_json=False) == code
    assert f"{1 - code} of 1 cells as written" in capsys.readouterr().out
