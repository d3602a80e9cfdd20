"""A real PostgreSQL for the whole session, a fresh database for each test, and moto in this process."""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import boto3
import psycopg
import pytest
import sqlalchemy as sa
from moto import mock_aws
from psycopg import sql
from sqlalchemy.pool import NullPool

from handlers.api.health import deep_check
from handlers.api.parts import keys, whole
from handlers.common import aws, registry, services
from handlers.common.database import Database
from handlers.common.settings import DatabaseSettings
from handlers.migrate.schema import upgrade
from local.postgres import HOST, Postgres
from tests.local.api_caller import BUCKET, FLOW, KEY, KEYS_SECRET, QUEUE, keys_document, registry_text
from tests.local.pgbouncer import PgBouncer, running

PASSWORD = "a%b#c?d:/[x]"  # every character that breaks an interpolated URL
USER = "bluemoxon"
THROUGH_A_POOLER = {
    "test_common_database",
    "test_jobs",
    "test_pooler",
    "test_sweeper",
}


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
def migrated(postgres: Server) -> str:
    """The name of a database at the newest revision; `database_name` empties it for each test."""
    with postgres.connect() as connection:
        connection.execute("CREATE DATABASE migrated")
    engine = engine_on(postgres, "migrated")
    with engine.begin() as connection:
        upgrade(connection)
    engine.dispose()
    return "migrated"


def engine_on(server: Server, name: str) -> sa.Engine:
    """An engine without a pool, so that nothing holds the database when it is dropped."""
    connect = partial(server.connect, name)
    return sa.create_engine("postgresql+psycopg://", creator=lambda: _transactional(connect()), poolclass=NullPool)


def _transactional(connection: psycopg.Connection) -> psycopg.Connection:
    connection.autocommit = False
    return connection


@pytest.fixture
def empty_database(postgres: Server) -> Iterator[str]:
    name = f"t{time.monotonic_ns()}"
    with postgres.connect() as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    yield name
    with postgres.connect() as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def database_name(postgres: Server, migrated: str) -> str:
    with postgres.connect(migrated) as connection:
        connection.execute("SET lock_timeout = '5s'")  # a test that left a transaction open is named, not waited for
        # Nearly everything hangs on a book.
        tables = "books, sweeps, api_keys, idempotent_requests"
        connection.execute(f"TRUNCATE {tables} RESTART IDENTITY CASCADE")
    return migrated


@pytest.fixture(scope="session")
def boto3_session() -> boto3.Session:
    return boto3.Session()


@pytest.fixture
def aws_mock(monkeypatch: pytest.MonkeyPatch, boto3_session: boto3.Session) -> Iterator[None]:
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
        # moto gives every test a new default session, which reads botocore's models from disk again: 0.3 s a test.
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", boto3_session)
        yield
    aws.forget_clients()


@pytest.fixture(scope="session")
def pooler(postgres: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PgBouncer]:
    with running(tmp_path_factory.mktemp("pgbouncer"), postgres.host, postgres.port, USER, PASSWORD) as pooler:
        yield pooler


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what stands on the application's own connections a second time, through PgBouncer."""
    module = metafunc.module.__name__.rpartition(".")[2]
    chosen = [mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")]
    if module in THROUGH_A_POOLER and "secret_arn" in metafunc.fixturenames and "database_route" not in chosen:
        # What is about the pooler itself is quick; the rest a second time is left to --all.
        marks = () if module == "test_pooler" else pytest.mark.slow
        routes = ["straight", pytest.param("pgbouncer", marks=marks)]
        metafunc.parametrize("database_route", routes, indirect=True)


@pytest.fixture
def database_route(request: pytest.FixtureRequest, postgres: Server) -> tuple[str, int]:
    """Host and port by which the application reaches the database."""
    if getattr(request, "param", "straight") == "straight":
        return postgres.host, postgres.port
    pooler: PgBouncer = request.getfixturevalue("pooler")
    return pooler.host, pooler.port


@pytest.fixture
def secret_arn(aws_mock: None, database_route: tuple[str, int], database_name: str) -> str:
    contract = {"username": USER, "password": PASSWORD, "host": database_route[0], "port": str(database_route[1])}
    created = boto3.client("secretsmanager").create_secret(
        Name="database", SecretString=json.dumps(contract | {"dbname": database_name})
    )
    return created["ARN"]


@pytest.fixture
def database(secret_arn: str) -> Iterator[Database]:
    database = Database(DatabaseSettings(secret_arn, sslmode="disable"))
    yield database
    database.dispose()


@pytest.fixture
def registry_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The registry of flows that lies in the API's package when it is deployed."""
    path = tmp_path / "registry.json"
    path.write_text(registry_text(FLOW))
    monkeypatch.setattr(registry.load, "__defaults__", (path,))
    return path


@pytest.fixture
def api(
    database: Database, secret_arn: str, registry_file: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Database]:
    """The API's environment, registry, bucket, queues and keys; gives the database that it works on."""
    secrets = boto3.client("secretsmanager")
    keys_arn = secrets.create_secret(Name=KEYS_SECRET, SecretString=keys_document(tests=KEY))["ARN"]
    boto3.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    for queue in (QUEUE, f"{QUEUE}-dlq"):
        boto3.client("sqs").create_queue(QueueName=queue)
    for name, value in {
        "BMX_ENVIRONMENT": "local",
        "BMX_VERSION": "1.2.3",
        "BMX_DATABASE_SECRET_ARN": secret_arn,
        "BMX_DATABASE_SSLMODE": "disable",
        "BMX_API_KEYS_SECRET_ARN": keys_arn,
        "BMX_IMAGES_BUCKET": BUCKET,
        "BMX_IMAGE_PROCESSING_QUEUE_NAME": QUEUE,
    }.items():
        monkeypatch.setenv(name, value)
    for made in (whole, keys, deep_check):
        made.cache_clear()
    services.forget()
    yield database
    services.forget()
    for made in (whole, keys, deep_check):
        made.cache_clear()
