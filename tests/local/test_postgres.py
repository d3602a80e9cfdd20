"""A real PostgreSQL: started, locked, stopped, and never left behind."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg
import pytest

from local.postgres import HOST, Postgres, PostgresError

PASSWORD = "a%b#c?d:[x]'\"\\"


def login(server, password=PASSWORD, user="app", database="app"):
    return psycopg.connect(
        host=HOST, port=server.port, user=user, password=password, dbname=database, connect_timeout=5, autocommit=True
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Postgres(tmp_path_factory.mktemp("postgres") / "one")
    server.start()
    server.create_master("app", PASSWORD, "app")
    yield server
    server.stop()


def running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


def gone(pid, seconds=15.0):
    deadline = time.monotonic() + seconds
    while running(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not running(pid)


def test_the_master_user_logs_in_and_owns_its_database(server):
    with login(server) as connection:
        connection.execute("CREATE TABLE kept (n int)")
        version = connection.execute("SHOW server_version").fetchone()
    assert version is not None and version[0].startswith("16")


def test_the_master_user_is_no_superuser(server):
    with login(server) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("COPY (SELECT 1) TO PROGRAM 'true'")


@pytest.mark.parametrize("password", ["wrong", ""])
def test_a_wrong_password_is_refused(server, password):
    with pytest.raises(psycopg.OperationalError, match=r"password authentication failed|no password supplied"):
        login(server, password)


def test_passwords_are_kept_as_scram_and_sent_as_nothing_else(server):
    rules = (server.home / "data" / "pg_hba.conf").read_text().splitlines()
    methods = {line.split()[-1] for line in rules if line.strip() and not line.startswith("#")}
    assert methods == {"scram-sha-256"}


def test_the_server_listens_on_the_loopback_alone(server):
    with server._connect() as connection:  # the master user may not see these settings
        assert connection.execute("SHOW listen_addresses").fetchone() == ("127.0.0.1",)
        assert connection.execute("SHOW unix_socket_directories").fetchone() == ("",)


def test_no_password_lies_beside_the_data(server):
    assert not (server.home / "password").exists()
    assert server._superuser_password not in (server.home / "postgres.log").read_text()


def test_a_changed_password_locks_the_old_one_out(server):
    server.set_password("app", "another one")
    try:
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            login(server)
        login(server, "another one").close()
    finally:
        server.set_password("app", PASSWORD)
    login(server).close()


@pytest.mark.as_root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to give its rights up")
def test_under_root_the_server_runs_as_an_unprivileged_user(server):
    status = Path(f"/proc/{server.pid}/status").read_text()
    assert [line.split()[1] for line in status.splitlines() if line.startswith("Uid:")] == ["65534"]


@pytest.fixture
def closed_folder():
    """A folder under /tmp that only its owner may enter, as `mktemp -d` makes them."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    assert folder.stat().st_mode & 0o077 == 0
    yield folder
    shutil.rmtree(folder)


def test_a_folder_that_only_its_owner_may_enter_will_do(closed_folder):
    server = Postgres(closed_folder / "db")
    server.start()
    try:
        server.create_master("app", PASSWORD, None)
        login(server, database="postgres").close()
    finally:
        server.stop()


def test_what_was_stored_is_there_after_a_restart(tmp_path):
    server = Postgres(tmp_path / "db")
    server.start()
    try:
        server.create_master("app", PASSWORD, "app")
        with login(server) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
        first = server.pid
        server.stop()
        assert gone(first)
        server.start()
        with login(server) as connection:
            assert connection.execute("SELECT n FROM kept").fetchone() == (7,)
    finally:
        server.remove()
    assert not (tmp_path / "db").exists()


def test_a_stop_cuts_open_connections(tmp_path):
    server = Postgres(tmp_path / "db")
    server.start()
    server.create_master("app", PASSWORD, "app")
    connection = login(server)
    began = time.monotonic()
    server.stop()
    assert time.monotonic() - began < 60
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT 1")


def test_a_broken_data_directory_is_an_error_with_the_logs_end(tmp_path):
    server = Postgres(tmp_path / "db")
    server.start()
    server.stop()
    (tmp_path / "db" / "data" / "global" / "pg_control").unlink()
    with pytest.raises(PostgresError, match="pg_control"):
        server.start()


def insert(server, acknowledged, until):
    """Insert row after row, each acknowledged by its commit, on whatever connection there is at the time."""
    deadline = time.monotonic() + 60
    while len(acknowledged) < until:
        try:
            with login(server) as connection:
                while len(acknowledged) < until:
                    row = connection.execute("INSERT INTO kept DEFAULT VALUES RETURNING n").fetchone()
                    assert row is not None
                    acknowledged.append(row[0])
        except psycopg.OperationalError:
            assert time.monotonic() < deadline, "the server does not come back"
            time.sleep(0.05)


def kill_a_backend(server):
    with server._connect() as connection:
        found = connection.execute("SELECT pid FROM pg_stat_activity WHERE usename = 'app' LIMIT 1").fetchone()
    if found is not None:
        os.kill(found[0], signal.SIGKILL)


def test_a_killed_backend_and_a_killed_server_lose_no_acknowledged_commit(tmp_path):
    server = Postgres(tmp_path / "db")
    server.start()
    acknowledged: list[int] = []
    try:
        server.create_master("app", PASSWORD, "app")
        with login(server) as connection:
            connection.execute("CREATE TABLE kept (n int GENERATED ALWAYS AS IDENTITY PRIMARY KEY)")
        insert(server, acknowledged, 30)
        kill_a_backend(server)
        with contextlib.suppress(psycopg.Error), login(server) as connection:  # held open, so that it is there to kill
            connection.execute("INSERT INTO kept DEFAULT VALUES RETURNING n")
            acknowledged += [row[0] for row in connection.execute("INSERT INTO kept DEFAULT VALUES RETURNING n")]
            kill_a_backend(server)
            connection.execute("SELECT 1")
        insert(server, acknowledged, 60)
        killed, port = server.pid, server.port
        os.kill(killed, signal.SIGKILL)  # its supervisor starts it again, where it was
        assert gone(killed)
        insert(server, acknowledged, 90)
        with login(server) as connection:
            kept = {row[0] for row in connection.execute("SELECT n FROM kept")}
    finally:
        server.remove()
    assert server.port == port
    assert len(set(acknowledged)) == len(acknowledged), "an id was given twice"
    assert set(acknowledged) <= kept


def test_no_password_stands_in_the_log_and_nobody_else_may_read_it(server):
    with pytest.raises(psycopg.errors.UndefinedObject):
        server.set_password("nobody-of-that-name", "hunter2-in-the-log")
    log = server.home / "postgres.log"
    assert "nobody-of-that-name" in log.read_text()
    assert "hunter2" not in log.read_text()
    assert log.stat().st_mode & 0o077 == 0


def test_a_restarted_server_is_another_process_at_the_same_address(tmp_path):
    server = Postgres(tmp_path / "db")
    server.start()
    try:
        server.create_master("app", PASSWORD, "app")
        before = server.pid, server.port
        server.restart()
        assert gone(before[0])
        until(server.answers)
        login(server).close()
        assert (server.pid != before[0], server.port) == (True, before[1])
    finally:
        server.remove()


def until(holds, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.02)


def test_a_server_that_dies_before_it_is_kept_ends_its_supervisor():
    code = "import sys; from pathlib import Path; from local.postgres_supervisor import supervise\n"
    code += "sys.exit(supervise([sys.executable, '-c', 'raise SystemExit(3)'], Path()))"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as supervisor:
        assert supervisor.wait(60) == 3


PARENT = """
import sys, time
from pathlib import Path
from local.postgres import Postgres
server = Postgres(Path(sys.argv[1])); server.start(); print(server.pid, flush=True); time.sleep(60)
"""


@pytest.mark.parametrize("killed", ["parent", "supervisor"])
def test_a_killed_parent_leaves_no_server_behind(tmp_path, killed):
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "db")], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert running(pid)
        supervisor = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
        os.kill(parent.pid if killed == "parent" else supervisor, signal.SIGKILL)
        assert gone(pid)
        parent.kill()


@pytest.mark.slow
def test_a_parent_killed_before_the_server_is_up_leaves_nothing_behind(tmp_path):
    code = PARENT.replace("server.start()", "print('starting', flush=True); server.start()")
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "db")], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        deadline = time.monotonic() + 30
        while not (supervisors := children(parent.pid)) and time.monotonic() < deadline:
            time.sleep(0.01)
        parent.kill()  # the data directory is being made, the server's process is not yet there
    assert supervisors
    assert gone(supervisors[0], 30)


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
