"""The workflows: pinned, with least permissions, each step one command of ours that a test calls."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.main import get_command
from typer.testing import CliRunner

from ops.cli import app
from ops.errors import UserError
from ops.paths import ROOT
from tests.unit.guard.plans import INSTANCE, ROLE, preview, step

FOLDER = ROOT / ".github" / "workflows"
WORKFLOWS = {path.name: yaml.safe_load(path.read_text()) for path in sorted(FOLDER.glob("*.yml"))}
JOBS = [(name, key) for name, flow in WORKFLOWS.items() for key in flow["jobs"]]
STEPS = [
    (name, key, number) for name, key in JOBS for number in range(len(WORKFLOWS[name]["jobs"][key].get("steps", [])))
]
RUNS = sorted(
    {WORKFLOWS[n]["jobs"][k]["steps"][i]["run"] for n, k, i in STEPS if "run" in WORKFLOWS[n]["jobs"][k]["steps"][i]}
)
# Who calls the command in a test; `test` is what runs this very test.
CALLED = {
    "weights": "tests/unit/test_weights.py",
    "test": "tests/unit/pipeline/test_workflows.py",
    "guard": "tests/unit/pipeline/test_workflows.py",
    "health": "tests/unit/test_health_command.py",
    "manifest write": "tests/unit/pipeline/test_workflows.py",
    "promote": "tests/local/test_promotion.py",
    "pipeline preview": "tests/unit/pipeline/test_pipeline_pulumi.py",
    "pipeline up": "tests/unit/pipeline/test_pipeline_pulumi.py",
    "pipeline drift": "tests/unit/pipeline/test_pipeline_pulumi.py",
    "pipeline same-operations": "tests/unit/pipeline/test_pipeline_same.py",
    "pipeline reviewed": "tests/unit/pipeline/test_pipeline_github.py",
    "pipeline comment": "tests/unit/pipeline/test_pipeline_github.py",
}
MAY = {
    "contents": {"read"},
    "actions": {"read"},
    "pull-requests": {"read", "write"},
    "id-token": {"write"},
}


def job(name, key):
    return WORKFLOWS[name]["jobs"][key]


def command_of(run):
    """The path of the command, and its parsed arguments as click understands them; fails on what it does not know."""
    words = shlex.split(run)
    assert words[0] == "./bmx"
    found, path, words = get_command(app), [], words[1:]
    while hasattr(found, "commands"):
        path.append(words.pop(0))
        found = found.commands[path[-1]]
    return path, found, words


def test_the_four_workflows_are_there():
    assert sorted(WORKFLOWS) == ["drift.yml", "prod.yml", "pull-request.yml", "staging.yml"]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_nothing_is_permitted_to_a_workflow_as_a_whole_and_one_of_a_kind_runs_at_a_time(name):
    flow = WORKFLOWS[name]
    triggers = flow[True]  # YAML 1.1 reads the key `on` as true
    assert flow["permissions"] == {}
    assert flow["concurrency"]["group"]
    assert flow["concurrency"]["cancel-in-progress"] is (name == "pull-request.yml"), "a deployment is never cut off"
    assert not {"pull_request_target", "workflow_run", "issue_comment"} & set(triggers)
    assert "secrets." not in (FOLDER / name).read_text(), "roles by OIDC; no long-lived key, no secret"


@pytest.mark.parametrize(("name", "key"), JOBS)
def test_a_job_has_a_limit_and_only_the_permissions_that_it_needs(name, key):
    found = job(name, key)
    assert 0 < found["timeout-minutes"] <= 90
    permissions = found["permissions"]
    assert permissions
    assert all(right in MAY[scope] for scope, right in permissions.items())
    uses = " ".join(step.get("uses", "") for step in found["steps"])
    assert ("id-token" in permissions) == ("configure-aws-credentials" in uses)
    assert (permissions.get("pull-requests") == "write") == (key == "comment")
    if "id-token" in permissions:
        assert found["environment"], "the role trusts an environment, never a branch that anybody may push"


@pytest.mark.parametrize(("name", "key", "number"), STEPS)
def test_an_action_is_pinned_by_commit_and_a_step_of_ours_is_one_command(name, key, number):
    step = job(name, key)["steps"][number]
    if "uses" in step:
        line = next(each for each in (FOLDER / name).read_text().splitlines() if step["uses"] in each)
        assert re.search(r"uses: [\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line)
        if "actions/checkout" in step["uses"]:
            assert step["with"]["persist-credentials"] is False
        return
    run = step["run"]
    assert "${{" not in run, "values come by the environment, which no shell reads as code"
    assert not re.search(r"[;&|<>`\n]|\$\(", run), "one command, and its own exit status"
    assert step.get("continue-on-error") is None
    assert run.startswith("./bmx ")


@pytest.mark.parametrize("run", RUNS)
def test_a_step_is_a_command_that_the_command_line_knows_and_a_test_calls(run, monkeypatch):
    monkeypatch.setenv("GITHUB_SHA", "a" * 40)
    monkeypatch.setenv("PULL_REQUEST", "12")
    path, command, arguments = command_of(run)
    assert CliRunner().invoke(app, [*path, "--help"]).exit_code == 0
    command.make_context(path[-1], list(arguments))  # refuses what it does not take
    caller = (ROOT / CALLED[" ".join(path)]).read_text()
    assert re.search(rf"""["']{path[-1]}["']|\b{path[-1].replace("-", "_")}\(|command\.{path[-1]}""", caller)


def test_the_cli_is_of_the_sdks_version():
    sdk = re.search(r"^pulumi==([\d.]+)", (ROOT / "requirements" / "local.txt").read_text(), re.MULTILINE)
    assert sdk
    asked = {
        step["with"]["pulumi-version"]
        for name, key in JOBS
        for step in job(name, key)["steps"]
        if "pulumi/actions" in step.get("uses", "")
    }
    assert asked == {sdk[1]}


def test_prod_waits_for_its_approval_and_takes_only_what_main_promoted():
    jobs = WORKFLOWS["prod.yml"]["jobs"]
    assert jobs["promote"]["if"] == "github.ref == 'refs/heads/main'"
    assert jobs["plan"]["needs"] == "promote"
    assert jobs["deploy"]["needs"] == ["promote", "plan"]
    assert jobs["deploy"]["environment"] == "prod"


@pytest.mark.parametrize(("name", "key"), [("staging.yml", "deploy"), ("prod.yml", "deploy")])
def test_nothing_is_deployed_before_a_fresh_preview_was_guarded_and_held_to_the_reviewed_one(name, key):
    runs = [" ".join(command_of(step["run"])[0]) for step in job(name, key)["steps"] if "run" in step]
    order = ["pipeline preview", "guard", "pipeline same-operations", "pipeline up", "health", "manifest write"]
    assert [each for each in runs if each in order] == order
    assert not any("if" in step for step in job(name, key)["steps"])


def test_staging_alone_builds_its_image_and_has_what_that_takes():
    for name, key in JOBS:
        found = job(name, key)
        words = [step.get("run") or step["uses"].split("@")[0] for step in found["steps"]]
        previews = [
            number
            for number, run in enumerate(words)
            if run.startswith(("./bmx pipeline preview", "./bmx promote staging")) and "--stack prod" not in run
        ]
        weights = [number for number, run in enumerate(words) if run == "./bmx weights"]
        assert bool(weights) == bool(previews)
        assert not weights or weights[0] < previews[0]
        deploys = "./bmx pipeline up --stack staging" in words
        assert ("aws-actions/amazon-ecr-login" in words) == deploys
        assert (found["env"].get("BUILDX_NO_DEFAULT_ATTESTATIONS") == "1" if "env" in found else False) == deploys


def test_every_guard_hears_the_reasons_of_its_environment_and_no_other_step_does():
    for name, key, number in STEPS:
        step = job(name, key)["steps"][number]
        is_guard = step.get("run", "").startswith("./bmx guard ")
        expected = {"BMX_GUARD_ALLOW": "${{ vars.BMX_GUARD_ALLOW }}"} if is_guard else None
        assert (step.get("env") == expected) or (not is_guard and "BMX_GUARD_ALLOW" not in step.get("env", {}))


def test_zizmor_finds_nothing():
    zizmor = Path(sys.executable).parent / "zizmor"
    done = subprocess.run(
        [zizmor, "--offline", "--no-progress", "--pedantic", FOLDER], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_guards_step_writes_the_comment_and_ends_as_it_judges(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for op, code in (("create", 0), ("replace", 1)):
        (tmp_path / "preview.json").write_text(preview(step(op, ROLE if op == "create" else INSTANCE)))
        done = CliRunner().invoke(app, ["guard", "preview.json", "--markdown", "staging.md"])
        assert done.exit_code == code
        assert (tmp_path / "staging.md").read_text().startswith("**plan gate: " + ("refused" if code else "passed"))


def test_a_manifest_of_a_stack_that_cannot_be_reached_fails_its_step(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert isinstance(CliRunner().invoke(app, ["manifest", "write", "--stack", "staging"]).exception, UserError)
