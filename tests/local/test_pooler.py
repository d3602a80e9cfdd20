"""The application's transactions where server sessions are shared: limits are a transaction's, and nobody else's."""

import json
import threading

import boto3
import pytest
import sqlalchemy as sa

from handlers.common.database import Database
from handlers.common.settings import DatabaseSettings
from handlers.migrate.login import Endpoint, try_login
from handlers.migrate.schema import upgrade
from tests.local.conftest import PASSWORD, USER
from tests.local.pgbouncer import SESSIONS

LIMITS = sa.text(
    "select pg_backend_pid(), current_setting('statement_timeout'),"
    " current_setting('idle_in_transaction_session_timeout'), current_setting('timezone')"
)


def limits(connection):
    return tuple(connection.execute(LIMITS).one())


@pytest.fixture
def another(secret_arn):
    """A second client of the same database, with limits of its own."""
    database = Database(DatabaseSettings(secret_arn, "disable"), statement_seconds=600)
    yield database
    database.dispose()


def test_every_transaction_has_the_limits_of_its_client_whatever_session_it_gets(database, another):
    sessions = set()
    for _ in range(10):
        with database.begin() as one, another.begin() as two:
            for connection, limit in ((one, "15s"), (two, "10min")):
                session, *found = limits(connection)
                assert found == [limit, "30s", "UTC"]
                sessions.add(session)
    assert len(sessions) == SESSIONS


def test_a_client_without_limits_gets_none_of_ours(database_route, database, postgres, database_name):
    host, port = database_route
    plain = sa.URL.create("postgresql+psycopg", USER, PASSWORD, host, port, database_name)
    engine = sa.create_engine(plain, poolclass=sa.NullPool)
    try:
        for _ in range(6):
            database.ping()
            with engine.begin() as connection:
                assert limits(connection)[1:3] == ("0", "0")
    finally:
        engine.dispose()


def test_a_limit_bites(secret_arn):
    database = Database(DatabaseSettings(secret_arn, "disable"), statement_seconds=1)
    with pytest.raises(sa.exc.OperationalError, match="statement timeout"), database.begin() as connection:
        connection.execute(sa.text("select pg_sleep(20)"))
    database.ping()
    database.dispose()


def test_clients_that_share_sessions_work_side_by_side(secret_arn):
    errors, clients = [], [Database(DatabaseSettings(secret_arn, "disable")) for _ in range(4)]

    def work(client):
        try:
            for number in range(30):
                with client.begin() as connection:
                    # the same statements often enough for psycopg to prepare them, were it let
                    assert connection.scalar(sa.text("select cast(:n as int) + 1"), {"n": number}) == number + 1
                    connection.execute(sa.text("insert into books (title) values (:title)"), {"title": str(number)})
        except Exception as error:  # noqa: BLE001  shown below
            errors.append(error)
        finally:
            client.dispose()

    threads = [threading.Thread(target=work, args=[client]) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    count = Database(DatabaseSettings(secret_arn, "disable"))
    with count.begin() as connection:
        assert connection.scalar(sa.text("select count(*) from books")) == 120
    count.dispose()


def test_the_schema_is_migrated(database_route, aws_mock, empty_database):
    value = {
        "username": USER,
        "password": PASSWORD,
        "host": database_route[0],
        "port": database_route[1],
        "database": empty_database,
    }
    arn = boto3.client("secretsmanager").create_secret(Name="empty", SecretString=json.dumps(value))["ARN"]
    database = Database(DatabaseSettings(arn, "disable"), statement_seconds=600)
    with database.begin() as connection:
        assert upgrade(connection).applied
    with database.begin() as connection:
        assert upgrade(connection).applied == ()
    database.dispose()


@pytest.mark.parametrize("database_route", ["pgbouncer"], indirect=True)
def test_a_pooler_that_refuses_a_password_proves_nothing_and_the_instance_is_asked_itself(
    database_route, postgres, aws_mock, database_name
):
    value = {
        "username": USER,
        "password": "hunter2",
        "host": database_route[0],
        "port": database_route[1],
        "database": database_name,
    }
    secrets = boto3.client("secretsmanager")
    arn = secrets.create_secret(Name="wrong", SecretString=json.dumps(value))["ARN"]
    settings = DatabaseSettings(arn, "disable")
    by_the_pooler = try_login(settings, secrets=secrets)
    assert (by_the_pooler["ok"], by_the_pooler["cause"]) == (False, "unknown")
    assert "such as a pooler" in by_the_pooler["reason"]
    itself = try_login(settings, endpoint=Endpoint(postgres.host, postgres.port), secrets=secrets)
    assert (itself["ok"], itself["cause"], itself["callers"]["cause"]) == (False, "password", "unknown")
    assert "hunter2" not in json.dumps([by_the_pooler, itself])
