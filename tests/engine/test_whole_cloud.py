"""Our program deployed by the real Pulumi engine to the embedded cloud, with ``local/provider.py`` as its plugin.

What our own commands make of that CLI's answers is held against it here too: pipeline, guard, promotion, outputs.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from local.cloud import Cloud
from ops import pulumi_cli
from ops import stacks as ops_stacks
from ops.errors import UserError
from ops.guard import command as guard
from ops.pipeline import drift, preview, same
from ops.promotion import engines, rollback
from tests.engine.engines import PulumiCli, needs_the_real_engine
from tests.engine.scenario import Step
from tests.engine.test_whole_program import project
from tests.program import stacks

pytestmark = needs_the_real_engine

INSTANCE = "**aws:rds/instance:Instance::database-instance"


LOG_GROUP = "/aws/lambda/bluemoxon-local-job-sweeper"


@dataclass(frozen=True)
class Whole:
    """The deployed stack: the CLI on its project, what it is configured with, and the cloud that it lies in."""

    cli: PulumiCli
    given: dict[str, object]
    cloud: Cloud


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    folder: Path = tmp_path_factory.mktemp("whole")
    with Cloud(folder / "cloud") as cloud:
        network = {"vpcId": cloud.network.vpc_id, "subnetIds": list(cloud.network.subnet_ids)}
        given: dict[str, object] = {"network": network, "artefacts": stacks.WORKER}
        cli = PulumiCli(project(folder), {"aws": int(cloud.provider_address.rsplit(":", 1)[1])}, "local")
        previewed = cli.run(Step("preview", "preview", given))
        assert previewed.errors == []
        made = cli.run(Step("up", config=given))
        assert made.errors == []
        assert set(made.operations) == set(previewed.operations)
        yield Whole(cli, given, cloud)


def test_a_second_preview_has_no_changes(deployed):
    cli, given = deployed.cli, deployed.given
    assert {operation for _, operation in cli.run(Step("again", "preview", given)).operations} == {"same"}


def test_a_refresh_finds_the_cloud_as_it_was_left(deployed):
    cli, given = deployed.cli, deployed.given
    assert cli.run(Step("refresh", "refresh")).errors == []
    again = cli.run(Step("again", "preview", given))
    assert {(urn, operation) for urn, operation in again.operations if operation != "same"} == set()


@pytest.fixture
def commands(deployed: Whole, monkeypatch: pytest.MonkeyPatch) -> Whole:
    """Let our own commands find this CLI, its state and its project."""
    for name, value in deployed.cli.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(pulumi_cli, "ROOT", deployed.cli.project)
    return deployed


@contextmanager
def changed_behind_its_back(cloud: Cloud) -> Iterator[None]:
    """Keep a function's logs for another time than the program says."""
    logs = cloud.client("logs")
    (group,) = logs.describe_log_groups(logGroupNamePrefix=LOG_GROUP)["logGroups"]
    logs.put_retention_policy(logGroupName=LOG_GROUP, retentionInDays=1)
    try:
        yield
    finally:
        logs.put_retention_policy(logGroupName=LOG_GROUP, retentionInDays=group["retentionInDays"])


def test_the_steps_of_the_workflows_run_under_it(commands, tmp_path):
    first, second, state = (tmp_path / name for name in ("first.json", "second.json", "state.json"))
    assert preview.preview("local", first, state) == 0
    assert preview.preview("local", second, None) == 0
    assert same.same_operations(first, second) == 0
    assert guard.run(str(first), state, [], None, as_json=False) == 0
    assert preview.up("local") == 0


def test_drift_is_told_from_its_absence_and_from_not_knowing(commands, monkeypatch, capsys):
    assert drift.drift("local") == drift.IN_SYNC
    with changed_behind_its_back(commands.cloud):
        assert drift.drift("local") == drift.DRIFTED
    assert "job_sweeper" in capsys.readouterr().out
    assert drift.drift("local") == drift.IN_SYNC
    monkeypatch.setenv("PULUMI_BACKEND_URL", "file:///nowhere/at/all")
    with pytest.raises(UserError, match="NOT KNOWN") as unknown:
        drift.drift("local")
    assert unknown.value.exit_code == drift.NOT_LOOKED_AT


def test_promotion_reads_its_previews_and_its_history(commands):
    cli, plan = engines.PulumiCli("local"), engines.Plan(commands.cli.project)
    assert not any(step.changes_it for step in cli.preview(plan, refresh=True).steps)
    with changed_behind_its_back(commands.cloud):
        assert [step.name for step in cli.preview(plan, refresh=True).steps if step.changes_it]
    before = datetime.now(UTC) - timedelta(seconds=1)
    excluded = engines.Plan(commands.cli.project, excludes=(*rollback.SCHEMA, *rollback.DATABASE))
    assert not any(rollback.touches_database(step) for step in cli.preview(excluded).steps)
    cli.up(excluded)
    assert before <= cli.last_update() <= datetime.now(UTC)


def test_its_outputs_are_those_that_operators_commands_read(commands, monkeypatch):
    monkeypatch.setattr(ops_stacks, "LOCAL", "the stack on this machine")
    found = ops_stacks.stack("local")
    assert {flow["key"] for flow in found.output("flows")} >= {"image_processing", "tracking"}
    assert found.client("sqs").meta.region_name == commands.cloud.region


def test_a_password_in_the_configuration_is_refused_by_name(deployed):
    cli, given = deployed.cli, deployed.given
    refused = cli.run(Step("password", config=given | {"dbPassword": "not-used"}))
    assert refused.exit_code
    assert "dbPassword is not declared" in "\n".join([*refused.errors, refused.output])


def test_a_forced_replacement_of_the_database_is_refused_even_ignoring_protect(deployed):
    cli, given = deployed.cli, deployed.given
    for ignoring, says in ((False, "marked for protection"), (True, "Refused: this would delete")):
        refused = cli.run(Step("replace", config=given, replace=(INSTANCE,), ignore_protect=ignoring))
        assert refused.exit_code
        assert says in "\n".join(refused.errors)
        assert not [operation for urn, operation in refused.operations if operation == "create-replacement"]


def test_other_code_of_one_function_updates_that_function(deployed):
    cli, given = deployed.cli, deployed.given
    handler = cli.project / "handlers" / "job_sweeper" / "handler.py"
    handler.write_text(handler.read_text() + "# another line\n")
    changed = cli.run(Step("other code", "preview", given))
    assert changed.errors == []
    names = {urn.rsplit("::", 1)[1] for urn, operation in changed.operations if operation == "update"}
    assert names == {"job_sweeper"}


def test_destroy_is_refused_without_the_program(deployed):
    cli = deployed.cli
    refused = cli.run(Step("destroy", "destroy"))
    assert refused.exit_code
    assert "run with the `--run-program` flag to use delete hooks" in "\n".join(refused.errors)
