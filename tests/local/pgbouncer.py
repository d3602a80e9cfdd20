"""A real PgBouncer before the tests' PostgreSQL: few server sessions, shared by transaction."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

SESSIONS = 2
"""Server sessions of one database and user; fewer than the tests have clients."""


@dataclass(frozen=True)
class PgBouncer:
    """Where it listens."""

    host: str
    port: int


@contextlib.contextmanager
def running(folder: Path, host: str, port: int, user: str, password: str) -> Iterator[PgBouncer]:
    """Run one before a server; the test that asks for it is skipped where there is none."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        pytest.skip("PgBouncer is not installed (Debian: apt-get install pgbouncer)")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        listening = int(probe.getsockname()[1])
    quoted = password.replace('"', '""')
    (folder / "users").write_text(f'"{user}" "{quoted}"\n')
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n* = host={host} port={port}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {listening}\nunix_socket_dir =\n"
        f"auth_type = scram-sha-256\nauth_file = {folder / 'users'}\n"
        f"pool_mode = transaction\ndefault_pool_size = {SESSIONS}\nmax_client_conn = 200\n"
    )
    command = [program, str(folder / "pgbouncer.ini")]
    if os.geteuid() == 0:  # it refuses to run as root, and reads its files as somebody else
        command[1:1] = ["-u", "nobody"]
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, "nobody")
        for parent in folder.parents[:2]:
            parent.chmod(parent.stat().st_mode | 0o111)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        _wait(process, listening, user, password, folder / "log")
        yield PgBouncer("127.0.0.1", listening)
    finally:
        process.kill()
        process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, user: str, password: str, log: Path) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            psycopg.connect(host="127.0.0.1", port=port, user=user, password=password, dbname="postgres").close()
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(log.read_text(errors="replace")) from None
            time.sleep(0.05)
        else:
            return
