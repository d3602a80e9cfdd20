"""What the database does at the moment is a 503 that says when to try again; only our own faults are a 500."""

import threading
import time

import pytest
import sqlalchemy as sa

from handlers.api import problems
from handlers.common import services
from handlers.common.database import is_passing
from tests.local.api_caller import call


@pytest.fixture
def book(api):
    return call("POST", "/api/v1/books", {"title": "Waiting"}).json["id"]


@pytest.fixture
def locked(postgres, database_name, book):
    """The book's row, held by somebody else."""
    with postgres.connect(database_name) as connection, connection.transaction():
        connection.execute("SELECT 1 FROM books WHERE id = %s FOR UPDATE", [book])
        yield book


def reorder(book):
    return call("POST", f"/api/v1/books/{book}/images/reorder", {"image_ids": [1]})


def tried_again(answer):
    return (answer.status, answer.headers.get("Retry-After"), answer.json["status"]) == (503, "5", 503)


def test_a_row_that_is_locked_for_longer_than_a_statement_may_take(locked, monkeypatch):
    monkeypatch.setattr(services.database(), "_statement_seconds", 1)
    assert tried_again(reorder(locked))


def test_a_connection_that_is_cut_in_the_middle_of_a_request(locked, postgres, database_name):
    answers = []
    request = threading.Thread(target=lambda: answers.append(reorder(locked)))
    request.start()
    waiting = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'"
    deadline = time.monotonic() + 60
    with postgres.connect() as connection:
        while not connection.execute(waiting, [database_name]).fetchall():
            assert request.is_alive() and time.monotonic() < deadline
            time.sleep(0.02)
    request.join(60)
    assert tried_again(answers[0])


def test_a_pool_that_has_no_connection_left(book, monkeypatch):
    database = services.database()
    monkeypatch.setattr(database.engine.pool, "_timeout", 0.2)
    with database.begin(), database.begin():
        assert tried_again(reorder(book))


def test_a_transaction_that_the_server_ended_because_its_client_froze(api, monkeypatch):
    with pytest.raises(sa.exc.DBAPIError) as ended, api.begin() as connection:
        connection.execute(sa.text("SET LOCAL idle_in_transaction_session_timeout = 100"))
        time.sleep(1)
        connection.execute(sa.select(1))
    assert problems.problem_of(ended.value).status == 503


@pytest.mark.parametrize(
    "statement", ["SELECT 1/0", "SELECT nothing FROM books", "INSERT INTO books (title) VALUES (NULL)"]
)
def test_a_fault_of_ours_stays_one(api, statement):
    with pytest.raises(sa.exc.SQLAlchemyError) as ours, api.begin() as connection:
        connection.execute(sa.text(statement))
    assert not is_passing(ours.value)
    assert problems.problem_of(ours.value).status == 500
