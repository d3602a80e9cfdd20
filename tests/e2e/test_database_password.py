"""The accident of password.md: really happening to a database without the guard, and not to ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from local.engine import Engine, Options, Outcome, StateStore
from tests.e2e.conftest import Deployed

CONTROL = """
import pulumi
import pulumi_aws as aws

config = pulumi.Config()
database = aws.rds.Instance(
    "database",
    identifier="control",
    engine="postgres",
    instance_class="db.t4g.micro",
    allocated_storage=20,
    username="control",
    password=config.require("dbPassword"),
    skip_final_snapshot=True,
)
secret = aws.secretsmanager.Secret("secret", name="control")
aws.secretsmanager.SecretVersion("version", secret_id=secret.id, secret_string="the worker's own")
after = pulumi.ResourceOptions(depends_on=[database])
worker = aws.sqs.Queue("worker", name="control-worker", tags={"secret": secret.arn}, opts=after)
pulumi.export("address", database.address)
pulumi.export("port", database.port)
"""


def logs_in(host: str, port: int, user: str, password: str, database: str) -> bool:
    try:
        psycopg.connect(host=host, port=port, user=user, password=password, dbname=database, connect_timeout=5).close()
    except psycopg.OperationalError as error:
        assert "password authentication failed" in str(error), error
        return False
    return True


class Control:
    """The old program in small: the password is an input, nothing guards it."""

    def __init__(self, deployed: Deployed, folder: Path) -> None:
        (folder / "Pulumi.yaml").write_text("name: control\nruntime: python\n")
        (folder / "__main__.py").write_text(CONTROL)
        self._state = StateStore(folder / "state.json")
        self._engine = Engine(folder, "local", self._state, {"aws": deployed.cloud.info.provider_address})

    def up(self, password: str, **options: Any) -> Outcome:
        config = {"aws:region": "us-west-2", "control:dbPassword": password}
        return self._engine.run(Options(kind="up", **options), config)

    def logs_in(self, password: str) -> bool:
        outputs = self._state.outputs()
        return logs_in(outputs["address"], int(outputs["port"]), "control", password, "postgres")


@pytest.fixture(scope="module")
def control(deployed: Deployed, tmp_path_factory: pytest.TempPathFactory) -> Control:
    control = Control(deployed, tmp_path_factory.mktemp("control"))
    outcome = control.up("the-good-one")
    assert outcome.ok, outcome.diagnostics
    return control


def test_without_the_guard_a_targeted_update_with_a_dummy_locks_the_callers_out(control: Control) -> None:
    assert control.logs_in("the-good-one")
    outcome = control.up("not-used", targets=("**rds/instance:Instance::database", "**sqs/queue:Queue::worker"))
    assert outcome.ok, outcome.diagnostics
    assert not control.logs_in("the-good-one")
    assert control.logs_in("not-used")


def credentials(deployed: Deployed) -> dict[str, Any]:
    """What the application's readers find, as they find it."""
    client = deployed.cloud.client("secretsmanager")
    contract = json.loads(
        client.get_secret_value(SecretId=deployed.stack.output("database_secret_arn"))["SecretString"]
    )
    owned = json.loads(client.get_secret_value(SecretId=contract["credentials_secret_arn"])["SecretString"])
    return dict(contract | owned)


def still_logs_in(deployed: Deployed, before: dict[str, Any]) -> bool:
    assert credentials(deployed) == before, "the secret changed"
    return logs_in(before["host"], int(before["port"]), before["username"], before["password"], before["database"])


DATABASE = "**rds/instance:Instance**"
DUMMY = "bluemoxon:dbPassword=not-used"
#: Rows of password.md's matrix: kind, options, configuration, and whether the run goes through.
ROWS: dict[str, tuple[str, dict[str, Any], list[str], bool]] = {
    "full up": ("up", {}, [], True),
    "up --target the database": ("up", {"targets": (DATABASE,)}, [], True),
    "up --target a worker": ("up", {"targets": ("**WorkerFlow**",)}, [], True),
    "up --exclude it": ("up", {"excludes": (DATABASE,)}, [], True),
    "a dummy password in the configuration": ("up", {}, [DUMMY], False),
    "a dummy password, --target the database": ("up", {"targets": (DATABASE,)}, [DUMMY], False),
    "refresh, then up": ("up", {"refresh": True}, [], True),
    "forced replace": ("up", {"replace": (DATABASE,)}, [], False),
    "forced replace with --ignore-protect": ("up", {"replace": (DATABASE,), "ignore_protect": True}, [], False),
    "destroy": ("destroy", {}, [], False),
    "destroy --run-program": ("destroy", {"run_program": True}, [], False),
    "destroy --run-program --ignore-protect": ("destroy", {"run_program": True, "ignore_protect": True}, [], False),
}


@pytest.mark.parametrize("row", ROWS)
def test_no_row_of_the_matrix_moves_our_password(deployed: Deployed, row: str) -> None:
    before = credentials(deployed)
    kind, options, overrides, goes_through = ROWS[row]
    outcome = deployed.operate(kind, *overrides, **options)
    assert outcome.ok == goes_through, outcome.diagnostics
    assert still_logs_in(deployed, before)
    touched = [step.op for step in outcome.steps if step.type == "aws:rds/instance:Instance" and goes_through]
    assert set(touched) <= {"same", "refresh"}
