"""The incident on the deployed stack: database and secret drift apart, `./bmx db` brings them together, no job is lost.

Logins are tried where they count: by the migrate function, under its role, inside the embedded network.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from flows import catalogue
from local.postgres import HOST
from ops.client import ApiClient, ApiError
from tests.e2e.conftest import Deployed
from tests.e2e.pictures import small_photo
from tests.e2e.terminal import Terminal
from tests.e2e.waiting import eventually, finished, nobody_polls

pytestmark = pytest.mark.slow

PREFIX = "bluemoxon-local"
FLOW = catalogue(PREFIX)[0]
BEHIND_OUR_BACK = "behind-Our-Back-1234"


class Credential:
    """The deployed database's credential, and the hands that move it behind everybody's back."""

    def __init__(self, deployed: Deployed) -> None:
        self.cloud = deployed.cloud
        self.identifier = str(deployed.handle.output("database")["identifier"])
        self.rds, self.secrets = deployed.handle.client("rds"), deployed.handle.client("secretsmanager")
        (found,) = self.rds.describe_db_instances(DBInstanceIdentifier=self.identifier)["DBInstances"]
        self.user, self.database, self.port = found["MasterUsername"], found["DBName"], found["Endpoint"]["Port"]
        self.secret = found["MasterUserSecret"]["SecretArn"]

    @property
    def password(self) -> str:
        kept = json.loads(self.secrets.get_secret_value(SecretId=self.secret)["SecretString"])
        return str(kept["password"])

    def login(self, password: str) -> psycopg.Connection:
        return psycopg.connect(
            host=HOST, port=self.port, user=self.user, password=password, dbname=self.database, autocommit=True
        )

    def accepts(self, password: str) -> bool:
        try:
            self.login(password).close()
        except psycopg.OperationalError:
            return False
        return True

    def change_database(self) -> None:
        server = self.cloud.rds.server(self.identifier)
        assert server is not None
        server.set_password(self.user, BEHIND_OUR_BACK)

    def change_secret(self) -> None:
        value = json.dumps({"username": self.user, "password": BEHIND_OUR_BACK})
        self.secrets.put_secret_value(SecretId=self.secret, SecretString=value)

    def break_by(self, change: Callable[[], None]) -> None:
        """Let database and secret drift apart, and end every connection that was made before."""
        with self.login(self.password) as connection:
            change()
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where usename = %s and pid <> pg_backend_pid()",
                [self.user],
            )

    def mend(self) -> None:
        """What a test that failed left broken must not fail those that follow."""
        if not self.accepts(self.password):
            self.rds.modify_db_instance(
                DBInstanceIdentifier=self.identifier, RotateMasterUserPassword=True, ApplyImmediately=True
            )


@pytest.fixture
def credential(deployed: Deployed) -> Iterator[Credential]:
    credential = Credential(deployed)
    yield credential
    credential.mend()


@pytest.fixture(scope="module")
def api(deployed: Deployed) -> ApiClient:
    return deployed.api("db-commands")


@pytest.fixture(scope="module")
def terminal(deployed: Deployed) -> Terminal:
    return Terminal(deployed.cloud.home)


def in_flight(sqs: Any) -> int:
    url = sqs.get_queue_url(QueueName=FLOW.queue_name(PREFIX))["QueueUrl"]
    name = "ApproximateNumberOfMessagesNotVisible"
    return int(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name])


def check(terminal: Terminal) -> tuple[int, dict[str, Any]]:
    done = terminal.run("db", "check", "--json")
    assert done.stdout, done.stderr
    assert BEHIND_OUR_BACK not in done.stdout + done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize("changed", ["database", "secret"])
def test_repair_makes_the_login_work_again_and_a_job_of_the_meantime_completes(
    deployed: Deployed, credential: Credential, api: ApiClient, terminal: Terminal, tmp_path: Path, *, changed: str
) -> None:
    sqs, photo, book = deployed.handle.client("sqs"), small_photo(tmp_path), api.create_book("Meanwhile")
    with nobody_polls(deployed.handle, FLOW.function_name(PREFIX)):
        job_id = api.upload(book["id"], photo.path, photo.content_type)["job"]["id"]
        credential.break_by({"database": credential.change_database, "secret": credential.change_secret}[changed])
    if changed == "database":
        eventually(lambda: in_flight(sqs) == 1, "the worker does not get the message")
    code, found = check(terminal)
    assert (code, found["ok"], found["mode"]) == (1, False, "managed")
    if changed == "database":  # processes that know the old login go on while only the secret is wrong
        with pytest.raises(ApiError, match="HTTP 503"):
            api.create_book("Refused, not lost")

    repaired = terminal.run("db", "repair")
    assert repaired.returncode == 0, repaired.stdout + repaired.stderr
    assert "proven: bluemoxon logs in to bluemoxon" in repaired.stdout
    assert not credential.accepts(BEHIND_OUR_BACK)
    assert credential.password not in repaired.stdout + repaired.stderr
    assert check(terminal)[0] == 0
    if changed == "database":
        assert api.job(job_id)["status"] == "pending"
    deployed.cloud.clock.advance(FLOW.visibility_timeout + 1)
    assert finished(api, job_id)["status"] == "completed"
    images = api.book(book["id"])["images"]
    assert [image["is_background_processed"] for image in images] == [True, False]


def test_rotation_leaves_the_old_password_worthless_and_the_api_at_work(
    deployed: Deployed, credential: Credential, api: ApiClient, terminal: Terminal
) -> None:
    before = credential.password
    said = terminal.run("db", "rotate", "--dry-run")
    assert said.returncode == 0, said.stderr
    assert "would have RDS rotate the master password" in said.stdout
    assert credential.password == before
    rotated = terminal.run("db", "rotate")
    assert rotated.returncode == 0, rotated.stdout + rotated.stderr
    assert credential.password != before
    assert not credential.accepts(before)
    assert api.create_book("After a rotation")["id"]
    events = deployed.handle.client("logs").filter_log_events(
        logGroupName=deployed.handle.output("operations_log_group")
    )["events"]
    record = [each["message"] for each in events if "db rotate" in each["message"]]
    assert len(record) == 1
    assert not [secret for secret in (before, credential.password) if secret in json.dumps(events)]


def test_handing_over_what_rds_has_already_is_refused(terminal: Terminal) -> None:
    refused = terminal.run("db", "adopt-managed", "--dry-run")
    assert refused.returncode == 2
    assert "is managed; this is for adopted" in refused.stderr
