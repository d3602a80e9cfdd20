"""What is deployed is what was reviewed, operation by operation."""

import json

import pytest
from typer.testing import CliRunner

from ops.cli import app
from ops.errors import UserError
from tests.unit.guard.plans import FUNCTION, INSTANCE, POLICY, ROLE, preview, step, urn

ASSET = "4dabf18193072939515e22adb298388d"


def compare(tmp_path, reviewed, fresh):
    paths = tmp_path / "reviewed.json", tmp_path / "fresh.json"
    for path, text in zip(paths, (reviewed, fresh), strict=True):
        path.write_text(text)
    return CliRunner().invoke(app, ["pipeline", "same-operations", *map(str, paths)])


def code(hash_, path):
    return {"code": {ASSET: "0def7320c3a5731c473e5ecbe6d01bc7", "hash": hash_, "path": path}}


def test_equal_operations_pass_whatever_their_order_and_place(tmp_path):
    one = step("create", ROLE, new={"name": "a"})
    two, moved = (step("update", FUNCTION, new=code("h", path), diff=["code"]) for path in ("/a", "/b"))
    found = compare(tmp_path, preview(one, two), preview(moved, one))
    assert (found.exit_code, found.output) == (0, "the same 2 operations\n")


@pytest.mark.parametrize(
    ("reviewed", "fresh", "says"),
    [
        ([], [step("delete", ROLE)], f"delete {urn(ROLE, 'it')} was not reviewed"),
        ([step("create", ROLE)], [], f"create {urn(ROLE, 'it')} was reviewed and would not be done"),
        ([step("update", ROLE, diff=["tags"])], [step("update", ROLE, diff=["path"])], "other properties: path, tags"),
        ([step("update", INSTANCE)], [step("replace", INSTANCE)], f"replace {urn(INSTANCE, 'it')} was not reviewed"),
        (
            [step("update", POLICY, new={"policy": "narrow-TELLTALE"}, diff=["policy"])],
            [step("update", POLICY, new={"policy": "wide-TELLTALE"}, diff=["policy"])],
            "has other values: policy",
        ),
        (
            [step("update", FUNCTION, new=code("h", "/a"), diff=["code"])],
            [step("update", FUNCTION, new=code("i", "/a"), diff=["code"])],
            "has other values: code",
        ),
        (
            [step("update", ROLE, new={"path": "/a"}, diff=["path"])],
            [step("update", ROLE, new={"path": "/b"}, diff=["path"])],
            "has other values: path",
        ),
    ],
    ids=["added", "gone", "properties", "operation", "values", "code", "a path of another kind"],
)
def test_every_difference_is_refused_by_name_and_without_values(tmp_path, reviewed, fresh, says):
    found = compare(tmp_path, preview(*reviewed), preview(*fresh))
    assert found.exit_code == 1
    assert says in found.output
    assert "TELLTALE" not in found.output


@pytest.mark.parametrize("side", [0, 1])
def test_a_preview_that_ended_in_an_error_is_never_the_same(tmp_path, side):
    previews = [preview(), preview()]
    previews[side] = preview(diagnostics=[{"severity": "error", "message": "no"}])
    assert compare(tmp_path, *previews).exit_code == 1


@pytest.mark.parametrize("text", ["", "{", json.dumps({"steps": [], "other": 1})])
def test_what_is_no_whole_preview_is_refused(tmp_path, text):
    assert isinstance(compare(tmp_path, preview(), text).exception, UserError)
    assert isinstance(compare(tmp_path, text, preview()).exception, UserError)
