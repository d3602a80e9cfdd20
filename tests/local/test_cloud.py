"""The embedded cloud as a whole: starting, stopping, its folder, its network, and databases behind RDS."""

import json
import multiprocessing
import os
import signal
import socket
import stat
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest
from botocore.exceptions import ClientError
from moto.core.authorization import ActionAuthenticatorMixin

from local.attach import CloudNotRunning, attach
from local.cloud import Cloud, CloudAlreadyUp, CloudError, Ports
from local.home import Home
from local.postgres import HOST
from local.rds import random_password

# A process that has imported everything already, from which others are forked: the import takes seconds.
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["local.cloud"])


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    with Cloud(tmp_path_factory.mktemp("cloud") / ".local") as cloud:
        yield cloud


def keep_a_cloud(home, said):
    """Start a cloud with a database, say the database's process, and stay."""
    cloud = Cloud(home)
    said.send("starting")
    with cloud:
        cloud.client("rds").create_db_instance(
            DBInstanceIdentifier="db1",
            Engine="postgres",
            DBInstanceClass="db.t4g.micro",
            AllocatedStorage=20,
            MasterUsername="app",
            MasterUserPassword="the-first-one",
        )
        server = cloud.rds.server("db1")
        assert server is not None
        said.send(server.pid)
        time.sleep(120)


def start_two_in_turn(home, said):
    before = vars(ActionAuthenticatorMixin).copy()
    for _ in range(2):
        with Cloud(home) as cloud:
            said.send((cloud.notice, cloud.client("s3").list_buckets()["Buckets"]))
            cloud.client("s3").create_bucket(
                Bucket="left", CreateBucketConfiguration={"LocationConstraint": "us-west-2"}
            )
            (home / "state").mkdir()
            (home / "state" / "local.json").write_text("{}")
    said.send(vars(ActionAuthenticatorMixin) == before)


@contextmanager
def child(run, home):
    here, there = processes.Pipe()
    process = processes.Process(target=run, args=(home, there))
    process.start()
    there.close()
    try:
        yield process, here
    finally:
        process.kill()
        process.join()


def running(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def gone(pid, seconds=15.0):
    deadline = time.monotonic() + seconds
    while running(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not running(pid)


# Starting and stopping


def test_another_process_finds_the_cloud_and_may_do_anything(cloud):
    found = attach(cloud.home)
    assert found == cloud.info
    subnets = found.client("ec2").describe_subnets(SubnetIds=list(found.network.subnet_ids))["Subnets"]
    assert {subnet["VpcId"] for subnet in subnets} == {found.network.vpc_id}
    assert len({subnet["AvailabilityZone"] for subnet in subnets}) == 3


def test_only_its_owner_can_read_the_clouds_record(cloud):
    assert stat.S_IMODE((cloud.home / "cloud.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(cloud.home.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o777])
def test_a_folder_that_others_may_look_into_is_closed_to_them(tmp_path, mode):
    tmp_path.chmod(mode)
    home = Home(tmp_path)
    home.claim()
    home.release()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


def test_a_folder_that_everybody_shares_is_refused(tmp_path):
    tmp_path.chmod(0o1777)
    with pytest.raises(CloudError, match="BMX_HOME"):
        Home(tmp_path).claim()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o1777


def test_the_admin_key_is_not_shown(cloud):
    assert cloud.admin.secret_access_key not in repr(cloud.info)


def test_a_second_cloud_of_a_process_is_refused_and_leaves_the_first_as_it_is(cloud, tmp_path):
    with pytest.raises(CloudError, match="one a process"):
        Cloud(tmp_path / "second").start()
    assert cloud.client("ec2").describe_vpcs(VpcIds=[cloud.network.vpc_id])["Vpcs"]


def test_a_second_cloud_is_refused_with_the_firsts_pid(cloud):
    with pytest.raises(CloudAlreadyUp, match=f"process {os.getpid()} keeps") as error:
        Cloud(cloud.home).start()
    assert error.value.pid == os.getpid()
    assert attach(cloud.home) == cloud.info  # the refused one has not touched the first


def test_a_record_that_cannot_be_read_is_said(cloud):
    record = cloud.home / "cloud.json"
    kept = record.read_text()
    for broken in ("{", "[]", '{"pid": 1}', "null"):
        record.write_text(broken)
        with pytest.raises(CloudNotRunning, match=r"cannot be read .* process \d+, and start it again"):
            attach(cloud.home)
    record.unlink()
    with pytest.raises(CloudNotRunning, match="starting or stopping"):
        attach(cloud.home)
    record.write_text(kept)


def test_where_nothing_runs_attaching_says_how_to_start(tmp_path):
    with pytest.raises(CloudNotRunning, match="no embedded cloud is up"):
        attach(tmp_path / "none")


@pytest.mark.parametrize("option", ["gateway", "provider", "endpoint"])
def test_a_taken_port_is_named_with_its_option(tmp_path, option):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CloudError, match=rf"port {port} .*Ports\.{option}"):
            Cloud(tmp_path / ".local", ports=Ports(**{option: port})).start()
    assert not (tmp_path / ".local").exists()


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CloudError, match="cannot be used"):
        Cloud(tmp_path / "file" / ".local").start()


@pytest.mark.slow
def test_a_killed_cloud_leaves_no_database_and_its_folder_is_moved_aside(tmp_path):
    home = tmp_path / ".local"
    with child(keep_a_cloud, home) as (process, said):
        assert said.recv() == "starting"
        database = said.recv()
        assert running(database)
        assert attach(home).pid == process.pid
        process.kill()
    assert gone(database)
    with pytest.raises(CloudNotRunning):
        attach(home)
    with child(start_two_in_turn, home) as (_, said):
        notice, _ = said.recv()
    (aside,) = tmp_path.glob(".local.stale-*")
    assert str(aside) in notice
    assert (aside / "postgres" / "db1" / "data" / "PG_VERSION").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("after", [0.02, 0.2])
def test_a_signal_while_starting_leaves_nothing_behind(tmp_path, number, after):
    home = tmp_path / ".local"
    with child(keep_a_cloud, home) as (process, said):
        assert said.recv() == "starting"
        time.sleep(after)
        os.kill(process.pid, number)
        process.join(30)
        assert process.exitcode not in (0, None)
    left = {entry.name for entry in home.iterdir()} if home.exists() else set()
    # a cloud that was up before SIGTERM came: whoever runs one decides what that means
    was_up = number == signal.SIGTERM and "cloud.json" in left
    assert was_up or left <= {"lock", "logs"}


def test_nothing_but_the_logs_outlives_a_clean_stop(tmp_path):
    home = tmp_path / ".local"
    with child(start_two_in_turn, home) as (process, said):
        assert said.recv() == (None, [])
        assert said.recv() == (None, [])  # no notice, and moto has forgotten the first cloud's bucket
        assert said.recv() is True  # moto's own functions are back in place
        process.join(30)
    assert {entry.name for entry in home.iterdir()} <= {"lock", "logs"}


# Databases


@pytest.fixture(scope="module")
def rds(cloud):
    client = cloud.client("rds")
    client.create_db_subnet_group(
        DBSubnetGroupName="private", DBSubnetGroupDescription="d", SubnetIds=list(cloud.network.subnet_ids)
    )
    return client


def create(rds, identifier, **given):
    wanted = {
        "Engine": "postgres",
        "DBInstanceClass": "db.t4g.micro",
        "AllocatedStorage": 20,
        "MasterUsername": "app",
        "DBName": "app",
        "DBSubnetGroupName": "private",
    }
    return rds.create_db_instance(DBInstanceIdentifier=identifier, **(wanted | given))["DBInstance"]


@pytest.fixture(scope="module")
def managed(rds):
    yield create(rds, "managed", ManageMasterUserPassword=True)
    rds.delete_db_instance(DBInstanceIdentifier="managed", SkipFinalSnapshot=True)


@pytest.fixture
def given(rds):
    yield create(rds, "given", MasterUserPassword="the-first-one")
    rds.delete_db_instance(DBInstanceIdentifier="given", SkipFinalSnapshot=True)


def logs_in(rds, identifier, password):
    endpoint = rds.describe_db_instances(DBInstanceIdentifier=identifier)["DBInstances"][0]["Endpoint"]
    try:
        psycopg.connect(
            host=endpoint["Address"], port=endpoint["Port"], user="app", password=password, dbname="app"
        ).close()
    except psycopg.OperationalError as error:
        assert "password authentication failed" in str(error)
        return False
    return True


def secret(cloud, instance):
    value = cloud.client("secretsmanager").get_secret_value(SecretId=instance["MasterUserSecret"]["SecretArn"])
    return json.loads(value["SecretString"])


def code(call, **parameters):
    with pytest.raises(ClientError) as error:
        call(**parameters)
    return error.value.response["Error"]["Code"], error.value.response["Error"]["Message"]


def test_a_managed_password_stands_in_the_secret_that_rds_makes(cloud, rds, managed):
    assert managed["Endpoint"]["Address"] == HOST
    assert managed["MasterUserSecret"]["SecretArn"].split(":secret:")[1].startswith("rds!db-")
    credentials = secret(cloud, managed)
    assert set(credentials) == {"username", "password"}
    assert credentials["username"] == "app"
    assert logs_in(rds, "managed", credentials["password"])
    assert not logs_in(rds, "managed", "P@55w0rd!")


@pytest.mark.parametrize("how", ["rds", "secrets manager"])
def test_a_rotation_changes_database_and_secret_together(cloud, rds, managed, how):
    before = secret(cloud, managed)["password"]
    if how == "rds":
        rds.modify_db_instance(DBInstanceIdentifier="managed", RotateMasterUserPassword=True, ApplyImmediately=True)
    else:
        cloud.client("secretsmanager").rotate_secret(SecretId=managed["MasterUserSecret"]["SecretArn"])
    after = secret(cloud, managed)["password"]
    assert after != before
    assert logs_in(rds, "managed", after)
    assert not logs_in(rds, "managed", before)


def test_a_password_beside_a_managed_one_is_refused(cloud, rds, managed):
    before = secret(cloud, managed)["password"]
    found = code(rds.modify_db_instance, DBInstanceIdentifier="managed", MasterUserPassword="not-used")
    assert found[0] == "InvalidParameterCombination"
    assert logs_in(rds, "managed", before)


def test_saying_again_that_rds_manages_the_password_changes_nothing(cloud, rds, managed):
    before = secret(cloud, managed)
    rds.modify_db_instance(DBInstanceIdentifier="managed", BackupRetentionPeriod=3, ManageMasterUserPassword=True)
    (instance,) = rds.describe_db_instances(DBInstanceIdentifier="managed")["DBInstances"]
    assert instance["MasterUserSecret"]["SecretArn"] == managed["MasterUserSecret"]["SecretArn"]
    assert secret(cloud, managed) == before
    assert logs_in(rds, "managed", before["password"])


def test_a_changed_master_password_locks_callers_out_at_once(rds, given):
    rds.modify_db_instance(DBInstanceIdentifier="given", MasterUserPassword="not-used", ApplyImmediately=False)
    assert not logs_in(rds, "given", "the-first-one")
    assert logs_in(rds, "given", "not-used")


def test_switching_management_on_changes_the_password(cloud, rds, given):
    rds.modify_db_instance(DBInstanceIdentifier="given", ManageMasterUserPassword=True)
    assert not logs_in(rds, "given", "the-first-one")
    (instance,) = rds.describe_db_instances(DBInstanceIdentifier="given")["DBInstances"]
    assert logs_in(rds, "given", secret(cloud, instance)["password"])


def status(rds, identifier):
    return rds.describe_db_instances(DBInstanceIdentifier=identifier)["DBInstances"][0]["DBInstanceStatus"]


def becomes_available(rds, identifier, seconds=60.0):
    deadline = time.monotonic() + seconds
    while status(rds, identifier) != "available":
        assert time.monotonic() < deadline, status(rds, identifier)
        time.sleep(0.05)


def test_a_reboot_is_another_process_that_keeps_address_data_and_password(cloud, rds, given):
    server = cloud.rds.server("given")
    pid, endpoint = server.pid, given["Endpoint"]
    said = rds.reboot_db_instance(DBInstanceIdentifier="given")["DBInstance"]
    assert said["DBInstanceStatus"] == "rebooting"
    assert gone(pid)
    becomes_available(rds, "given")
    assert rds.describe_db_instances(DBInstanceIdentifier="given")["DBInstances"][0]["Endpoint"] == endpoint
    assert server.pid not in {0, pid}
    assert logs_in(rds, "given", "the-first-one")


def test_a_database_that_dies_comes_back_and_is_not_called_available_meanwhile(cloud, rds, given):
    server = cloud.rds.server("given")
    with psycopg.connect(
        host=given["Endpoint"]["Address"],
        port=given["Endpoint"]["Port"],
        user="app",
        password="the-first-one",
        dbname="app",
    ) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
    os.kill(server._supervisor.pid, signal.SIGSTOP)  # so that there is a meanwhile
    try:
        killed = server.pid
        os.kill(killed, signal.SIGKILL)
        assert gone(killed)
        assert status(rds, "given") == "rebooting"
        refused = code(rds.modify_db_instance, DBInstanceIdentifier="given", MasterUserPassword="while-it-is-down")
        assert refused[0] == "InvalidDBInstanceState"
    finally:
        os.kill(server._supervisor.pid, signal.SIGCONT)
    becomes_available(rds, "given")
    assert server.pid != killed
    assert logs_in(rds, "given", "the-first-one")


def test_a_password_that_cannot_be_set_is_an_error_of_rds_and_no_traceback(cloud, rds, given):
    server = cloud.rds.server("given")
    server._execute(psycopg.sql.SQL("ALTER ROLE app RENAME TO somebody_else"))
    try:
        refused = code(rds.modify_db_instance, DBInstanceIdentifier="given", MasterUserPassword="for-nobody-here")
    finally:
        server._execute(psycopg.sql.SQL("ALTER ROLE somebody_else RENAME TO app"))
    assert refused[0] == "InternalFailure"


def test_a_database_whose_supervisor_dies_has_failed_and_a_reboot_brings_it_back(cloud, rds, given):
    server = cloud.rds.server("given")
    pid = server.pid
    os.kill(server._supervisor.pid, signal.SIGKILL)
    assert gone(pid)
    assert status(rds, "given") == "failed"
    rds.reboot_db_instance(DBInstanceIdentifier="given")
    becomes_available(rds, "given")
    assert logs_in(rds, "given", "the-first-one")


def test_a_database_that_cannot_be_made_leaves_no_process_no_folder_and_no_secret(cloud, rds):
    def secrets():
        return [each["ARN"] for each in cloud.client("secretsmanager").list_secrets()["SecretList"]]

    before, children = secrets(), {child.pid for child in psutil.Process().children(recursive=True)}
    refused = {"MasterUsername": "pg_reserved", "ManageMasterUserPassword": True}
    with pytest.raises(ClientError, match="reserved"):
        create(rds, "never", **refused)
    assert not (cloud.home / "postgres" / "never").exists()
    assert secrets() == before
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= children
    assert code(rds.describe_db_instances, DBInstanceIdentifier="never")[0] == "DBInstanceNotFound"


def test_a_deleted_instance_is_gone_with_its_data(cloud, rds):
    create(rds, "short", MasterUserPassword="the-first-one")
    server = cloud.rds.server("short")
    assert server is not None
    pid = server.pid
    rds.delete_db_instance(DBInstanceIdentifier="short", SkipFinalSnapshot=True)
    assert gone(pid)
    assert not server.home.exists()


def test_a_protected_instance_is_not_deleted(cloud, rds):
    create(rds, "kept", MasterUserPassword="the-first-one", DeletionProtection=True)
    found = code(rds.delete_db_instance, DBInstanceIdentifier="kept", SkipFinalSnapshot=True)
    assert found[0] == "InvalidParameterCombination"
    assert logs_in(rds, "kept", "the-first-one")
    rds.modify_db_instance(DBInstanceIdentifier="kept", DeletionProtection=False)
    rds.delete_db_instance(DBInstanceIdentifier="kept", SkipFinalSnapshot=True)


@pytest.mark.parametrize(
    ("wanted", "said_"),
    [
        ({"MasterUserPassword": "short"}, "shorter than 8 characters"),
        ({"MasterUserPassword": "with/slash"}, "Only printable ASCII characters besides"),
        ({"MasterUserPassword": "x" * 8, "ManageMasterUserPassword": True}, "can't specify MasterUserPassword"),
        ({}, "MasterUserPassword must be provided"),
        ({"MasterUserPassword": "x" * 8, "MasterUsername": "rdsadmin"}, "reserved word"),
        ({"MasterUserPassword": "x" * 8, "Engine": "mysql"}, "postgres, not mysql"),
        ({"MasterUserPassword": "x" * 8, "EngineVersion": "15.4"}, "Cannot find version 15.4"),
    ],
)
def test_an_instance_that_rds_would_refuse_is_refused(rds, wanted, said_):
    assert said_ in code(lambda **given: create(rds, "refused", **given), **wanted)[1]
    assert code(rds.describe_db_instances, DBInstanceIdentifier="refused")[0] == "DBInstanceNotFound"


def test_snapshots_do_not_pretend_to_hold_data(rds, given):
    rds.create_db_snapshot(DBInstanceIdentifier="given", DBSnapshotIdentifier="s1")
    found = code(rds.restore_db_instance_from_db_snapshot, DBInstanceIdentifier="again", DBSnapshotIdentifier="s1")
    assert "hold no data" in found[1]


def test_random_passwords_pass_rdss_own_rules():
    for password in (random_password() for _ in range(200)):
        assert not set(password) & set("/\"@ '")
        assert len(password) == 28
