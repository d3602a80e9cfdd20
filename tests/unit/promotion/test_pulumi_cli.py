"""Promotion's side of the Pulumi CLI: its arguments, its exit status, and what is made of what it printed."""

from datetime import UTC, datetime

import pytest

from ops.errors import UserError
from ops.promotion.engines import Plan, PulumiCli
from ops.pulumi_cli import PACK
from tests.unit.guard.plans import ROLE, preview, step, urn

FILE = "config:\n  p:artefacts:\n    one: {image: a}\n"
ENDS = ["--non-interactive", "--stack=staging"]
CHANGED = preview(step("update", ROLE, diff=["tags"]))
UNCHANGED = preview()


@pytest.fixture
def cli():
    return PulumiCli("staging")


def test_a_preview_reads_reality_first_where_asked_and_leaves_out_what_it_is_told(pulumi, cli, tmp_path):
    pulumi.answers("preview-json", UNCHANGED)
    cli.preview(Plan(tmp_path))
    cli.preview(Plan(tmp_path, excludes=["urn:**::Database**"]), refresh=True)
    assert pulumi.calls == [
        ["preview", "--json", PACK, *ENDS],
        ["preview", "--json", "--refresh", "--expect-no-changes", PACK, "--exclude=urn:**::Database**", *ENDS],
    ]


def test_changes_that_were_not_expected_are_the_previews_to_tell(pulumi, cli, tmp_path):
    pulumi.answers("preview-json", CHANGED, code=7)
    found = cli.preview(Plan(tmp_path), refresh=True)
    assert [each.urn for each in found.steps if each.changes_it] == [urn(ROLE, "it")]


@pytest.mark.parametrize(("output", "code"), [("", 0), ("", 1), (UNCHANGED, 1)], ids=["silent", "failed", "and whole"])
def test_a_preview_that_failed_is_no_preview(pulumi, cli, tmp_path, output, code):
    pulumi.answers("preview-json", output, code)
    with pytest.raises(UserError, match=f"pulumi preview of staging ended with {code}"):
        cli.preview(Plan(tmp_path))


def test_an_error_that_the_preview_names_is_the_previews_to_tell(pulumi, cli, tmp_path):
    pulumi.answers("preview-json", preview(diagnostics=[{"severity": "error", "message": "no"}]), code=1)
    assert len(cli.preview(Plan(tmp_path)).errors) == 1


def test_artefacts_are_written_into_the_folder_that_is_deployed(pulumi, cli, tmp_path):
    pulumi.answers("up")
    (tmp_path / "Pulumi.staging.yaml").write_text(FILE)
    cli.up(Plan(tmp_path, artefacts={"one": {"image": "b"}}, excludes=["x"]))
    assert "image: b" in (tmp_path / "Pulumi.staging.yaml").read_text()
    assert pulumi.calls == [["up", "--yes", PACK, "--exclude=x", *ENDS]]


def test_a_deployment_that_failed_is_said_with_its_exit_status(pulumi, cli, tmp_path):
    pulumi.answers("up", code=255)
    with pytest.raises(UserError, match="pulumi up of staging ended with 255") as refused:
        cli.up(Plan(tmp_path))
    assert refused.value.exit_code == 1


def test_what_the_cli_tells_while_it_deploys_is_shown_and_is_no_output_of_ours(pulumi, cli, tmp_path, capfd):
    pulumi.answers("up", "Updating (staging)")
    cli.up(Plan(tmp_path))
    shown = capfd.readouterr()
    assert (shown.out, shown.err) == ("", "Updating (staging)")


def update(result, kind="update"):
    return {"kind": kind, "result": result, "startTime": "2026-11-23T22:00:00.000Z"}


def test_the_last_update_is_told_and_refreshes_are_none(pulumi, cli):
    pulumi.answers("stack", [update("failed", "refresh"), update("succeeded"), update("failed")])
    assert cli.last_update() == datetime(2026, 11, 23, 22, tzinfo=UTC)
    assert pulumi.calls == [["stack", "history", "--json", "--page-size=20", *ENDS]]


@pytest.mark.parametrize(
    ("history", "code", "says"),
    [
        ([update("failed"), update("succeeded")], 0, "The last deployment of staging did not succeed"),
        ([update("in-progress")], 0, "The last deployment of staging did not succeed"),
        ([update("succeeded", "refresh")], 0, "Nothing was deployed to staging"),
        ([], 0, "Nothing was deployed to staging"),
        ("nonsense", 0, "cannot be read"),
        ([{"kind": "update"}], 0, "cannot be read"),
        ("", 255, "pulumi stack history of staging ended with 255"),
    ],
)
def test_without_a_last_update_that_succeeded_nothing_is_promoted(pulumi, cli, history, code, says):
    pulumi.answers("stack", history, code)
    with pytest.raises(UserError, match=says) as refused:
        cli.last_update()
    assert refused.value.exit_code == 1


def test_without_the_cli_a_stack_on_aws_is_refused(cli, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="staging is on AWS, and the Pulumi CLI is not on the PATH"):
        cli.last_update()
