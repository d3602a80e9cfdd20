"""The one comment of a pull request, and the preview that was reviewed, against a GitHub of the test's own."""

import hashlib
import io
import zipfile

import pytest
from typer.testing import CliRunner

from ops.cli import app
from ops.errors import UserError
from ops.guard.report import LONGEST_COMMENT
from ops.pipeline.comment import MARKER, body

SHA, HEAD = "a" * 40, "b" * 40


def bmx(*arguments):
    return CliRunner().invoke(app, ["pipeline", *map(str, arguments)])


def test_the_comment_is_written_once_and_edited_ever_after(github, tmp_path):
    staging = tmp_path / "staging.md"
    github.comments += [{"id": n, "user": {"type": "User"}, "body": "nice"} for n in range(1, 151)]
    github.comments[0]["body"] = f"{MARKER} mine, says somebody"
    for text in ("first", "second"):
        staging.write_text(text)
        assert bmx("comment", "--pr", 12, staging, tmp_path / "prod.md").exit_code == 0
    assert len(github.comments) == 151
    assert github.comments[-1]["body"].startswith(MARKER)
    assert "### staging\n\nsecond" in github.comments[-1]["body"]
    assert "### prod\n\n❌ No preview was made" in github.comments[-1]["body"]
    assert "somebody" in github.comments[0]["body"], "another's comment is left alone"
    assert {token for *_, token in github.seen} == {"Bearer token-of-the-job"}


def test_a_refusal_of_github_is_told_without_the_token(github, tmp_path):
    github.fails = 403
    refused = bmx("comment", "--pr", 12, tmp_path / "staging.md").exception
    assert isinstance(refused, UserError)
    assert "403" in refused.message
    assert "token-of-the-job" not in refused.message + refused.fix


@pytest.mark.parametrize("name", ["GITHUB_API_URL", "GITHUB_REPOSITORY", "GITHUB_TOKEN"])
def test_what_the_runner_does_not_say_is_asked_for_by_name(github, monkeypatch, tmp_path, name):
    monkeypatch.delenv(name)
    refused = bmx("comment", "--pr", 12, tmp_path / "staging.md").exception
    assert isinstance(refused, UserError)
    assert name in refused.message


def test_two_long_plans_fit_into_one_comment(tmp_path):
    files = [tmp_path / "staging.md", tmp_path / "prod.md"]
    for file in files:
        file.write_text("| a row |\n" * 9000)
    text = body(files)
    assert len(text) < LONGEST_COMMENT
    assert text.count("… cut") == 2


def packed(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in members.items():
            archive.writestr(name.replace("_", "."), text)
    return buffer.getvalue()


@pytest.fixture
def merged(github):
    """A pull request that was merged, whose second run kept a preview of staging."""
    data = packed(preview_json='{"steps": []}')
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    github.answers |= {
        f"commits/{SHA}/pulls": [{"merged_at": "2026", "merge_commit_sha": SHA, "head": {"sha": HEAD}}],
        "actions/workflows/pull-request.yml/runs": {"workflow_runs": [{"id": 9}, {"id": 7}]},
        "actions/runs/9/artifacts": {
            "artifacts": [{"id": 3, "name": "preview-staging", "expired": False, "digest": digest}]
        },
        "actions/artifacts/3/zip": data,
    }
    return github


def fetch(tmp_path):
    return bmx("reviewed", "--commit", SHA, "--stack", "staging", "--out", tmp_path / "reviewed.json")


def test_the_reviewed_preview_comes_from_the_last_good_run_of_the_pull_requests_last_commit(merged, tmp_path):
    assert fetch(tmp_path).exit_code == 0
    assert (tmp_path / "reviewed.json").read_text() == '{"steps": []}'
    asked = next(query for _, path, query, _ in merged.seen if path.endswith("/runs"))
    assert sorted(asked.split("&")) == ["event=pull_request", f"head_sha={HEAD}", "status=success"]


@pytest.mark.parametrize(
    ("path", "answer", "says"),
    [
        (f"commits/{SHA}/pulls", [], "nobody reviewed it"),
        (f"commits/{SHA}/pulls", [{"merged_at": None, "merge_commit_sha": SHA}], "nobody reviewed it"),
        (f"commits/{SHA}/pulls", [{"merged_at": "2026", "merge_commit_sha": HEAD}], "nobody reviewed it"),
        ("actions/workflows/pull-request.yml/runs", {"workflow_runs": []}, "No successful run"),
        ("actions/runs/9/artifacts", {"artifacts": []}, "keeps no preview-staging"),
        (
            "actions/runs/9/artifacts",
            {"artifacts": [{"id": 3, "name": "preview-staging", "expired": True}]},
            "keeps no",
        ),
        ("actions/artifacts/3/zip", packed(preview_json="{}"), "its hash differs"),
    ],
    ids=["pushed", "open", "another's merge", "no run", "nothing kept", "expired", "edited"],
)
def test_nothing_unreviewed_is_taken_for_reviewed(merged, tmp_path, path, answer, says):
    (tmp_path / "reviewed.json").write_text("of an earlier run")
    merged.answers[path] = answer
    refused = fetch(tmp_path).exception
    assert isinstance(refused, UserError)
    assert says in refused.message
    assert not (tmp_path / "reviewed.json").exists()


@pytest.mark.parametrize("data", [b"no archive", packed(other_json="{}")], ids=["no archive", "no preview"])
def test_an_archive_without_a_preview_is_refused(merged, tmp_path, data):
    merged.answers["actions/artifacts/3/zip"] = data
    del merged.answers["actions/runs/9/artifacts"]["artifacts"][0]["digest"]
    refused = fetch(tmp_path).exception
    assert isinstance(refused, UserError)
    assert "holds no preview.json" in refused.message
