"""SIGKILL before any statement of a transaction: afterwards the job goes on as if nothing had been.

A forked process does the work and kills itself; the parent looks at what it left, and finishes the job.
"""

import multiprocessing
import os
import signal
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from handlers.common import jobs, primary
from handlers.common.order import image_order, lock_book
from handlers.common.tables import book_images, books, image_processing_jobs
from tests.local.conftest import engine_on

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LEASE = timedelta(minutes=5)
LATER = NOW + LEASE
MOST_STATEMENTS = 25


@pytest.fixture
def book(database):
    with database.begin() as connection:
        book = connection.scalar(sa.insert(books).values(title="Emma").returning(books.c.id))
        for position in range(2):
            row = {"book_id": book, "s3_key": f"{position}.jpg", "display_order": position, "is_primary": not position}
            connection.execute(sa.insert(book_images).values(**row))
    return book


def row(database):
    with database.begin() as connection:
        return jobs.Job(**connection.execute(sa.select(image_processing_jobs)).one()._mapping)


def do(database, act):
    with database.begin() as connection:
        return act(connection)


def killed_before(postgres, name, act, number):
    """Do `act` in another process that kills itself before its statement `number`; tell whether it got there."""

    def work():
        engine, seen = engine_on(postgres, name), []

        @sa.event.listens_for(engine, "before_cursor_execute")
        def count(*_):
            seen.append(1)
            if len(seen) == number:
                os.kill(os.getpid(), signal.SIGKILL)

        with engine.begin() as connection:
            act(connection)
            if number == len(seen) + 1:  # before the commit
                os.kill(os.getpid(), signal.SIGKILL)
        os._exit(0)

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join(60)
    assert process.exitcode in {0, -signal.SIGKILL}
    return process.exitcode != 0


def accept(connection, book):
    job = jobs.accept(connection, book, 1, now=NOW)
    return next(iter(jobs.begin_sending(connection, [job.id], now=NOW)))


def claim(connection, job, now=NOW):
    return jobs.claim(connection, job.id, jobs.Message(job.message_number), now=now, lease=LEASE)


def complete(connection, job, now=NOW):
    picture = jobs.ProcessedImage("1_processed_a.png", "hash")
    return jobs.complete(connection, job, processed=picture, model_used="m", result={}, now=now)


def every_kill(postgres, name, act, look):
    """Kill before each statement in turn and look each time; once there is none left, the work was done."""
    for number in range(1, MOST_STATEMENTS):
        if not killed_before(postgres, name, act, number):
            return
        look()
    raise AssertionError("more statements than anybody thought")


def test_a_claim(database, database_name, postgres, book):
    job = do(database, lambda c: accept(c, book))
    every_kill(postgres, database_name, lambda c: claim(c, job), lambda: _same(database, job))
    assert row(database).status == "processing"


def test_a_completion(database, database_name, postgres, book):
    job = do(database, lambda c: accept(c, book))
    held = do(database, lambda c: claim(c, job)).job

    def look():
        _same(database, held)
        assert do(database, lambda c: image_order(c, book)) == [1, 2]

    every_kill(postgres, database_name, lambda c: complete(c, held), look)
    done = row(database)
    assert (done.status, do(database, lambda c: image_order(c, book))) == ("completed", [done.processed_image_id, 2, 1])


def test_a_worker_that_was_killed_is_followed_by_one_that_completes(database, database_name, postgres, book):
    job = do(database, lambda c: accept(c, book))

    def both(connection):
        complete(connection, claim(connection, job).job)

    assert killed_before(postgres, database_name, both, 5)
    again = do(database, lambda c: claim(c, job, now=LATER)).job
    assert do(database, lambda c: complete(c, again, now=LATER)).status == "completed"


def test_a_sending(database, database_name, postgres, book):
    job = do(database, lambda c: jobs.accept(c, book, 1, now=NOW))
    begin = lambda c: jobs.begin_sending(c, [job.id], now=NOW)  # noqa: E731
    every_kill(postgres, database_name, begin, lambda: _same(database, job))
    (again,) = do(database, lambda c: jobs.begin_sending(c, now=NOW + jobs.SEND_GRACE))
    assert again.message_number > row(database).accepted_number


def test_a_discard(database, database_name, postgres, book):
    job = do(database, lambda c: accept(c, book))
    discard = lambda c: jobs.discard(c, job.id, jobs.Message(job.message_number), who="ann", now=NOW)  # noqa: E731
    every_kill(postgres, database_name, discard, lambda: _same(database, job))
    ended = row(database)
    assert (ended.status, ended.failure_reason) == ("failed", "its message was discarded from the dead letters by ann")


def test_a_choice(database, database_name, postgres, book):
    def choose(connection):
        lock_book(connection, book)
        primary.choose(connection, book, [2, 1], now=NOW)

    def look():
        assert do(database, lambda c: image_order(c, book)) == [1, 2]
        assert do(database, lambda c: c.scalar(sa.select(sa.func.count()).select_from(image_processing_jobs))) == 0

    every_kill(postgres, database_name, choose, look)
    assert (do(database, lambda c: image_order(c, book)), row(database).source_image_id) == ([2, 1], 2)


def _same(database, job):
    assert row(database) == job
