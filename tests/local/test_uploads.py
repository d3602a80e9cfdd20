"""Uploads whose caller never said `complete`: done for them, or removed after a day, and counted meanwhile."""

import threading
from datetime import timedelta

import boto3
import pytest
import sqlalchemy as sa

from handlers.api import images
from handlers.api.parts import parts, whole
from handlers.common.clock import now
from handlers.common.jobs import SEND_GRACE
from handlers.common.storage import MAX_UPLOAD_BYTES, UPLOAD_SECONDS, StorageError
from handlers.common.tables import book_images, books, image_processing_jobs, image_uploads
from handlers.common.uploads import COMPLETE_AFTER, REMOVE_AFTER, sweep_uploads
from handlers.job_sweeper.sweep import Rules, sweep
from tests.local.api_caller import BUCKET, QUEUE, call
from tests.local.api_pictures import JPEG, PNG, complete, messages, new_book, put, put_object, reserve, shown
from tests.local.test_api_edge import problem
from tests.local.test_api_images import count

SECOND = timedelta(seconds=1)
RULES = Rules(max_attempts=5, retention=timedelta(days=4))
DEFECTS = {"nothing": None, "empty": b"", "text": b"hello", "other type": PNG, "large": JPEG + b"x" * MAX_UPLOAD_BYTES}


@pytest.fixture
def book(api):
    return new_book()


def swept(api, after, **given):
    return sweep_uploads(api, whole().storage, now=now() + after, **given)


def objects():
    return [found["Key"] for found in boto3.client("s3").list_objects_v2(Bucket=BUCKET).get("Contents", [])]


def test_the_caller_is_given_longer_than_the_form_is_good_for():
    assert timedelta(seconds=UPLOAD_SECONDS) < COMPLETE_AFTER < REMOVE_AFTER


def test_a_photograph_that_lies_there_is_taken_in_as_complete_would(api, book):
    reservation = reserve(book, filename="a.jpg", image_type="cover")
    put(reservation)
    assert swept(api, COMPLETE_AFTER - SECOND).completed == []
    assert swept(api, COMPLETE_AFTER).completed == [reservation["image_id"]]
    [image] = call("GET", f"/api/v1/books/{book}").json["images"]
    assert (image["id"], image["original_filename"], image["image_type"]) == (reservation["image_id"], "a.jpg", "cover")
    [job] = call("GET", "/api/v1/image-jobs").json["jobs"]
    assert sweep(api, whole().queues, QUEUE, RULES, now=now() + COMPLETE_AFTER + SEND_GRACE).sent == [job["id"]]
    assert [message["image_id"] for message in messages()] == [reservation["image_id"]]
    # The caller who comes at last is told the same.
    assert complete(book, reservation["image_id"]).json["job"]["id"] == job["id"]
    assert swept(api, REMOVE_AFTER).completed == []
    assert (count(api, book_images), count(api, image_uploads)) == (1, 0)


@pytest.mark.parametrize("body", DEFECTS.values(), ids=DEFECTS.keys())
def test_what_is_no_photograph_waits_a_day_and_is_then_removed_with_its_object(api, book, body):
    reservation, other = reserve(book), reserve(book)
    put(other)
    if body is not None:
        put(reservation, body)
    assert swept(api, REMOVE_AFTER - timedelta(minutes=1)).removed == []
    assert swept(api, REMOVE_AFTER).removed == [reservation["image_id"]]
    assert objects() == [other["upload"]["fields"]["key"]]
    problem(complete(book, reservation["image_id"]), 404)
    assert shown(book)[0] == [other["image_id"]]


def test_an_object_that_is_a_picture_by_now_stays(api, book):
    reservation = reserve(book)
    put(reservation, PNG)  # announced as JPEG
    key = reservation["upload"]["fields"]["key"]
    call("POST", "/api/v1/import", {"book_id": book, "images": [{"key": key}]})
    assert swept(api, REMOVE_AFTER).removed == [reservation["image_id"]]
    assert objects() == [key]


def test_one_that_cannot_be_looked_at_is_left_and_the_others_are_done(api, book, monkeypatch):
    first, second = reserve(book), reserve(book)
    put(first)
    put(second)
    real = whole().storage.fingerprint

    def refuse(key):
        if key in first["upload"]["fields"]["key"]:
            raise StorageError("get_object: AccessDenied")
        return real(key)

    with monkeypatch.context() as patch:
        patch.setattr(whole().storage, "fingerprint", refuse)
        done = swept(api, REMOVE_AFTER)
    assert (done.completed, done.errors) == ([second["image_id"]], {first["image_id"]: "StorageError"})
    assert swept(api, REMOVE_AFTER).completed == [first["image_id"]]


def test_a_removal_that_dies_before_its_row_is_gone_is_done_by_the_next_sweep(api, book, monkeypatch):
    reservation = reserve(book)
    put(reservation, b"text")
    real = whole().storage.delete

    def die(key):
        real(key)
        raise StorageError("it died here")

    with monkeypatch.context() as patch:
        patch.setattr(whole().storage, "delete", die)
        assert swept(api, REMOVE_AFTER).removed == []
    assert (objects(), count(api, image_uploads)) == ([], 1)
    assert swept(api, REMOVE_AFTER).removed == [reservation["image_id"]]


def test_a_run_ends_when_its_time_does(api, book):
    for _ in range(3):
        put(reserve(book))
    left = iter([True, False])
    assert len(swept(api, COMPLETE_AFTER, has_time=lambda: next(left)).completed) == 1


@pytest.mark.parametrize("rival", ["complete", "delete book", "sweep"])
def test_whoever_is_faster_the_upload_is_taken_in_at_most_once(api, book, monkeypatch, rival):
    """The rival acts between the look at the object and the book's lock."""
    reservation = reserve(book)
    put(reservation)
    real = whole().storage.fingerprint
    acts = {
        "complete": lambda: images.complete(parts(), book, reservation["image_id"], now=now()),
        "delete book": lambda: delete(api, book),
        "sweep": lambda: swept(api, COMPLETE_AFTER),
    }

    def look(key):
        monkeypatch.setattr(whole().storage, "fingerprint", real)
        thread = threading.Thread(target=acts[rival])
        thread.start()
        thread.join(60)
        return real(key)

    monkeypatch.setattr(whole().storage, "fingerprint", look)
    done = swept(api, COMPLETE_AFTER)
    assert (done.completed, done.errors) == ([], {})
    expected = 0 if rival == "delete book" else 1
    assert (count(api, book_images), count(api, image_processing_jobs)) == (expected, expected)


def test_an_upload_that_was_completed_since_it_was_looked_at_keeps_its_object(api, book, monkeypatch):
    """The caller brings the object and completes it between the look at the object and the removal."""
    reservation = reserve(book)
    real = whole().storage.fingerprint

    def look(key):
        monkeypatch.setattr(whole().storage, "fingerprint", real)
        try:
            return real(key)
        finally:
            put(reservation)
            assert complete(book, reservation["image_id"]).status == 202

    monkeypatch.setattr(whole().storage, "fingerprint", look)
    assert swept(api, REMOVE_AFTER).removed == []
    assert objects() == [reservation["upload"]["fields"]["key"]]


def delete(api, book):
    with api.begin() as connection:
        connection.execute(sa.delete(books).where(books.c.id == book))


def test_system_info_counts_what_waits_and_says_the_limits_of_time(api, book):
    reserve(book)
    overdue = reserve(book)
    with api.begin() as connection:
        mine = image_uploads.c.image_id == overdue["image_id"]
        connection.execute(sa.update(image_uploads).where(mine).values(created_at=now() - COMPLETE_AFTER))
    found = call("GET", "/api/v1/admin/system-info").json["uploads"]
    assert (found["waiting"], found["overdue"]) == (2, 1)
    assert found["oldest_at"] is not None
    assert (found["completed_after_seconds"], found["removed_after_seconds"]) == (1800, 86_400)


def test_a_picture_that_lies_under_no_reservation_is_nobodys_business(api, book):
    put_object("books/scan.jpg")
    assert swept(api, REMOVE_AFTER * 2) == type(swept(api, REMOVE_AFTER * 2))()
    assert objects() == ["books/scan.jpg"]
