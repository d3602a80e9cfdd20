"""``Idempotency-Key``: the same request twice does its work once, whoever dies in between."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path

import boto3
import pytest
import sqlalchemy as sa
from moto.server import ThreadedMotoServer

from handlers.api import once, openapi
from handlers.api.app import app
from handlers.api.parts import keys, parts, whole
from handlers.api.problems import ProblemError
from handlers.common import idempotency
from handlers.common.clock import now
from handlers.common.idempotency import sweep_requests
from handlers.common.jobs import SEND_GRACE
from handlers.common.tables import book_images, books, idempotent_requests, image_processing_jobs, image_uploads
from handlers.job_sweeper.sweep import Rules, sweep
from tests.local.api_caller import KEY, KEYS_SECRET, QUEUE, call, keys_document
from tests.local.api_pictures import add, messages, new_book, put, put_object, reserve
from tests.local.test_api_edge import problem
from tests.local.test_api_images import count

BOOKS = "/api/v1/books"
ROOT = Path(__file__).parents[2]
TABLES = (books, book_images, image_uploads, image_processing_jobs)

RULES = Rules(max_attempts=5, retention=timedelta(days=4))


def post(path, body=None, *, once="one", key=KEY, **sent):
    return call("POST", path, body, key=key, headers={"idempotency-key": once}, **sent)


def test_the_same_request_makes_one_book_and_gets_the_same_answer(api):
    first, again = post(BOOKS, {"title": "Emma"}), post(BOOKS, {"title": "Emma"})
    assert (first.status, again.status, again.text) == (201, 201, first.text)
    assert (first.headers.get("Idempotent-Replayed"), again.headers["Idempotent-Replayed"]) == (None, "true")
    assert again.headers["Content-Type"] == first.headers["Content-Type"]
    assert post(BOOKS, {"title": "Emma"}, once="two").json["id"] != first.json["id"]
    assert count(api, books) == 2


def test_the_same_key_with_another_body_is_refused_and_does_nothing(api):
    post(BOOKS, {"title": "Emma"})
    document = problem(post(BOOKS, {"title": "Persuasion"}), 422)
    assert (document["type"], document["title"]) == (once.REUSED, "Idempotency-Key is already used")
    assert [error["field"] for error in document["errors"]] == ["header.Idempotency-Key"]
    assert count(api, books) == 1


@pytest.mark.parametrize("raw", ['{ "title":"Emma" }', '{"title": "E\\u006dma"}', b'{"title": "Emma"}'])
def test_a_body_is_the_same_however_its_json_is_spelt(api, raw):
    first = post(BOOKS, {"title": "Emma"})
    assert post(BOOKS, raw=raw).text == first.text
    assert count(api, books) == 1


def test_a_key_is_its_callers_and_its_routes_own(api):
    boto3.client("secretsmanager").put_secret_value(
        SecretId=KEYS_SECRET, SecretString=keys_document(tests=KEY, others="another-key")
    )
    keys.cache_clear()
    first, others = post(BOOKS, {"title": "x"}), post(BOOKS, {"title": "x"}, key="another-key")
    assert (others.status, first.json["id"] == others.json["id"]) == (201, False)
    new = {"filename": "x.jpg", "content_type": "image/jpeg"}
    ids = {post(f"{BOOKS}/{book.json['id']}/images", new).json["image_id"] for book in (first, others)}
    assert len(ids) == 2


def test_neither_the_callers_key_nor_its_digest_is_stored(api):
    post(BOOKS, {"title": "Emma"})
    with api.begin() as connection:
        [row] = connection.execute(sa.select(idempotent_requests)).all()
    text = repr(row)
    assert KEY not in text
    assert hashlib.sha256(KEY.encode()).hexdigest() not in text


@pytest.mark.parametrize(
    "sent",
    ["", " ", '""', '"', '"a', 'a"b', "a,b", '"a","b"', '"a";p=1', "é", '"é"', "a b", "x" * 256, '"\\a"', '"a\x7f"'],
)
def test_a_key_that_is_no_single_string_is_refused(api, sent):
    document = problem(post(BOOKS, {"title": "x"}, once=sent), 400)
    assert [error["field"] for error in document["errors"]] == ["header.Idempotency-Key"]
    assert count(api, books) == 0


@pytest.mark.parametrize(
    ("one", "other"),
    [("8e03978e-40d5", '"8e03978e-40d5"'), ('"a\\"b\\\\"', '  "a\\"b\\\\"\t'), ("x" * 255, '"' + "x" * 255 + '"')],
)
def test_a_key_is_the_same_bare_and_as_a_structured_string(api, one, other):
    assert post(BOOKS, {"title": "x"}, once=one).text == post(BOOKS, {"title": "x"}, once=other).text
    assert count(api, books) == 1


def test_what_a_request_wrote_before_it_was_refused_is_taken_back(api, monkeypatch):
    def refuse(*_given, **_named):
        with parts().database.begin() as connection:
            connection.execute(sa.insert(books).values(title="half"))
        raise ProblemError(HTTPStatus.CONFLICT, "too late")

    monkeypatch.setattr("handlers.api.routes_books.images.reserve", refuse)
    book = new_book()
    problem(post(f"{BOOKS}/{book}/images", {"filename": "x.jpg", "content_type": "image/jpeg"}), 409)
    assert count(api, books) == 1


def test_what_was_refused_did_nothing_and_is_not_kept(api):
    book = new_book()
    reservation = reserve(book)
    path = f"{BOOKS}/{book}/images/{reservation['image_id']}/complete"
    problem(post(path), 409)
    put(reservation)
    assert post(path).status == 202
    problem(post(f"{BOOKS}/99/images", {"filename": "x.jpg", "content_type": "image/jpeg"}), 404)
    assert count(api, idempotent_requests) == 1


def rows(database):
    with database.begin() as connection:
        return {table.name: connection.execute(sa.select(table).order_by(table.c[0])).all() for table in TABLES}


def in_every_way(database):
    """Path and body of each POST that takes a key, in a book for which each can be done."""
    book = new_book()
    first, second = add(book), add(book)
    waiting = reserve(book)
    put(waiting)
    put_object("books/scan.jpg")
    job = first["job"]["id"]
    with database.begin() as connection:
        connection.execute(sa.update(image_processing_jobs).values(status="failed"))
    names = {"book_id": book, "image_id": waiting["image_id"], "job_id": job}
    chosen = names | {"image_id": second["image"]["id"]}
    return {
        "/api/v1/books": (names, {"title": "Emma"}),
        "/api/v1/books/{book_id}/images": (names, {"filename": "x.jpg", "content_type": "image/jpeg"}),
        "/api/v1/books/{book_id}/images/{image_id}/complete": (names, None),
        "/api/v1/books/{book_id}/images/{image_id}/primary": (chosen, None),
        "/api/v1/books/{book_id}/images/reorder": (names, {"image_ids": [second["image"]["id"], first["image"]["id"]]}),
        "/api/v1/import": (names, {"title": "Emma", "images": [{"key": "scan.jpg"}]}),
        "/api/v1/image-jobs/{job_id}/retry": (names, None),
    }


DOCUMENT = openapi.document(app, "0")
WITH_KEY = [path for path, methods in DOCUMENT["paths"].items() if "post" in methods and "/admin/" not in path]


@pytest.mark.parametrize("path", WITH_KEY)
def test_every_post_that_makes_something_is_done_once_in_one_transaction_and_says_so(api, path):
    operation = DOCUMENT["paths"][path]["post"]
    assert "Idempotency-Key" in [each["name"] for each in operation["parameters"]]
    assert {"409", "422"} <= operation["responses"].keys()
    names, body = in_every_way(api)[path]
    before = rows(api)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(idempotency, "keep", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):  # as if the process ended just before the commit
            call_uncaught(path.format(**names), body)
    assert rows(api) == before
    first = post(path.format(**names), body)
    assert first.status < 300, first.text
    done = rows(api)
    assert done != before
    again = post(path.format(**names), body)
    assert (again.status, again.text) == (first.status, first.text)
    assert rows(api) == done


def call_uncaught(path, body):
    with pytest.MonkeyPatch.context() as patch:

        def let_go(error):
            raise error

        patch.setattr("handlers.api.problems.problem_of", let_go)
        return post(path, body)


def test_other_methods_and_the_dead_letters_take_no_key(api):
    taking = [
        (method, path)
        for path, methods in DOCUMENT["paths"].items()
        for method, operation in methods.items()
        if once.HEADER in [each["name"] for each in operation.get("parameters", [])]
    ]
    assert taking == [("post", path) for path in WITH_KEY]


def test_after_a_day_a_key_is_free_and_the_sweep_removes_what_nobody_asks_for_again(api, monkeypatch):
    began = now()
    first = post(BOOKS, {"title": "Emma"})
    post(BOOKS, {"title": "x"}, once="another")
    monkeypatch.setattr(once, "now", lambda: began + timedelta(hours=23))
    assert post(BOOKS, {"title": "Emma"}).text == first.text
    monkeypatch.setattr(once, "now", lambda: began + timedelta(days=1, minutes=1))
    assert post(BOOKS, {"title": "Persuasion"}).status == 201
    assert sweep_requests(api, now=began + timedelta(hours=23)) == 0
    assert sweep_requests(api, now=began + timedelta(days=1, minutes=1)) == 1
    assert count(api, idempotent_requests) == 1


def test_the_job_is_sent_after_the_commit_and_an_answer_whose_job_was_not_is_kept(api, monkeypatch):
    book = new_book()
    reservation = reserve(book)
    put(reservation)
    seen = []

    def refuse(_queue, messages):
        seen.append((count(api, book_images), count(api, idempotent_requests)))
        return {number: "throttled" for number in range(len(messages))}

    with monkeypatch.context() as patch:
        patch.setattr(whole().queues, "send_numbered", refuse)
        first = post(f"{BOOKS}/{book}/images/{reservation['image_id']}/complete")
    assert (first.status, seen) == (202, [(1, 1)])
    assert post(f"{BOOKS}/{book}/images/{reservation['image_id']}/complete").text == first.text
    assert sweep(api, whole().queues, QUEUE, RULES, now=now() + SEND_GRACE).sent == [first.json["job"]["id"]]


def test_what_fails_after_the_commit_is_the_sweepers_matter_not_the_callers(api, monkeypatch):
    book = new_book()
    reservation = reserve(book)
    put(reservation)
    monkeypatch.setattr(whole().queues, "send_numbered", lambda *_: 1 / 0)
    assert post(f"{BOOKS}/{book}/images/{reservation['image_id']}/complete").status == 202


# other processes


CHILD = """
import sys, time
from handlers.api import once
from tests.local.api_caller import call
def pause(where):
    print("at", where, flush=True)
    sys.stdin.readline()
{patch}
print("ready", flush=True)
sys.stdin.readline()
answer = call("POST", sys.argv[1], eval(sys.argv[2]), headers={{"idempotency-key": "one"}})
print(answer.status, answer.text, flush=True)
"""
BEFORE_COMMIT = """
keep = once.idempotency.keep
def slow(*given, **named):
    keep(*given, **named)
    pause("before the commit")
once.idempotency.keep = slow
"""
AFTER_COMMIT = "once._finish = lambda work: pause('after the commit')"


@pytest.fixture
def server(api):
    """moto's state of this process, for others."""
    server = ThreadedMotoServer("127.0.0.1", port=0)  # an embedded cloud before it refuses 0.0.0.0 to this process
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def processes(server):
    """Start API processes of their own that POST once they are told to; all are ended."""
    started = []

    def start(path, body, patch=""):
        process = subprocess.Popen(
            [sys.executable, "-u", "-c", CHILD.format(patch=patch), path, repr(body)],
            cwd=ROOT,
            env={**os.environ, "AWS_ENDPOINT_URL": server, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def go(process):
    process.stdin.write("\n")
    process.stdin.flush()


def said(process, begins):
    """The process's next line that begins so; log lines are passed over."""
    for line in process.stdout:
        if line.startswith(begins):
            return line
    pytest.fail(f"it ended without saying {begins!r}")


def paused(process, where):
    said(process, "ready")
    go(process)
    said(process, f"at {where}")


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait()


@contextmanager
def within(seconds):
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


def test_while_one_is_at_work_the_other_is_told_so_at_once_and_a_killed_one_leaves_nothing(api, processes):
    one = processes(BOOKS, {"title": "Emma"}, BEFORE_COMMIT)
    paused(one, "before the commit")
    post(BOOKS, {"title": "warm"}, once="warm")
    with within(10):  # statements wait for 15 s
        answer = post(BOOKS, {"title": "Emma"})
    document = problem(answer, 409)
    assert (document["type"], answer.headers["Retry-After"]) == (once.IN_USE, "1")
    assert post(BOOKS, {"title": "Emma"}, once="another").status == 201
    kill(one)
    made = until_taken(lambda: post(BOOKS, {"title": "Emma"}))
    assert made.headers.get("Idempotent-Replayed") is None
    assert count(api, books) == 3


def until_taken(send):
    """PostgreSQL sees that a client is gone when it next reads from its connection: at once, or after a moment."""
    end = time.monotonic() + 60
    while (answer := send()).status == 409:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert answer.status < 300, answer.text
    return answer


def test_a_connection_that_is_cut_before_the_commit_leaves_nothing_and_the_repetition_does_it(api, processes, postgres):
    one = processes(BOOKS, {"title": "Emma"}, BEFORE_COMMIT)
    paused(one, "before the commit")
    with postgres.connect() as connection:
        [(cut,)] = connection.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE state = 'idle in transaction'"
        ).fetchall()
    assert cut == 1
    go(one)
    assert said(one, "5")[:3] in {"500", "503"}
    assert count(api, books) == 0
    assert until_taken(lambda: post(BOOKS, {"title": "Emma"})).status == 201
    assert count(api, books) == 1


def test_one_that_is_killed_after_the_commit_is_answered_as_it_would_have_been_and_its_job_is_sent_once(api, processes):
    book = new_book()
    reservation = reserve(book)
    put(reservation)
    path = f"{BOOKS}/{book}/images/{reservation['image_id']}/complete"
    one = processes(path, None, AFTER_COMMIT)
    paused(one, "after the commit")
    kill(one)
    assert messages() == []
    answer = post(path)
    assert (answer.status, answer.headers["Idempotent-Replayed"]) == (202, "true")
    job = answer.json["job"]["id"]
    assert sweep(api, whole().queues, QUEUE, RULES, now=now() + SEND_GRACE).sent == [job]
    assert [message["job_id"] for message in messages()] == [job]
    assert (count(api, book_images), count(api, image_processing_jobs)) == (1, 1)


@pytest.mark.slow
def test_of_many_at_once_one_does_the_work(api, processes):
    put_object("books/scan.jpg")
    body = {"title": "Emma", "images": [{"key": "scan.jpg"}]}
    crowd = [processes("/api/v1/import", body) for _ in range(6)]
    for process in crowd:
        said(process, "ready")
    for process in crowd:
        go(process)
    answers = [said(process, ("2", "4", "5")) for process in crowd]
    done = [json.loads(line[4:]) for line in answers if line.startswith("201")]
    assert done
    assert all(line[:3] in {"201", "409"} for line in answers), answers
    assert {each["book"]["id"] for each in done} == {1}
    assert [count(api, table) for table in (books, book_images, image_processing_jobs)] == [1, 1, 1]
    assert len(messages()) == 1


# imports need no key


def test_an_import_that_is_repeated_without_a_key_makes_no_second_book(api, monkeypatch):
    put_object("books/a.jpg")
    put_object("books/b.jpg")
    body = {"title": "Emma", "images": [{"key": "a.jpg"}, {"key": "books/b.jpg"}]}
    first = call("POST", "/api/v1/import", body).json
    messages()
    # What is there is not read again: a repetition after a limit of time must not meet the same limit.
    monkeypatch.setattr(whole().storage, "fingerprint", lambda *_: pytest.fail("it was read again"))
    again = call("POST", "/api/v1/import", body)
    assert again.status == 201
    assert again.json["book"]["id"] == first["book"]["id"]
    assert [each["id"] for each in again.json["book"]["images"]] == [each["id"] for each in first["book"]["images"]]
    assert (count(api, books), count(api, book_images), count(api, image_processing_jobs), messages()) == (1, 2, 1, [])


def test_an_import_goes_on_where_an_earlier_one_of_the_same_title_ended(api):
    put_object("books/a.jpg")
    put_object("books/b.jpg")
    first = call("POST", "/api/v1/import", {"title": "Emma", "images": [{"key": "a.jpg"}]}).json
    more = call("POST", "/api/v1/import", {"title": "Emma", "images": [{"key": "a.jpg"}, {"key": "b.jpg"}]}).json
    assert more["book"]["id"] == first["book"]["id"]
    assert [each["original_filename"] for each in more["book"]["images"]] == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize("spelling", ["a.jpg", "books/a.jpg"])
def test_a_picture_of_another_book_makes_no_new_one_and_the_refusal_names_both(api, spelling):
    book = new_book("Persuasion")
    with api.begin() as connection:
        connection.execute(sa.insert(book_images).values(book_id=book, s3_key=spelling))
    put_object("books/a.jpg")
    put_object("books/b.jpg")
    body = {"title": "Emma", "images": [{"key": "b.jpg"}, {"key": "a.jpg"}]}
    document = problem(call("POST", "/api/v1/import", body), 409)
    assert [error["field"] for error in document["errors"]] == ["body.images.1.key"]
    assert f"the book {book}" in document["detail"]
    assert (count(api, books), count(api, book_images)) == (1, 1)


@pytest.mark.slow
def test_imports_of_one_picture_at_once_make_one_book(api, processes):
    put_object("books/scan.jpg")
    body = {"title": "Emma", "images": [{"key": "scan.jpg"}]}
    crowd = [processes("/api/v1/import", body, "once.takes_key = lambda *_: False") for _ in range(4)]
    for process in crowd:
        said(process, "ready")
    for process in crowd:
        go(process)
    answers = [said(process, ("2", "4", "5")) for process in crowd]
    assert {json.loads(line[4:])["book"]["id"] for line in answers} == {1}
    assert [count(api, table) for table in (books, book_images, image_processing_jobs)] == [1, 1, 1]
