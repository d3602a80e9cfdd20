"""PostgreSQL's processes die under the deployed stack: what was acknowledged stays, and the jobs complete."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from flows import catalogue
from local.postgres import Postgres
from ops.client import ApiClient, ApiError
from ops.run import ENDED
from tests.e2e.conftest import Deployed
from tests.e2e.pictures import small_photo
from tests.e2e.waiting import eventually

FLOW = catalogue("bluemoxon-local")[0]
CALLERS = 4
COMMITS, BACKENDS, SERVERS = 1000, 20, 3


def insisting(work: Callable[[], Any], seconds: float = 120.0) -> Any:
    """Try again for as long as the API says that it is not possible at the moment; nothing else is forgiven."""
    until = time.monotonic() + seconds
    while True:
        try:
            return work()
        except ApiError as error:
            if "HTTP 503" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.2)


class Commits:
    """Callers that create books through the API, and keep the id of each that was acknowledged."""

    def __init__(self, api: ApiClient, wanted: int) -> None:
        self.ids: list[int] = []
        self.errors: list[BaseException] = []
        self._api, self._wanted = api, wanted
        self._threads = [threading.Thread(target=self._work) for _ in range(CALLERS)]
        for thread in self._threads:
            thread.start()

    def _work(self) -> None:
        try:
            while len(self.ids) < self._wanted:
                self.ids.append(insisting(partial(self._api.create_book, "Acknowledged"))["id"])
        except BaseException as error:
            self.errors.append(error)
            raise

    def reach(self, count: int) -> None:
        eventually(lambda: len(self.ids) >= count or bool(self.errors), f"no {count} commits", 300)
        assert not self.errors

    def finish(self) -> list[int]:
        for thread in self._threads:
            thread.join()
        assert not self.errors
        return self.ids


def kill_a_backend(server: Postgres) -> None:
    """Kill a session of the application's, as soon as there is one."""
    found: list[int] = []

    def seen() -> bool:
        try:
            with server._connect() as connection:
                rows = connection.execute("select pid from pg_stat_activity where usename = 'bluemoxon'").fetchall()
        except psycopg.OperationalError:  # it is just coming back
            return False
        found[:] = [int(str(row[0])) for row in rows]
        return bool(found)

    eventually(seen, "nobody of the application's is connected", 120)
    os.kill(found[0], signal.SIGKILL)


def kill_the_server(server: Postgres) -> None:
    eventually(lambda: server.pid != 0, "there is no server to kill", 120)
    os.kill(server.pid, signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_nothing_acknowledged_is_lost_ids_are_unique_and_jobs_complete(deployed: Deployed, tmp_path: Path) -> None:
    api, photo = deployed.api("database-killed"), small_photo(tmp_path)
    identifier = str(deployed.handle.output("database")["identifier"])
    server = deployed.cloud.rds.server(identifier)
    assert server is not None
    commits, jobs = Commits(api, COMMITS), []
    kills = [kill_a_backend] * BACKENDS
    for number in range(SERVERS):
        kills.insert((number + 1) * len(kills) // (SERVERS + 1), kill_the_server)
    for number, kill in enumerate(kills, 1):
        commits.reach(number * COMMITS // (len(kills) + 1))
        if kill is kill_the_server:
            book = insisting(partial(api.create_book, "Photographed"))["id"]
            jobs.append(insisting(partial(api.upload, book, photo.path, photo.content_type))["job"]["id"])
        kill(server)
    acknowledged = commits.finish()

    with server._connect(str(database_of(deployed, identifier))) as connection:
        kept = {row[0] for row in connection.execute("select id from books")}
    assert len(set(acknowledged)) == len(acknowledged) >= COMMITS
    assert set(acknowledged) <= kept
    rds = deployed.handle.client("rds")
    (described,) = rds.describe_db_instances(DBInstanceIdentifier=identifier)["DBInstances"]
    assert described["DBInstanceStatus"] == "available"

    def ended() -> bool:
        return {insisting(partial(api.job, job))["status"] for job in jobs} <= ENDED

    # A message that was given back is visible again after its timeout. A clock that jumps ends whatever worker is busy,
    # so each has the time to finish in between.
    for _ in range(FLOW.receives - 1):
        if ended():
            break
        deployed.cloud.clock.advance(FLOW.visibility_timeout + 1)
        with suppress(AssertionError):
            eventually(ended, "a message was given back once more", 120)
    assert [api.job(job)["status"] for job in jobs] == ["completed"] * SERVERS


def database_of(deployed: Deployed, identifier: str) -> str:
    rds = deployed.handle.client("rds")
    return str(rds.describe_db_instances(DBInstanceIdentifier=identifier)["DBInstances"][0]["DBName"])
