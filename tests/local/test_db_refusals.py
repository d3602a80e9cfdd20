"""A database that is down, full or restarting is not a wrong password, and no command takes it for one."""

import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
from functools import cache
from typing import Any

import psycopg
import pytest
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from handlers.common.settings import DatabaseSettings
from handlers.common.start_up import Accepted, Refusal, exchange
from handlers.migrate.login import Endpoint, try_login
from local.cloud import Cloud
from ops.database import command
from ops.database import target as targets
from ops.database.adopt import adopt_managed
from ops.database.repair import repair
from ops.database.rotate import rotate
from ops.errors import UserError
from ops.stacks import StackHandle
from tests.local.test_db_commands import GOOD, OWNER, World, database_changed, secret_names_another_user


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    with Cloud(tmp_path_factory.mktemp("cloud") / ".local") as cloud:
        yield cloud


@pytest.fixture(scope="module")
def worlds(cloud):
    return cache(lambda mode: World(cloud, mode, mode))


@pytest.fixture(params=["adopted", "managed"])
def world(request, worlds, monkeypatch):
    monkeypatch.setattr(targets, "POLL_SECONDS", 0.01)
    world = worlds(request.param)
    world.reset()
    return world


def connect(world, count):
    return [
        psycopg.connect(
            host=world.address["host"],
            port=world.address["port"],
            user=OWNER,
            password=password_of(world),
            dbname="shop",
            autocommit=True,
        )
        for _ in range(count)
    ]


def password_of(world):
    if world.mode == "adopted":
        return GOOD
    kept = world.secrets.get_secret_value(SecretId=world.value["credentials_secret_arn"])["SecretString"]
    return json.loads(kept)["password"]


def put_credentials(world, **changed):
    if world.mode == "adopted":
        world.put(world.value | changed)
        return
    value = {"username": OWNER, "password": password_of(world)} | changed
    world.secrets.put_secret_value(SecretId=world.value["credentials_secret_arn"], SecretString=json.dumps(value))


@contextlib.contextmanager
def down(world):
    server = world.cloud.rds.server(world.name)
    server.stop()
    try:
        yield
    finally:
        server.start()


@contextlib.contextmanager
def full(world):
    held = []
    with contextlib.suppress(psycopg.OperationalError):
        while True:
            held += connect(world, 1)
    try:
        yield
    finally:
        for connection in held:
            connection.close()


@contextlib.contextmanager
def restarting(world):
    (held,) = connect(world, 1)
    server = world.cloud.rds.server(world.name)
    os.kill(server.pid, signal.SIGTERM)  # a smart shutdown waits for the session, and lets nobody else in
    deadline = time.monotonic() + 30
    while server.answers():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    try:
        yield
    finally:
        held.close()
        while not server.answers():
            assert time.monotonic() < deadline + 60
            time.sleep(0.02)


@contextlib.contextmanager
def wrong_password(world):
    database_changed(world)
    yield


@contextlib.contextmanager
def wrong_user(world):
    put_credentials(world, username="somebody")
    try:
        yield
    finally:
        put_credentials(world, username=OWNER)


def certificate(folder, name):
    key, made = folder / f"{name}.key", folder / f"{name}.crt"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
    command += ["-addext", f"subjectAltName=DNS:{name}", "-keyout", str(key), "-out", str(made)]
    subprocess.run(command, check=True, capture_output=True)
    return key, made


@contextlib.contextmanager
def tls_before(world, folder, name):
    """End TLS before the server as RDS does, for PostgreSQL's wheel has none; give address and certificate."""
    key, made = certificate(folder, name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made, key)
    listening = socket.create_server(("127.0.0.1", 0))

    def copy(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def serve(plain):
        with contextlib.suppress(OSError), plain:
            plain.recv(8)  # SSLRequest
            plain.sendall(b"S")
            with (
                context.wrap_socket(plain, server_side=True) as inner,
                socket.create_connection((world.address["host"], world.address["port"])) as server,
            ):
                back = threading.Thread(target=copy, args=(server, inner), daemon=True)
                back.start()
                copy(inner, server)
                back.join(5)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listening.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield Endpoint(name, listening.getsockname()[1]), made
    finally:
        listening.close()


@contextlib.contextmanager
def wrong_certificate(world):
    folder = world.cloud.home
    other = certificate(folder, "another-authority")[1]
    with tls_before(world, folder, "localhost") as (world.endpoint, _):
        world.settings = DatabaseSettings(world.arn, "verify-full", str(other))
        yield
    world.endpoint, world.settings = None, DatabaseSettings(world.arn, "disable")


SIX = {
    down: ("unknown", "the server cannot be reached"),
    full: ("unknown", "the server has no connection free"),
    restarting: ("unknown", "the server is starting or shutting down"),
    wrong_password: ("password", "the server refuses the password"),
    wrong_user: ("user", "The secret's user is 'somebody', and the instance's master user is 'books'"),
    wrong_certificate: ("unknown", "there is no trusted TLS connection to the server"),
}


def state(world):
    """Everything that a command could have changed; the server is asked for its verifier, not for a login."""
    arns = [world.arn, world.value.get("credentials_secret_arn") or world.arn]
    return [
        world.secrets.get_secret_value(SecretId=arn)["SecretString"]
        + json.dumps(world.secrets.describe_secret(SecretId=arn)["VersionIdsToStages"], sort_keys=True)
        for arn in arns
    ]


@pytest.mark.slow
@pytest.mark.parametrize("trouble", SIX, ids=lambda trouble: trouble.__name__)
def test_six_troubles_have_six_answers_and_nothing_is_changed_but_where_the_password_is_wrong(
    world, trouble, monkeypatch, capsys
):
    cause, words = SIX[trouble]
    monkeypatch.setattr(command, "stack", lambda _: handle(world))
    with trouble(world):
        before = state(world)
        login = world.target().login()
        assert (login.ok, login.cause) == (False, cause)
        assert [each for _, each in SIX.values() if each in login.reason] == [words]
        assert password_of(world) not in login.reason
        assert command.check("stack", as_json=False) == 1
        said = " ".join(capsys.readouterr().out.split())
        assert words in said
        assert ("db repair" in said) == (cause == "password")

        refused_by = [rotate, *([repair] if cause != "password" else [])]
        for act in [*refused_by, *([adopt_managed] if world.mode == "adopted" else [])]:
            with pytest.raises(UserError, match="does not log in" if cause == "password" else words) as refused:
                world.run(act)
            assert (world.made, refused.value.exit_code) == ([], 1)
        assert state(world) == before
        if cause == "password":
            world.run(repair)
            assert world.made
    assert world.logs_in()


def handle(world):
    made = world.target()
    return StackHandle(world.name, made.stack.outputs, world.client)


@pytest.mark.slow
def test_a_certificate_that_is_trusted_lets_in(worlds, tmp_path):
    world = worlds("adopted")
    world.reset()
    with tls_before(world, tmp_path, "localhost") as (world.endpoint, made):
        world.settings = DatabaseSettings(world.arn, "verify-full", str(made))
        login = world.target().login()
    assert login.ok, login  # at the instance's endpoint; the callers' address here is the server without TLS
    world.endpoint, world.settings = None, DatabaseSettings(world.arn, "disable")


@pytest.mark.parametrize("act", [rotate, repair])
def test_an_answer_that_is_none_of_awss_ends_in_a_sentence(worlds, monkeypatch, act):
    world = worlds("managed")
    world.reset()
    monkeypatch.setattr(command, "stack", lambda _: handle(world))

    def garbled(*_):
        raise ResponseParserError("not XML")

    monkeypatch.setitem(command.COMMANDS, act.__name__, garbled)
    with pytest.raises(UserError, match="not XML"):
        command.act(act.__name__, "stack", dry_run=False)


def test_a_secret_that_may_not_be_read_tells_nothing_of_the_password(worlds, monkeypatch):
    world = worlds("adopted")
    world.reset()

    class Denied:
        def get_secret_value(self, **_):
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "GetSecretValue")

    denied: Any = Denied()
    found = try_login(world.settings, "AWSCURRENT", None, denied)
    assert (found["ok"], found["cause"]) == (False, "unknown")


def test_a_rotation_that_rds_begins_late_is_not_proven_by_the_old_password(worlds, monkeypatch):
    world = worlds("managed")
    world.reset()
    monkeypatch.setattr(targets, "POLL_SECONDS", 0.01)
    before, modify = password_of(world), world.rds.modify_db_instance
    late = []

    def later(**asked):
        late.append(threading.Timer(1.0, lambda: modify(**asked)))
        late[0].start()
        return {}

    monkeypatch.setattr(world.rds, "modify_db_instance", later)
    world.run(rotate)
    assert late
    assert password_of(world) != before
    late[0].join()


def test_a_rotation_that_never_begins_is_not_called_done(worlds, monkeypatch):
    world = worlds("managed")
    world.reset()
    monkeypatch.setattr(targets, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(targets, "LOGIN_SECONDS", 0.3)
    monkeypatch.setattr(world.rds, "modify_db_instance", lambda **_: {})
    with pytest.raises(UserError, match="RDS has not written a new password"):
        world.run(rotate)


def test_what_a_pooler_says_of_a_password_is_not_believed(monkeypatch):
    """PgBouncer's own refusal, byte for byte as protocol 3 has it: the server's code without the server's routine."""
    fields = b"SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed\0\0"
    with answering(b"E" + (len(fields) + 4).to_bytes(4, "big") + fields) as port:
        found = exchange(f"host=127.0.0.1 port={port} user=u dbname=d password=p sslmode=disable", 5)
    assert isinstance(found, Refusal)
    assert (found.sqlstate, found.wrong_password) == ("28P01", False)
    assert "such as a pooler" in str(found)


def test_a_message_cannot_pass_for_another_code(monkeypatch):
    fields = b'SFATAL\0VFATAL\0C53300\0Mtoo many " C "28P01" M "x\0Fproc.c\0L1\0RInitProcess\0\0'
    with answering(b"E" + (len(fields) + 4).to_bytes(4, "big") + fields) as port:
        found = exchange(f"host=127.0.0.1 port={port} user=u dbname=d password=p sslmode=disable", 5)
    assert isinstance(found, Refusal)
    assert (found.sqlstate, found.wrong_password) == ("53300", False)


def test_a_server_that_says_nothing_is_waited_for_no_longer_than_asked():
    with answering(None) as port:
        began = time.monotonic()
        found = exchange(f"host=127.0.0.1 port={port} user=u dbname=d password=p sslmode=disable", 1)
        assert time.monotonic() - began < 30
    assert str(found) == "the server cannot be reached: no answer in 1 s"


@contextlib.contextmanager
def answering(said):
    """A server that gives everybody the same answer, or none."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection = listening.accept()[0]
                    connection.recv(1024)
                    if said is not None:
                        connection.sendall(said)
                        connection.close()

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]


def test_a_login_that_works_names_user_and_database(worlds):
    world = worlds("adopted")
    world.reset()
    where = f"host={world.address['host']} port={world.address['port']} user={OWNER} dbname=shop sslmode=disable"
    assert exchange(f"{where} password='{GOOD}'", 10) == Accepted(OWNER, "shop")


def test_a_secret_of_another_user_is_refused_in_words_by_repair(worlds):
    world = worlds("adopted")
    world.reset()
    secret_names_another_user(world)
    with pytest.raises(UserError, match="'somebody'") as refused:
        world.run(repair)
    assert world.made == []
    assert world.arn in refused.value.fix
