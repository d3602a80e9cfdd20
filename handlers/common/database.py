"""Connections to PostgreSQL whose address and login are read from Secrets Manager at run time.

A failed login reads the secret once more, because a rotation may have changed it since; the address is never
built by interpolation, because passwords contain ``% # ? : [ ] /``; no message or ``repr`` holds a password.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg
import sqlalchemy as sa
from psycopg.conninfo import make_conninfo
from sqlalchemy.pool import QueuePool

from handlers.common.secrets import CURRENT, NoSecretValueError, SecretError, read_version
from handlers.common.settings import DatabaseSettings
from handlers.common.start_up import Accepted, Refusal, exchange

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

CONNECT_SECONDS = 5
STATEMENT_SECONDS = 15
# A function that Lambda freezes or kills inside a transaction would otherwise hold its book's lock for hours.
IDLE_IN_TRANSACTION_SECONDS = 30
# Shorter than the idle time after which NAT gateways and RDS forget a connection (350 s).
RECYCLE_SECONDS = 300
HIGHEST_PORT = 65535


class DatabaseUnavailableError(RuntimeError):
    """The database refuses the login, or does not answer in time.

    Parameters
    ----------
    refusal
        What is known of why; whether it is the password, among others.
    """

    def __init__(self, message: str, refusal: Refusal) -> None:
        super().__init__(message)
        self.refusal = refusal


# Errors of class 25 that are the server's state and not ours: the transaction waited too long for its client
# (idle_in_transaction_session_timeout), and an Aurora instance that became a reader in a failover.
_PASSING = frozenset({"25P03", "25006"})


def is_passing(error: BaseException) -> bool:
    """Whether an error of a statement says how the database is at the moment, so that a later try may do.

    A time limit, a lock, a cut connection, a restart, a full pool are; a wrong statement and a refused value are not.
    """
    if isinstance(error, sa.exc.DBAPIError):
        passing = getattr(error.orig, "sqlstate", None) in _PASSING
        return passing or error.connection_invalidated or isinstance(error, sa.exc.OperationalError)
    return isinstance(error, sa.exc.TimeoutError)


@dataclass(frozen=True)
class Login:
    """Where the database is and who logs in; `version` is the id of the version of the credentials."""

    host: str
    port: int
    database: str
    username: str
    password: str = field(repr=False)
    version: str = field(default="", compare=False)


def read_login(secrets: SecretsManagerClient, secret_arn: str, stage: str = CURRENT) -> Login:
    """Read the contract's secret, and the credentials' secret where it points at one.

    Parameters
    ----------
    secrets
        Client of Secrets Manager.
    secret_arn
        The secret with ``host``, ``port`` and ``database`` (or ``dbname``), and either ``username`` and ``password``
        or ``credentials_secret_arn``, the secret that RDS itself keeps and rotates.

    Raises
    ------
    SecretError
        A secret is not readable, not a JSON object, or lacks a key. The message names the secret and the key.
    """
    try:
        found = read_version(secrets, secret_arn, stage)
    except NoSecretValueError:
        if stage == CURRENT:
            raise
        # A signpost has no such version when the credentials that it points at have one.
        found = read_version(secrets, secret_arn)
    contract, credentials_arn = found.value, secret_arn
    if contract.get("credentials_secret_arn"):
        credentials_arn = str(contract["credentials_secret_arn"])
        found = read_version(secrets, credentials_arn, stage)
    credentials = found.value
    return Login(
        host=_text(contract, secret_arn, "host"),
        port=_port(contract, secret_arn),
        database=_text(contract, secret_arn, "database", "dbname"),
        username=_text(credentials, credentials_arn, "username"),
        password=_text(credentials, credentials_arn, "password"),
        version=found.identifier,
    )


def connection_string(login: Login, settings: DatabaseSettings, **more: str | int) -> str:
    """Return what libpq connects with; nothing in it is a start-up parameter that a pooler would refuse."""
    given: dict[str, str | int | None] = {
        "host": login.host,
        "port": login.port,
        "dbname": login.database,
        "user": login.username,
        "password": login.password,
        "sslmode": settings.sslmode,
        "sslrootcert": settings.sslrootcert,
    }
    return make_conninfo("", **given, **more)


def _text(secret: Mapping[str, Any], arn: str, *names: str) -> str:
    for name in names:
        value = secret.get(name)
        if isinstance(value, str) and value:
            return value
    raise SecretError(f"the secret {arn} has no text under {' or '.join(map(repr, names))}")


def _port(secret: Mapping[str, Any], arn: str) -> int:
    value = secret.get("port")
    try:
        port = int(value) if isinstance(value, int | str) and not isinstance(value, bool) else 0
    except ValueError:
        port = 0
    if not 0 < port <= HIGHEST_PORT:
        raise SecretError(f"the secret {arn} has no port number under 'port'")
    return port


class Database:
    """The database of this deployment: a pool of one connection, made on first use.

    Parameters
    ----------
    settings
        The secret's ARN and the TLS mode.
    secrets
        Client of Secrets Manager; the process's own if not given.
    connect_seconds, statement_seconds
        How long a connection may take to come about, and a statement to answer. A migration passes a longer one.
    stage
        Which version of the credentials is used; see `read_login`.
    """

    def __init__(
        self,
        settings: DatabaseSettings,
        secrets: SecretsManagerClient | None = None,
        *,
        connect_seconds: int = CONNECT_SECONDS,
        statement_seconds: int = STATEMENT_SECONDS,
        stage: str = CURRENT,
    ) -> None:
        self._settings = settings
        self._stage = stage
        self._secrets = secrets
        self._connect_seconds = connect_seconds
        self._statement_seconds = statement_seconds
        self._login: Login | None = None
        self.engine = sa.create_engine(
            "postgresql+psycopg://",
            creator=self._connect,
            poolclass=QueuePool,
            # A function serves one request at a time; the second is for a statement beside a transaction.
            pool_size=1,
            max_overflow=1,
            pool_timeout=connect_seconds,
            pool_pre_ping=True,
            pool_recycle=RECYCLE_SECONDS,
            hide_parameters=True,
        )
        sa.event.listen(self.engine, "begin", self._limit)

    def __repr__(self) -> str:
        return f"Database({self._settings.secret_arn!r})"

    @contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        """Open a transaction; it is committed at the end of the block, rolled back if the block raises.

        Raises
        ------
        DatabaseUnavailableError
            No connection within the time limit, or the login was refused with a secret just read.
        SecretError
            The secret is unreadable.
        """
        with self.engine.begin() as connection:
            yield connection

    def ping(self) -> None:
        """Prove that a login works; raises as `begin` does."""
        with self.begin() as connection:
            connection.execute(sa.select(1))

    def dispose(self) -> None:
        """Close the pooled connections."""
        self.engine.dispose()

    def _read_login(self) -> Login:
        if self._secrets is None:
            from handlers.common.aws import client  # noqa: PLC0415

            self._secrets = client("secretsmanager")
        return read_login(self._secrets, self._settings.secret_arn, self._stage)

    def _connect(self) -> psycopg.Connection[Any]:
        tried = self._login or self._read_login()
        began = time.monotonic()
        try:
            connection = self._open(tried)
        except psycopg.OperationalError as error:
            # libpq gives a failed connection no SQLSTATE and words it in the server's language. So the question is not
            # "was it the password?" but "does the secret say something else by now?".
            self._login = None
            current = self._read_login()
            if current == tried:
                raise self._unavailable(tried, error, began) from error
            tried, began = current, time.monotonic()
            try:
                connection = self._open(current)
            except psycopg.OperationalError as second:
                raise self._unavailable(current, second, began) from second
        self._login = tried
        return connection

    def _limit(self, connection: sa.Connection) -> None:
        """Set the limits of one transaction, as its first statement.

        A pooler takes no start-up parameter (RDS Proxy: "doesn't support command-line options"), and gives the next
        transaction of this connection to another server session: what is set for a session would be somebody else's.
        """
        connection.exec_driver_sql(
            f"SET LOCAL statement_timeout = '{self._statement_seconds}s';"
            f" SET LOCAL idle_in_transaction_session_timeout = '{IDLE_IN_TRANSACTION_SECONDS}s';"
            " SET LOCAL timezone = 'UTC'"
        )

    def _open(self, login: Login) -> psycopg.Connection[Any]:
        milliseconds = 1000
        return psycopg.connect(
            connection_string(login, self._settings),
            connect_timeout=self._connect_seconds,
            # Packets without an answer end the connection; a statement's own limit is the server's business and
            # cannot help when the server is gone.
            tcp_user_timeout=self._statement_seconds * milliseconds,
            # A statement prepared in one server session is unknown, or another one, in the next.
            prepare_threshold=None,
        )

    def _unavailable(self, login: Login, error: psycopg.OperationalError, began: float) -> DatabaseUnavailableError:
        refusal = Refusal(" ".join(str(error).split()))
        # psycopg has no SQLSTATE for a failed connection. What was refused soon is asked once more, for that.
        if time.monotonic() - began < self._connect_seconds / 2:
            again = exchange(connection_string(login, self._settings), self._connect_seconds)
            refusal = Refusal(f"{refusal.words} (and lets in now)") if isinstance(again, Accepted) else again
        reason = str(refusal).replace(login.password, "***")
        return DatabaseUnavailableError(
            f"no connection to the database {login.database!r} at {login.host}:{login.port} as {login.username!r} "
            f"(limit {self._connect_seconds} s): {reason}",
            refusal,
        )
