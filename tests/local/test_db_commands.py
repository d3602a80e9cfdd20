"""Repair, rotation and hand-over of the credential, on real databases behind RDS, stopped at every call.

The login is tried by the function's own code in this process; a test of the deployed stack tries it in the function.
"""

import io
import json
from collections.abc import Callable

import psycopg
import pytest

from handlers.common.settings import DatabaseSettings
from handlers.migrate.login import Endpoint, try_login
from local.cloud import Cloud
from ops.database import target as targets
from ops.database.adopt import adopt_managed
from ops.database.passwords import PLACEHOLDERS, new_password, objection
from ops.database.repair import repair
from ops.database.rotate import rotate
from ops.database.target import Target
from ops.errors import UserError
from ops.stacks import StackHandle

OWNER, GOOD = "books", "the-Good-one#1%"
NEEDED = {"Engine": "postgres", "DBInstanceClass": "db.t4g.micro", "AllocatedStorage": 20, "DBName": "shop"}
CHANGES = {"modify_db_instance", "put_secret_value", "update_secret_version_stage"}


class KilledError(BaseException):
    """The process is gone: nothing is cleaned up after it."""


class Watched:
    """A client that can end the process before or after its n-th change, and lists the changes."""

    def __init__(self, client, world):
        self._client, self._world = client, world

    def __getattr__(self, name):
        method = getattr(self._client, name)
        if name not in CHANGES:
            return method

        def call(**arguments):
            world = self._world
            world.made.append(name)
            if world.kill_before == len(world.made):
                raise KilledError
            answer = method(**arguments)
            if world.kill_after == len(world.made):
                raise KilledError
            return answer

        return call


class World:
    """One database with its secret, as a stack's outputs name them."""

    def __init__(self, cloud, name, mode):
        self.cloud, self.name, self.mode = cloud, name, mode
        self.rds, self.secrets = cloud.client("rds"), cloud.client("secretsmanager")
        given = {"ManageMasterUserPassword": True} if mode == "managed" else {"MasterUserPassword": GOOD}
        made = self.rds.create_db_instance(DBInstanceIdentifier=name, MasterUsername=OWNER, **NEEDED, **given)
        self.made_instance = made["DBInstance"]
        self.address = {
            "host": self.instance["Endpoint"]["Address"],
            "port": self.instance["Endpoint"]["Port"],
            "database": "shop",
        }
        value = (
            {**self.address, "credentials_secret_arn": self.instance["MasterUserSecret"]["SecretArn"]}
            if mode == "managed"
            else {**self.address, "username": OWNER, "password": GOOD}
        )
        self.value = value
        self.arn = self.secrets.create_secret(Name=f"{name}/database", SecretString=json.dumps(value))["ARN"]
        self.known_credentials = None
        self.made, self.said, self.recorded = [], [], []
        self.kill_before = self.kill_after = 0
        self.settings = DatabaseSettings(self.arn, "disable")
        self.endpoint = None

    @property
    def instance(self):
        return self.rds.describe_db_instances(DBInstanceIdentifier=self.name)["DBInstances"][0]

    def invoke(self, FunctionName, Payload):  # noqa: N803
        asked = json.loads(Payload)
        endpoint = self.endpoint or Endpoint(asked["host"], asked["port"])
        found = try_login(self.settings, asked["stage"], endpoint, self.secrets)
        return {"Payload": io.BytesIO(json.dumps(found).encode())}

    def client(self, service):
        if service == "lambda":
            return self
        return Watched({"rds": self.rds, "secretsmanager": self.secrets}[service], self)

    def target(self, *, dry_run=False):
        outputs = {
            "database": {"mode": self.mode, "identifier": self.name, "credentials_secret_arn": self.known_credentials},
            "database_secret_arn": self.arn,
            "migrate_function": "migrate",
        }
        return Target(StackHandle(self.name, outputs, self.client), self.said.append, self.record, dry_run=dry_run)

    def record(self, what):
        self.recorded.append((what, len(self.made)))

    def run(self, command: Callable[[Target], None], **options):
        self.made, self.said, self.recorded = [], [], []
        command(self.target(**options))

    def reset(self):
        """Back to database and secret agreeing on the first password, whatever was left."""
        self.kill_before = self.kill_after = 0
        self.endpoint, self.settings = None, DatabaseSettings(self.arn, "disable")
        if self.mode == "adopted":
            off = {"ManageMasterUserPassword": False} if self.instance.get("MasterUserSecret") else {}
            self.rds.modify_db_instance(DBInstanceIdentifier=self.name, MasterUserPassword=GOOD, **off)
        self.put(self.value)
        pending = self.target().version_id("AWSPENDING")
        if pending:
            self.secrets.update_secret_version_stage(
                SecretId=self.arn, VersionStage="AWSPENDING", RemoveFromVersionId=pending
            )

    def put(self, value):
        text = value if isinstance(value, str) else json.dumps(value)
        self.secrets.put_secret_value(SecretId=self.arn, SecretString=text)

    def current(self):
        return json.loads(self.secrets.get_secret_value(SecretId=self.arn)["SecretString"])

    def logs_in(self):
        login = self.target().login()
        return login.ok and not login.callers

    def accepts(self, password):
        try:
            psycopg.connect(
                host=self.address["host"], port=self.address["port"], user=OWNER, password=password, dbname="shop"
            ).close()
        except psycopg.OperationalError:
            return False
        return True


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    with Cloud(tmp_path_factory.mktemp("cloud") / ".local") as cloud:
        yield cloud


@pytest.fixture(scope="module")
def worlds(cloud):
    return {mode: World(cloud, mode, mode) for mode in ("managed", "adopted")}


@pytest.fixture
def adopted(worlds, monkeypatch):
    monkeypatch.setattr(targets, "POLL_SECONDS", 0.01)
    worlds["adopted"].reset()
    return worlds["adopted"]


@pytest.fixture
def managed(worlds, monkeypatch):
    monkeypatch.setattr(targets, "POLL_SECONDS", 0.01)
    worlds["managed"].reset()
    return worlds["managed"]


def database_changed(world):
    """The incident: the password in the database is another one."""
    server = world.cloud.rds.server(world.name)
    server.set_password(OWNER, "changed-behind-our-back")


def secret_changed(world):
    world.put({**world.value, "password": "another-One-1234"})


def secret_is_a_placeholder(world):
    world.put({**world.value, "password": "not-used"})


def secret_of_another_shape(world):
    world.put({"url": "postgres://nobody"})


def secret_is_no_json(world):
    world.put("postgres://nobody")


def secret_names_another_user(world):
    world.put({**world.value, "username": "somebody"})


ACCIDENTS = [
    database_changed,
    secret_changed,
    secret_is_a_placeholder,
    secret_of_another_shape,
    secret_is_no_json,
]


@pytest.mark.parametrize("accident", ACCIDENTS)
def test_repair_brings_an_adopted_database_and_its_secret_back_together(adopted, accident):
    accident(adopted)
    assert not adopted.logs_in()
    adopted.run(repair)
    assert adopted.logs_in()
    assert any("proven: books logs in" in said for said in adopted.said)
    adopted.run(repair)
    assert adopted.made == []


@pytest.mark.parametrize("accident", ACCIDENTS)
@pytest.mark.parametrize("edge", ["kill_before", "kill_after"])
def test_a_repair_that_is_killed_at_any_change_succeeds_when_it_is_run_again(adopted, accident, edge):
    accident(adopted)
    for number in range(1, 9):
        setattr(adopted, edge, number)
        try:
            adopted.run(repair)
        except KilledError:
            setattr(adopted, edge, 0)
            adopted.run(repair)
            assert adopted.logs_in()
            adopted.reset()
            accident(adopted)
        else:
            break
    else:
        pytest.fail("it never came to its end")
    assert number > 1


def test_what_a_placeholder_says_never_reaches_the_database(adopted):
    secret_is_a_placeholder(adopted)
    adopted.run(repair)
    assert not adopted.accepts("not-used")
    assert adopted.accepts(GOOD)


def test_a_repair_that_does_not_help_puts_back_what_worked(adopted, monkeypatch):
    secret_changed(adopted)
    original = adopted.target().login
    monkeypatch.setattr(Target, "proven", lambda self, stage="AWSCURRENT", **_: targets.Login(False, "", reason="no"))
    assert not original().ok
    with pytest.raises(UserError, match="still does not log in"):
        adopted.run(repair)
    assert adopted.accepts(GOOD)


@pytest.mark.parametrize("stage", ["AWSPENDING", "AWSPREVIOUS"])
def test_a_repair_that_cannot_tell_whether_an_older_version_logs_in_touches_nothing(adopted, monkeypatch, stage):
    """The database goes away between the first look and that at the other versions."""
    secret_changed(adopted)
    real = Target.login

    def login(target, which="AWSCURRENT", **given):
        unknown = targets.Login(False, "", reason="starting", cause="unknown")
        return unknown if which == stage else real(target, which, **given)

    monkeypatch.setattr(Target, "login", login)
    if stage == "AWSPENDING":
        monkeypatch.setattr(Target, "version_id", lambda *_: "some")
    with pytest.raises(UserError, match="Nothing is known of the password"):
        adopted.run(repair)
    assert adopted.made == []


def test_rotation_changes_database_and_secret_together(adopted):
    adopted.run(rotate)
    assert adopted.logs_in()
    new = adopted.current()["password"]
    assert new != GOOD
    assert adopted.accepts(new)
    assert not adopted.accepts(GOOD)
    assert adopted.target().version_id("AWSPENDING") is None


@pytest.mark.parametrize("edge", ["kill_before", "kill_after"])
@pytest.mark.slow
def test_after_a_rotation_that_is_killed_at_any_change_a_repair_makes_the_login_work(adopted, edge):
    killed = 0
    for number in range(1, 9):
        adopted.reset()
        setattr(adopted, edge, number)
        try:
            adopted.run(rotate)
        except KilledError:
            setattr(adopted, edge, 0)
            killed += 1
            adopted.run(repair)
            assert adopted.logs_in()
            adopted.run(rotate)
            assert adopted.logs_in()
        else:
            break
    assert killed >= 3


@pytest.mark.parametrize("failing", ["RDS", "login"])
def test_a_rotation_that_fails_half_way_goes_back(adopted, failing, monkeypatch):
    works = Target.proven
    refused = targets.Login(False, "", reason="made to fail")
    monkeypatch.setattr(
        Target,
        "proven",
        lambda self, stage="AWSCURRENT", **_: refused if stage == "AWSPENDING" else works(self, stage),
    )
    refusals = [UserError("RDS says no")] if failing == "RDS" else []
    modify = Target.modify

    def first_refused(self, **change):
        if refusals:
            raise refusals.pop()
        modify(self, **change)

    monkeypatch.setattr(Target, "modify", first_refused)
    with pytest.raises(UserError, match="RDS says no" if failing == "RDS" else "no login works with it"):
        adopted.run(rotate)
    assert adopted.accepts(GOOD)
    assert adopted.current()["password"] == GOOD


def test_rotation_is_refused_while_the_secret_does_not_log_in(adopted):
    database_changed(adopted)
    with pytest.raises(UserError, match="does not log in"):
        adopted.run(rotate)
    assert adopted.made == []


def test_rds_rotates_what_it_keeps(managed):
    credentials = managed.value["credentials_secret_arn"]
    before = managed.secrets.get_secret_value(SecretId=credentials)["SecretString"]
    managed.run(rotate)
    assert managed.made == ["modify_db_instance"]
    assert managed.secrets.get_secret_value(SecretId=credentials)["SecretString"] != before
    assert managed.logs_in()


def managed_secret_changed(world):
    world.secrets.put_secret_value(
        SecretId=world.value["credentials_secret_arn"],
        SecretString=json.dumps({"username": OWNER, "password": "x" * 20}),
    )


def signpost_changed(world):
    world.put({**world.value, "port": 1})


@pytest.mark.parametrize(
    "accident", [database_changed, managed_secret_changed, signpost_changed, secret_is_no_json, secret_of_another_shape]
)
@pytest.mark.parametrize("edge", ["kill_before", "kill_after"])
def test_repair_mends_a_managed_database_killed_or_not(managed, accident, edge):
    accident(managed)
    assert not managed.logs_in()
    setattr(managed, edge, 1)
    with pytest.raises(KilledError):
        managed.run(repair)
    setattr(managed, edge, 0)
    managed.run(repair)
    assert managed.logs_in()


def test_the_password_is_handed_to_rds_in_two_steps_and_everybody_logs_in_all_the_time(adopted):
    adopted.run(adopt_managed)
    kept = adopted.instance["MasterUserSecret"]["SecretArn"]
    assert adopted.logs_in()
    assert adopted.current()["username"] == OWNER
    assert any(kept in said and "credentialsSecretArn" in said for said in adopted.said)
    adopted.known_credentials = kept
    adopted.run(adopt_managed)
    assert adopted.logs_in()
    assert adopted.current() == {**adopted.address, "credentials_secret_arn": kept}
    adopted.run(adopt_managed)
    assert adopted.made == []
    adopted.known_credentials = None


@pytest.mark.parametrize("edge", ["kill_before", "kill_after"])
def test_a_hand_over_that_is_killed_at_any_change_is_finished_by_running_it_again(adopted, edge):
    killed = 0
    for number in range(1, 5):
        adopted.reset()
        setattr(adopted, edge, number)
        try:
            adopted.run(adopt_managed)
        except KilledError:
            killed += 1
            setattr(adopted, edge, 0)
            adopted.run(adopt_managed)
            assert adopted.logs_in()
        else:
            break
    assert killed == 2


def test_a_hand_over_that_fails_goes_back(adopted, monkeypatch):
    monkeypatch.setattr(Target, "proven", lambda self, stage="AWSCURRENT", **_: targets.Login(False, "", reason="no"))
    with pytest.raises(UserError, match="does not log in"):
        adopted.run(adopt_managed)
    assert adopted.accepts(GOOD)
    assert adopted.current()["password"] == GOOD
    assert not adopted.instance.get("MasterUserSecret")


def test_a_repair_says_that_the_secret_leads_elsewhere(adopted):
    adopted.put({**adopted.value, "port": 1})
    with pytest.raises(UserError, match="nobody at the address that the secret names"):
        adopted.run(repair)
    assert adopted.made == []


@pytest.mark.parametrize("command", [repair, rotate, adopt_managed])
def test_a_dry_run_says_what_it_would_do_and_changes_nothing(adopted, command):
    if command is repair:
        database_changed(adopted)
    adopted.run(command, dry_run=True)
    assert adopted.made == []
    assert adopted.recorded == []
    assert any(said.startswith("would ") for said in adopted.said)


@pytest.mark.parametrize("command", [repair, rotate, adopt_managed])
def test_an_external_database_is_its_owners(adopted, monkeypatch, command):
    monkeypatch.setattr(adopted, "mode", "external")
    with pytest.raises(UserError, match="external"):
        adopted.run(command)
    assert adopted.made == []


def test_every_change_is_on_record_before_it_is_made_and_no_password_with_it(adopted):
    adopted.run(rotate)
    assert [made for _, made in adopted.recorded] == list(range(len(adopted.made)))
    for text in (*adopted.said, *(what for what, _ in adopted.recorded)):
        assert GOOD not in text
        assert adopted.current()["password"] not in text


def test_a_change_that_cannot_be_recorded_is_not_made(adopted, monkeypatch):
    def refuse(_):
        raise UserError("no record")

    monkeypatch.setattr(adopted, "record", refuse)
    with pytest.raises(UserError, match="no record"):
        adopted.run(rotate)
    assert adopted.made == []


def test_new_passwords_are_such_as_rds_takes_and_placeholders_are_not():
    assert {objection(new_password()) for _ in range(200)} == {""}
    assert all(objection(placeholder) for placeholder in PLACEHOLDERS)
    assert all(
        map(objection, ["short", "x" * 129, 'has"quote-1234', "has space 123", "has/slash-1234", "ümlaut-123456"])
    )
