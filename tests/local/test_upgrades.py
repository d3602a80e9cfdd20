"""Our database component through the embedded engine, where AWS keeps what is in use: upgraded, regrouped, renamed."""

import json
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from local.engine import Engine, Options, Outcome, StateStore
from local.resources import driver
from tests.local.providing import TRUST, Providing, connect

pytest_plugins = ["tests.local.providing"]

PROGRAM = """
import pulumi
import pulumi_aws as aws
from components.database import Database, Managed, Network

given = pulumi.Config().require_object("given")


class Described(Database):
    def _security_group(self, resource_name, name, description):
        return super()._security_group(resource_name, name, description + given.get("described", ""))


def renamed(args):
    if args.type_ != "aws:rds/subnetGroup:SubnetGroup" or "subnet_group" not in given:
        return None
    return pulumi.ResourceTransformResult({**args.props, "name": given["subnet_group"]}, args.opts)


database = Described(
    "database",
    "bluemoxon-test",
    Managed(
        mode="managed",
        instance_class="db.t4g.micro",
        database_name="bluemoxon",
        username="bluemoxon",
        engine_version=given.get("version", "16"),
    ),
    Network(vpc_id=given["vpc"], subnet_ids=tuple(given["subnets"])),
    rotate="rotate it",
    opts=pulumi.ResourceOptions(transforms=[renamed]),
)
role = aws.iam.Role("function", name="function", assume_role_policy=given["trust"])
aws.lambda_.Function(
    "function",
    name="function",
    role=role.arn,
    handler="app.handler",
    runtime="python3.13",
    code=pulumi.AssetArchive({"app.py": pulumi.StringAsset("")}),
    vpc_config={"subnet_ids": given["subnets"], "security_group_ids": [database.clients.id]},
)
"""


@dataclass
class Running:
    """The program, and what its configuration has come to."""

    project: Path
    store: StateStore
    provider_address: str
    providing: Providing
    given: dict[str, object]

    def run(self, kind: Literal["preview", "up"], **more: str) -> Outcome:
        engine = Engine(self.project, "local", self.store, {"aws": self.provider_address})
        return engine.run(Options(kind, skip_preview=True), {"bluemoxon:given": json.dumps(self.given | more)})

    def changed(self, **more: str) -> list[tuple[str, str]]:
        """Plan and deploy a change, which must do what was planned and be all there is to do; return its steps."""
        planned = operations(self.run("preview", **more))
        outcome = self.run("up", **more)
        assert outcome.ok, outcome.diagnostics
        assert operations(outcome) == planned
        self.given |= more
        assert operations(self.run("preview")) == []
        return planned


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, provider_and_cloud: tuple[str, str], sqs_as_aws: None
) -> Iterator[Running]:
    """Deploy the program once; the tests go on from one another's end, in any order."""
    endpoint, address = provider_and_cloud
    emptied = urllib.request.Request(f"{endpoint}/moto-api/reset", method="POST")  # noqa: S310
    urllib.request.urlopen(emptied).close()  # noqa: S310
    providing = connect(endpoint, address)
    folder = tmp_path_factory.mktemp("upgrades")
    project = folder / "project"
    project.mkdir()
    (project / "Pulumi.yaml").write_text("name: bluemoxon\nruntime: python\n")
    (project / "__main__.py").write_text(PROGRAM)
    ec2 = providing.client("ec2")
    (vpc,) = ec2.describe_vpcs()["Vpcs"]
    subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]][:2]
    given = {"vpc": vpc["VpcId"], "subnets": subnets, "trust": TRUST}
    running = Running(project, StateStore(folder / "state.json"), address, providing, given)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver, "PATIENCE", 0.0)
        made = running.run("up")
        assert made.ok, made.diagnostics
        yield running


def operations(outcome: Outcome) -> list[tuple[str, str]]:
    return [(step.op, step.name) for step in outcome.steps if step.op not in ("same", "read")]


def assert_order(order: list[tuple[str, str]], *expected: tuple[str, str]) -> None:
    assert [step for step in order if step in expected] == list(expected)


def test_a_major_upgrade_makes_the_new_parameter_group_before_the_old_one_goes(running: Running):
    assert_order(
        running.changed(version="17"),
        ("create-replacement", "database-parameters"),
        ("update", "database-instance"),
        ("delete-replaced", "database-parameters"),
    )
    rds = running.providing.client("rds")
    (instance,) = rds.describe_db_instances()["DBInstances"]
    assert instance["EngineVersion"].startswith("17")
    assert [group["DBParameterGroupName"] for group in instance["DBParameterGroups"]] == ["bluemoxon-test-database-17"]
    names = {group["DBParameterGroupName"] for group in rds.describe_db_parameter_groups()["DBParameterGroups"]}
    assert "bluemoxon-test-database-16" not in names


def test_security_groups_of_another_description_are_made_before_the_old_ones_go(running: Running):
    ec2, rds = running.providing.client("ec2"), running.providing.client("rds")

    def groups() -> set[str]:
        found = ec2.describe_security_groups()["SecurityGroups"]
        return {group["GroupId"] for group in found if group["GroupName"] != "default"}

    before = groups()
    order = running.changed(described=", described otherwise")
    for group, user in (("database-server", "database-instance"), ("database-clients", "function")):
        assert_order(order, ("create-replacement", group), ("update", user), ("delete-replaced", group))
    after = groups()
    assert len(after) == len(before) == 2
    assert not after & before
    (instance,) = rds.describe_db_instances()["DBInstances"]
    assert {group["VpcSecurityGroupId"] for group in instance["VpcSecurityGroups"]} < after


def test_a_renamed_subnet_group_is_refused_in_words_before_anything_is_made(running: Running):
    assert operations(running.run("preview", subnet_group="other"))[0] == ("delete-replaced", "database-subnets")
    refused = running.run("up", subnet_group="other")
    assert not refused.ok
    assert operations(refused) == []
    assert (
        "InvalidDBSubnetGroupStateFault: Cannot delete the subnet group 'bluemoxon-test-database' because at least one "
        "database instance: bluemoxon-test-database is still using it." in str(refused.diagnostics)
    )
    (group,) = running.providing.client("rds").describe_db_subnet_groups()["DBSubnetGroups"]
    assert group["DBSubnetGroupName"] == "bluemoxon-test-database"
    assert running.changed() == []
