"""The steps that run the Pulumi CLI: its arguments, its exit status, and what is made of what it printed."""

import json

import pytest
from typer.testing import CliRunner

from ops.cli import app
from ops.errors import UserError
from ops.guard import judge, parse_preview
from ops.paths import ROOT
from tests.unit.guard.plans import ROLE, preview, step, urn

PACK = [f"--policy-pack={ROOT / 'policies'}"]
PLAIN = preview(step("create", ROLE))
LOOKED = {"steps": [], "changeSummary": {"same": 41}, "duration": 1}


def bmx(*arguments):
    return CliRunner().invoke(app, ["pipeline", *map(str, arguments)])


def test_a_preview_is_written_and_the_state_beside_it(pulumi, tmp_path):
    pulumi.answers("stack", {"version": 3})
    pulumi.answers("preview-json", PLAIN)
    out, state = tmp_path / "preview.json", tmp_path / "state.json"
    assert bmx("preview", "--stack", "staging", "--out", out, "--state", state).exit_code == 0
    assert pulumi.calls == [
        ["stack", "export", "--non-interactive", "--stack=staging"],
        ["preview", "--json", *PACK, "--non-interactive", "--stack=staging"],
    ]
    assert json.loads(out.read_text()) == json.loads(PLAIN)
    assert json.loads(state.read_text()) == {"version": 3}


@pytest.mark.parametrize("code", [1, 5, 255])
def test_the_clis_exit_status_is_kept_and_a_violated_policy_reaches_the_guard(pulumi, tmp_path, code):
    pulumi.answers("preview-json", PLAIN, code)
    pulumi.answers("preview", "aws:s3 [mandatory] encrypted", code)
    out = tmp_path / "preview.json"
    assert bmx("preview", "--stack", "staging", "--out", out).exit_code == code
    assert len(pulumi.calls) == 2, "the violation is shown in words"
    assert [each.rule for each in judge(parse_preview(out.read_text())).refused] == ["preview-failed"]


def test_an_error_that_the_preview_names_is_not_asked_for_again(pulumi, tmp_path):
    broken = preview(diagnostics=[{"severity": "error", "message": "no"}])
    pulumi.answers("preview-json", broken, 1)
    assert bmx("preview", "--stack", "staging", "--out", tmp_path / "p.json").exit_code == 1
    assert len(pulumi.calls) == 1


@pytest.mark.parametrize(("code", "expected"), [(0, 2), (6, 6)])
def test_a_cli_without_a_preview_leaves_no_file_of_an_earlier_run(pulumi, tmp_path, code, expected):
    out = tmp_path / "preview.json"
    out.write_text(PLAIN)
    pulumi.answers("preview-json", "error: no stack", code)
    refused = bmx("preview", "--stack", "staging", "--out", out)
    assert isinstance(refused.exception, UserError)
    assert refused.exception.exit_code == expected
    assert not out.exists()


def test_a_state_that_cannot_be_read_ends_the_preview(pulumi, tmp_path):
    pulumi.answers("stack", "", 3)
    refused = bmx("preview", "--stack", "s", "--out", tmp_path / "p", "--state", tmp_path / "s")
    assert isinstance(refused.exception, UserError)
    assert refused.exception.exit_code == 3


@pytest.mark.parametrize("code", [0, 1, 4])
def test_up_deploys_under_the_pack_and_ends_as_the_cli_did(pulumi, code):
    pulumi.answers("up", "", code)
    assert bmx("up", "--stack", "--yes").exit_code == code
    assert pulumi.calls == [["up", "--yes", *PACK, "--non-interactive", "--stack=--yes"]]


def test_in_sync_is_said_when_everything_was_looked_at(pulumi):
    pulumi.answers("refresh", LOOKED)
    found = bmx("drift", "--stack", "staging")
    assert (found.exit_code, found.output) == (0, "staging: in sync, 41 resources looked at\n")
    expected = ["refresh", "--preview-only", "--expect-no-changes", "--json", "--non-interactive", "--stack=staging"]
    assert pulumi.calls == [expected]


def test_drift_is_listed_by_resource_and_property(pulumi):
    changed = step("update", ROLE, diff=["tags.owner"])
    pulumi.answers("refresh", {"steps": [changed], "changeSummary": {"same": 3, "update": 1}}, 7)
    found = bmx("drift", "--stack", "prod")
    assert found.exit_code == 1
    assert f"update {urn(ROLE, 'it')} tags.owner" in found.output
    assert "in sync" not in found.output


@pytest.mark.parametrize(
    ("output", "code"),
    [
        ("", 0),
        ("", 1),
        ("nonsense", 7),
        ({"steps": []}, 0),
        ({"steps": [], "changeSummary": {}}, 0),
        ({"steps": [], "changeSummary": {"same": "all"}}, 0),
        (LOOKED, 1),
        (LOOKED, 3),
        (LOOKED, 7),
        (LOOKED, 255),
        ({**LOOKED, "changeSummary": {"update": 1}}, 0),
        ({**LOOKED, "changeSummary": {"update": 1}}, 1),
        ({**LOOKED, "diagnostics": [{"severity": "error", "message": "expired token"}]}, 0),
    ],
    ids=str,
)
def test_what_could_not_be_looked_at_is_neither_in_sync_nor_drifted(pulumi, output, code):
    pulumi.answers("refresh", output, code)
    found = bmx("drift", "--stack", "prod")
    assert isinstance(found.exception, UserError)
    assert found.exception.exit_code == 2
    assert "NOT KNOWN" in found.exception.message
    assert "in sync" not in found.output


def test_without_the_cli_every_step_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    for arguments in (["up"], ["drift"], ["preview", "--out", tmp_path / "p"]):
        refused = bmx(*arguments, "--stack", "s")
        assert isinstance(refused.exception, UserError)
        assert refused.exception.exit_code == 2
