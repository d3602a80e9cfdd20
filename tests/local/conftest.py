"""A real PostgreSQL for the whole session, a fresh database for each test, and moto in this process."""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import boto3
import psycopg
import pytest
import sqlalchemy as sa
from moto import mock_aws
from psycopg import sql
from sqlalchemy.pool import NullPool

from handlers.common import aws
from handlers.common.database import Database
from handlers.common.settings import DatabaseSettings
from handlers.migrate.schema import upgrade
from local.postgres import HOST, Postgres

PASSWORD = "a%b#c?d:/[x]"  # every character that breaks an interpolated URL
USER = "bluemoxon"


@dataclass(frozen=True)
class Server:
    """The session's PostgreSQL; `control` changes passwords as RDS would."""

    control: Postgres
    host: str
    port: int

    def connect(self, database: str = "postgres", password: str = PASSWORD) -> psycopg.Connection:
        return psycopg.connect(
            host=self.host, port=self.port, user=USER, password=password, dbname=database, autocommit=True
        )


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    control = Postgres(tmp_path_factory.mktemp("postgres"))
    control.start()
    try:
        control.create_master(USER, PASSWORD, None)
        yield Server(control, HOST, control.port)
    finally:
        control.remove()


@pytest.fixture(scope="session")
def template(postgres: Server) -> str:
    """A migrated database that each test's own is copied from, which is ten times faster than migrating."""
    with postgres.connect() as connection:
        connection.execute("CREATE DATABASE template_migrated")
    engine = engine_on(postgres, "template_migrated")
    with engine.begin() as connection:
        upgrade(connection)
    engine.dispose()
    return "template_migrated"


def engine_on(server: Server, name: str) -> sa.Engine:
    """An engine without a pool, so that nothing holds the database when it is dropped."""
    connect = partial(server.connect, name)
    return sa.create_engine("postgresql+psycopg://", creator=lambda: _transactional(connect()), poolclass=NullPool)


def _transactional(connection: psycopg.Connection) -> psycopg.Connection:
    connection.autocommit = False
    return connection


def _fresh(postgres: Server, template: str | None) -> Iterator[str]:
    name = f"t{time.monotonic_ns()}"
    create = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
    if template:
        create += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
    with postgres.connect() as connection:
        connection.execute(create)
    yield name
    with postgres.connect() as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def empty_database(postgres: Server) -> Iterator[str]:
    yield from _fresh(postgres, None)


@pytest.fixture
def database_name(postgres: Server, template: str) -> Iterator[str]:
    yield from _fresh(postgres, template)


@pytest.fixture
def aws_mock(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-west-2",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    aws.forget_clients()
    with mock_aws():
        yield
    aws.forget_clients()


@pytest.fixture
def secret_arn(aws_mock: None, postgres: Server, database_name: str) -> str:
    contract = {"username": USER, "password": PASSWORD, "host": postgres.host, "port": str(postgres.port)}
    created = boto3.client("secretsmanager").create_secret(
        Name="database", SecretString=json.dumps(contract | {"dbname": database_name})
    )
    return created["ARN"]


@pytest.fixture
def database(secret_arn: str) -> Iterator[Database]:
    database = Database(DatabaseSettings(secret_arn, sslmode="disable"))
    yield database
    database.dispose()
