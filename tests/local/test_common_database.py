"""Connections to a real PostgreSQL whose login comes from a secret and may be rotated at any time."""

import contextlib
import json
import socket
import threading
import time

import boto3
import psycopg
import pytest
import sqlalchemy as sa

from handlers.common.database import Database, DatabaseUnavailableError, Login, read_login
from handlers.common.secrets import NoSecretValueError, SecretError
from handlers.common.settings import DatabaseSettings
from tests.local.conftest import PASSWORD, USER


@pytest.fixture
def secrets(aws_mock):
    return boto3.client("secretsmanager")


def secret(secrets, value, name="s"):
    text = value if isinstance(value, str) else json.dumps(value)
    return secrets.create_secret(Name=name, SecretString=text)["ARN"]


CONTRACT = {"username": "u", "password": "p", "host": "h", "port": 5432, "database": "d"}


def test_the_contracts_secret_is_read(secrets):
    assert read_login(secrets, secret(secrets, CONTRACT)) == Login("h", 5432, "d", "u", "p")


def test_dbname_and_a_port_as_text_are_accepted(secrets):
    older = {key: value for key, value in CONTRACT.items() if key != "database"} | {"dbname": "d", "port": "5432"}
    assert read_login(secrets, secret(secrets, older)) == Login("h", 5432, "d", "u", "p")


def test_the_credentials_secret_is_followed_and_wins(secrets):
    rds = secret(secrets, {"username": "master", "password": "%#?:[]/"}, "rds!db-1")
    contract = CONTRACT | {"credentials_secret_arn": rds}
    assert read_login(secrets, secret(secrets, contract)) == Login("h", 5432, "d", "master", "%#?:[]/")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("not json: hunter2", "is not JSON"),
        ('["hunter2"]', "not a JSON object"),
        (CONTRACT | {"host": ""}, "'host'"),
        (CONTRACT | {"database": None}, "'database' or 'dbname'"),
        (CONTRACT | {"port": "x"}, "no port number"),
        (CONTRACT | {"port": 0}, "no port number"),
        (CONTRACT | {"port": 65536}, "no port number"),
        (CONTRACT | {"port": True}, "no port number"),
        (CONTRACT | {"password": 5}, "'password'"),
    ],
)
def test_a_broken_secret_is_refused_by_key_without_its_content(secrets, value, words):
    arn = secret(secrets, value)
    with pytest.raises(SecretError, match=words) as refused:
        read_login(secrets, arn)
    assert arn in str(refused.value)
    assert "hunter2" not in repr(refused.value)
    # A JSONDecodeError holds the document; unless it is suppressed, whoever logs the chain logs the secret.
    assert refused.value.__context__ is None or refused.value.__suppress_context__


def test_a_secret_without_a_value_says_so(secrets):
    with pytest.raises(NoSecretValueError):
        read_login(secrets, secrets.create_secret(Name="empty")["ARN"])


def test_the_password_is_not_in_the_representation_of_a_login():
    assert "hunter2" not in repr(Login("h", 1, "d", "u", "hunter2"))


def test_a_password_with_every_character_of_a_url_logs_in(database):
    database.ping()


@pytest.mark.parametrize("database_route", ["straight"], indirect=True)  # PgBouncer has a list of passwords of its own
def test_a_rotated_password_is_read_again_and_the_caller_notices_nothing(postgres, database, secret_arn):
    database.ping()
    secrets = boto3.client("secretsmanager")
    value = json.loads(secrets.get_secret_value(SecretId=secret_arn)["SecretString"])
    try:
        postgres.control.set_password(USER, "rotated/%#")
        database.dispose()  # otherwise the open connection goes on working, as it does on RDS
        secrets.put_secret_value(SecretId=secret_arn, SecretString=json.dumps(value | {"password": "rotated/%#"}))
        database.ping()
    finally:
        postgres.control.set_password(USER, PASSWORD)


def test_a_wrong_password_is_tried_once_and_never_shown(postgres, database_name, secrets):
    value = {"username": USER, "password": "hunter2", "host": postgres.host, "port": postgres.port}
    arn, reads = secret(secrets, value | {"database": database_name}), []
    secrets.meta.events.register("before-call.secrets-manager.GetSecretValue", lambda **_: reads.append(1))
    database = Database(DatabaseSettings(arn, "disable"), secrets)
    with pytest.raises(DatabaseUnavailableError, match="password authentication failed") as refused:
        database.ping()
    assert "hunter2" not in str(refused.value) + repr(refused.value) + repr(database)
    assert refused.value.refusal.wrong_password
    assert "the server refuses the password" in str(refused.value)
    assert len(reads) == 2  # once to log in, once to see whether it was rotated: no third


def test_a_database_that_does_not_answer_is_an_error_within_seconds(secrets):
    with socket.socket() as silent:  # accepts, and says nothing
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        value = CONTRACT | {"host": "127.0.0.1", "port": silent.getsockname()[1]}
        database = Database(DatabaseSettings(secret(secrets, value), "disable"), secrets, connect_seconds=2)
        began = time.monotonic()
        with pytest.raises(DatabaseUnavailableError, match=r"'d' at 127\.0\.0\.1:\d+ as 'u' \(limit 2 s\)"):
            database.ping()
        assert time.monotonic() - began < 30


@pytest.mark.parametrize("database_route", ["straight"], indirect=True)  # PgBouncer lets clients wait
def test_a_database_that_is_full_is_not_called_a_wrong_password(postgres, database, database_name):
    held = []
    try:
        with contextlib.suppress(psycopg.OperationalError):
            while True:
                held.append(postgres.connect(database_name))
        with pytest.raises(DatabaseUnavailableError, match="the server has no connection free") as refused:
            database.ping()
    finally:
        for connection in held:
            connection.close()
    assert (refused.value.refusal.sqlstate, refused.value.refusal.wrong_password) == ("53300", False)


def test_a_server_without_tls_is_refused_by_default(secret_arn):
    with pytest.raises(DatabaseUnavailableError, match=r"no trusted TLS connection.*SSL"):
        Database(DatabaseSettings(secret_arn)).ping()


def test_a_statement_that_takes_too_long_is_ended(secret_arn):
    database = Database(DatabaseSettings(secret_arn, "disable"), statement_seconds=1)
    with pytest.raises(sa.exc.OperationalError, match="statement timeout"), database.begin() as connection:
        connection.execute(sa.select(sa.func.pg_sleep(5)))
    database.dispose()


def test_a_connection_that_the_server_closed_is_replaced(postgres, database, database_name):
    database.ping()
    with postgres.connect() as connection:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [database_name])
    database.ping()


def test_a_transaction_is_rolled_back_when_its_block_raises(database):
    with pytest.raises(ZeroDivisionError), database.begin() as connection:
        connection.execute(sa.text("INSERT INTO books (title) VALUES ('x')"))
        raise ZeroDivisionError
    with database.begin() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM books")).scalar() == 0


def test_the_parameters_of_a_failed_statement_stay_out_of_the_message(database):
    with pytest.raises(sa.exc.DBAPIError) as failed, database.begin() as connection:
        connection.execute(sa.text("SELECT :x / 0 + length(:y)"), {"x": 1, "y": "hunter2"})
    assert "hunter2" not in str(failed.value)


def test_a_second_connection_is_there_beside_a_transaction_and_a_third_is_refused_soon(secret_arn):
    database = Database(DatabaseSettings(secret_arn, "disable"), connect_seconds=2)
    with database.begin(), database.begin(), pytest.raises(sa.exc.TimeoutError):
        database.ping()
    database.dispose()


def test_threads_share_the_pool(database):
    errors = []

    def ping():
        try:
            for _ in range(5):
                database.ping()
        except Exception as error:  # noqa: BLE001  shown below
            errors.append(error)

    threads = [threading.Thread(target=ping) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert errors == []
