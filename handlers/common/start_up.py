"""One start-up exchange with PostgreSQL, kept in full: why nobody was let in, and who said so.

libpq drops the SQLSTATE of a failed connection, and its words are in the server's language. Its trace of the protocol
holds both, and whether it was PostgreSQL that spoke: it names the place in its source, which a pooler does not.
https://www.postgresql.org/docs/current/protocol-error-fields.html
"""

from __future__ import annotations

import os
import re
import select
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from psycopg import pq

REFUSED_LOGIN = "28P01"
# "PostgreSQL Error Codes", https://www.postgresql.org/docs/current/errcodes-appendix.html
_SENTENCES = {
    REFUSED_LOGIN: "the server refuses the password",
    "28000": "the server lets this user in from nowhere or not from here (pg_hba.conf, TLS or NOLOGIN), whatever the "
    "password",
    "3D000": "the server has no such database",
    "53300": "the server has no connection free",
    "57P01": "the server is being shut down",
    "57P02": "the server has crashed and starts again",
    "57P03": "the server is starting or shutting down",
}
_TRACED_FIELD = re.compile(r' ([A-Z]) "(.*?)"(?= [A-Z] "| \\x00)')


@dataclass(frozen=True)
class Accepted:
    """A login that worked, as the server names it."""

    user: str
    database: str


@dataclass(frozen=True)
class Refusal:
    """A login that did not work.

    Parameters
    ----------
    words
        What libpq or the server said, on one line.
    sqlstate
        The code that came, empty where none did.
    from_server
        Whether PostgreSQL itself sent that code, and not a pooler before it.
    during_tls
        Whether it ended while TLS was being agreed on, so before anybody was asked who they are.
    """

    words: str
    sqlstate: str = ""
    from_server: bool = False
    during_tls: bool = False

    @property
    def wrong_password(self) -> bool:
        """Whether the password is known to be wrong; whatever else is said, nothing is known of it."""
        return self.sqlstate == REFUSED_LOGIN and self.from_server

    def __str__(self) -> str:
        if self.during_tls:
            meaning = "there is no trusted TLS connection to the server"
        elif not self.sqlstate:
            meaning = "the server cannot be reached"
        elif not self.from_server:
            meaning = "something before the server, such as a pooler, refuses the login"
        else:
            meaning = _SENTENCES.get(self.sqlstate, "the server refuses the connection")
        return f"{meaning}: {self.words}" + (f" ({self.sqlstate})" if self.sqlstate else "")


def exchange(conninfo: str, seconds: float) -> Accepted | Refusal:
    """Log in once, ask who one is, and hang up.

    Parameters
    ----------
    conninfo
        libpq's connection string.
    seconds
        How long all of it may take; the look-up of the host's name is not in it.
    """
    until = time.monotonic() + seconds
    connection = pq.PGconn.connect_start(conninfo.encode())
    try:
        with _traced(connection) as trace:
            answer = _log_in(connection, until)
            if answer is None:
                return _asked(connection, until)
        return _refusal(_words(connection) or answer, "".join(trace))
    except TimeoutError:
        return Refusal(f"no answer in {seconds:g} s")
    finally:
        connection.finish()


def _log_in(connection: pq.abc.PGconn, until: float) -> str | None:
    """Say why the exchange ended without a login, ``None`` where it ended with one."""
    if connection.status == pq.ConnStatus.BAD:
        return "no connection"
    waited = pq.PollingStatus.WRITING
    while True:
        _wait(connection, until, writing=waited == pq.PollingStatus.WRITING)
        waited = pq.PollingStatus(connection.connect_poll())
        if waited == pq.PollingStatus.OK:
            return None
        if waited == pq.PollingStatus.FAILED:
            return "no connection"


def _asked(connection: pq.abc.PGconn, until: float) -> Accepted | Refusal:
    # A pooler takes a login before it knows of the server: only a statement proves one.
    connection.send_query(b"select current_user, current_database()")
    while connection.is_busy():
        _wait(connection, until, writing=False)
        connection.consume_input()
    result = connection.get_result()
    if result is None:
        return Refusal(_words(connection))
    if result.status != pq.ExecStatus.TUPLES_OK:
        code = result.error_field(pq.DiagnosticField.SQLSTATE) or b""
        named = result.error_field(pq.DiagnosticField.SOURCE_FUNCTION)
        return Refusal(_words(connection), code.decode(), from_server=bool(named))
    user, database = (result.get_value(0, column) or b"" for column in (0, 1))
    return Accepted(user.decode(), database.decode())


def _wait(connection: pq.abc.PGconn, until: float, *, writing: bool) -> None:
    sockets = [connection.socket]
    left = max(0.0, until - time.monotonic())
    if not any(select.select([] if writing else sockets, sockets if writing else [], [], left)):
        raise TimeoutError


def _words(connection: pq.abc.PGconn) -> str:
    return " ".join(connection.error_message.decode(errors="replace").split())


@contextmanager
def _traced(connection: pq.abc.PGconn) -> Iterator[list[str]]:
    """Give what libpq and the server said to each other, filled in when the block ends.

    It holds what a password could be guessed from, so it stays in memory, and nothing of it but the error is shown.
    """
    lines: list[str] = []
    if sys.platform != "linux":  # psycopg traces nowhere else; then no SQLSTATE is known
        yield lines
        return
    memory = os.memfd_create("start-up")
    try:
        connection.trace(memory)
        connection.set_trace_flags(pq.Trace.SUPPRESS_TIMESTAMPS)
        yield lines
        connection.untrace()
        with os.fdopen(os.dup(memory), "rb") as kept:
            kept.seek(0)
            lines += [line.decode(errors="replace") for line in kept]
    finally:
        os.close(memory)


def _refusal(words: str, trace: str) -> Refusal:
    tls = re.search(r"^B\t\d+\tSSLResponse", trace, re.MULTILINE)
    if tls and "StartupMessage" not in trace[tls.end() :]:
        return Refusal(words, during_tls=True)
    _, error, fields = trace.rpartition("ErrorResponse\t")
    if not error:
        return Refusal(words)
    found = dict(reversed(_TRACED_FIELD.findall(fields)))  # the first of a name: a message may quote anything
    return Refusal(words, found.get("C", ""), from_server="R" in found)
