"""Our program deployed by the real Pulumi engine to the embedded cloud, with ``local/provider.py`` as its plugin."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.engines import PulumiCli, needs_the_real_engine
from tests.engine.scenario import Step
from tests.engine.test_whole_program import project
from tests.program import stacks

pytestmark = needs_the_real_engine

INSTANCE = "**aws:rds/instance:Instance::database-instance"


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[PulumiCli, dict[str, object]]]:
    from local.cloud import Cloud

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
        yield cli, given


def test_a_second_preview_has_no_changes(deployed):
    cli, given = deployed
    assert {operation for _, operation in cli.run(Step("again", "preview", given)).operations} == {"same"}


def test_a_refresh_finds_the_cloud_as_it_was_left(deployed):
    cli, given = deployed
    assert cli.run(Step("refresh", "refresh")).errors == []
    again = cli.run(Step("again", "preview", given))
    assert {(urn, operation) for urn, operation in again.operations if operation != "same"} == set()


def test_a_password_in_the_configuration_is_refused_by_name(deployed):
    cli, given = deployed
    refused = cli.run(Step("password", config=given | {"dbPassword": "not-used"}))
    assert refused.exit_code
    assert "dbPassword is not declared" in "\n".join([*refused.errors, refused.output])


def test_a_forced_replacement_of_the_database_is_refused_even_ignoring_protect(deployed):
    cli, given = deployed
    for ignoring, says in ((False, "marked for protection"), (True, "Refused: this would delete")):
        refused = cli.run(Step("replace", config=given, replace=(INSTANCE,), ignore_protect=ignoring))
        assert refused.exit_code
        assert says in "\n".join(refused.errors)
        assert not [operation for urn, operation in refused.operations if operation == "create-replacement"]


def test_other_code_of_one_function_updates_that_function(deployed):
    cli, given = deployed
    handler = cli.project / "handlers" / "job_sweeper" / "handler.py"
    handler.write_text(handler.read_text() + "# another line\n")
    changed = cli.run(Step("other code", "preview", given))
    assert changed.errors == []
    names = {urn.rsplit("::", 1)[1] for urn, operation in changed.operations if operation == "update"}
    assert names == {"job_sweeper"}


def test_destroy_is_refused_without_the_program(deployed):
    cli, _ = deployed
    refused = cli.run(Step("destroy", "destroy"))
    assert refused.exit_code
    assert "run with the `--run-program` flag to use delete hooks" in "\n".join(refused.errors)
