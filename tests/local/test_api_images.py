"""Books and photographs: reserved, uploaded, checked, taken in once, and shown."""

import base64
import hashlib
import json
import threading
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
import requests
import sqlalchemy as sa

from handlers.api import images
from handlers.api.parts import parts, whole
from handlers.common import dispatch, jobs, storage
from handlers.common.clock import now
from handlers.common.jobs import SEND_GRACE
from handlers.common.storage import MAX_UPLOAD_BYTES
from handlers.common.tables import book_images, books, image_processing_jobs, image_uploads
from handlers.job_sweeper.sweep import Rules, sweep
from tests.local.api_caller import BUCKET, QUEUE, call
from tests.local.api_pictures import JPEG, NEW, PNG, add, complete, messages, new_book, put, reserve
from tests.local.test_api_edge import problem

RULES = Rules(max_attempts=5, retention=timedelta(days=4))


@pytest.fixture
def book(api):
    return new_book()


def count(database, table):
    with database.begin() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar()


def test_a_book_is_created_and_shown_without_pictures(api):
    created = call("POST", "/api/v1/books", {"title": "  Émile 'x' "})
    assert created.status == 201
    assert created.json == {"id": 1, "title": "Émile 'x'"}
    assert call("GET", "/api/v1/books/1").json == {"id": 1, "title": "Émile 'x'", "images": []}


@pytest.mark.parametrize(
    "body",
    [{}, {"title": ""}, {"title": "  "}, {"title": "x" * 501}, {"title": 5}, {"title": None}, {"title": "a\x00b"}],
)
def test_a_title_that_cannot_be_one_is_refused_by_the_fields_name(api, body):
    document = problem(call("POST", "/api/v1/books", body), 422)
    assert [error["field"] for error in document["errors"]] == ["body.title"]


def test_a_field_that_nobody_knows_is_refused_by_its_name(api):
    document = problem(call("POST", "/api/v1/books", {"title": "x", "titel": "y"}), 422)
    assert document["errors"][0]["field"] == "body.titel"


def test_a_title_that_is_too_long_is_not_sent_back(api):
    assert "xxxx" not in call("POST", "/api/v1/books", {"title": "x" * 10_000}).text


def test_an_upload_is_reserved_for_one_key_type_and_length_and_fifteen_minutes(book):
    reserved = reserve(book)
    fields = reserved["upload"]["fields"]
    policy = json.loads(base64.b64decode(fields["policy"]))
    assert reserved["expires_in"] == 900
    assert fields["key"].startswith(f"books/{book}_")
    assert fields["key"].endswith(".jpg")
    assert fields["x-amz-algorithm"] == "AWS4-HMAC-SHA256"
    assert {"key": fields["key"]} in policy["conditions"]
    assert {"Content-Type": "image/jpeg"} in policy["conditions"]
    assert {"bucket": BUCKET} in policy["conditions"]
    assert ["content-length-range", 1, MAX_UPLOAD_BYTES] in policy["conditions"]


def test_an_announced_size_is_the_only_one_allowed(book):
    policy = json.loads(base64.b64decode(reserve(book, size=77)["upload"]["fields"]["policy"]))
    assert ["content-length-range", 77, 77] in policy["conditions"]


def test_two_uploads_of_one_name_have_two_ids_and_two_keys(book):
    one, two = reserve(book), reserve(book)
    assert one["image_id"] != two["image_id"]
    assert one["upload"]["fields"]["key"] != two["upload"]["fields"]["key"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"filename": ""}, "filename"),
        ({"filename": "x" * 256}, "filename"),
        ({"filename": "a\nb"}, "filename"),
        ({"content_type": "image/gif"}, "content_type"),
        ({"content_type": "image/heic"}, "content_type"),
        ({"image_type": "Cover"}, "image_type"),
        ({"image_type": "x" * 51}, "image_type"),
        ({"size": 0}, "size"),
        ({"size": MAX_UPLOAD_BYTES + 1}, "size"),
        ({"size": "many"}, "size"),
    ],
)
def test_an_upload_that_cannot_be_meant_is_refused_by_the_fields_name(book, changes, field):
    document = problem(call("POST", f"/api/v1/books/{book}/images", NEW | changes), 422)
    assert [error["field"] for error in document["errors"]] == [f"body.{field}"]
    assert f"body.{field}" in document["detail"]


def test_a_book_that_is_not_there_takes_no_upload(api):
    problem(call("POST", "/api/v1/books/9/images", NEW), 404)
    assert count(api, image_uploads) == 0


def test_a_reserved_picture_is_not_shown_before_it_is_completed(book):
    reserve(book)
    assert call("GET", f"/api/v1/books/{book}").json["images"] == []


def test_the_first_picture_becomes_primary_and_its_job_is_sent_once_it_is_committed(api, book):
    reservation = reserve(book, image_type="cover")
    put(reservation)
    answer = complete(book, reservation["image_id"])
    assert answer.status == 202
    image, job = answer.json["image"], answer.json["job"]
    assert image["id"] == reservation["image_id"]
    assert (image["position"], image["is_primary"], image["is_background_processed"]) == (0, True, False)
    assert (image["image_type"], image["original_filename"]) == ("cover", "photo.jpg")
    assert (image["thumbnail_url"], image["matte_url"]) == (None, None)
    assert job["status"] == "pending"
    assert messages() == [{"job_id": job["id"], "book_id": book, "image_id": image["id"]}]
    shown = call("GET", f"/api/v1/image-jobs/{job['id']}").json
    assert (shown["book_id"], shown["source_image_id"], shown["status"]) == (book, image["id"], "pending")
    assert (shown["attempt_count"], shown["result"], shown["failure_reason"]) == (0, None, None)
    with api.begin() as connection:
        row = connection.execute(sa.select(book_images)).one()
    assert row.content_hash == hashlib.sha256(JPEG).hexdigest()
    assert not row.s3_key.startswith("books/")
    assert count(api, image_uploads) == 0


def test_a_second_picture_comes_after_the_first_and_causes_no_job(api, book):
    first = add(book)["image"]
    second = add(book, PNG, content_type="image/png")
    assert second["job"] is None
    assert (second["image"]["position"], second["image"]["is_primary"]) == (1, False)
    shown = call("GET", f"/api/v1/books/{book}").json["images"]
    assert [image["id"] for image in shown] == [first["id"], second["image"]["id"]]
    assert count(api, image_processing_jobs) == 1


def test_completing_twice_changes_nothing_and_sends_nothing(api, book):
    reservation = reserve(book)
    put(reservation)
    first = complete(book, reservation["image_id"])
    assert complete(book, reservation["image_id"]).json["job"] == first.json["job"]
    assert len(messages()) == 1
    assert (count(api, book_images), count(api, image_processing_jobs)) == (1, 1)


def test_completing_at_the_same_time_takes_the_picture_in_once(api, book):
    reservation = reserve(book)
    put(reservation)
    errors, barrier = [], threading.Barrier(2)

    def run():
        try:
            barrier.wait()
            images.complete(parts(), book, reservation["image_id"], now=now())
        except Exception as error:  # noqa: BLE001  shown below
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert errors == []
    assert (count(api, book_images), count(api, image_processing_jobs)) == (1, 1)


def test_an_upload_that_never_came_is_a_conflict_and_can_still_come(book):
    reservation = reserve(book)
    document = problem(complete(book, reservation["image_id"]), 409)
    assert "upload.url" in document["detail"]
    put(reservation)
    assert complete(book, reservation["image_id"]).status == 202


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 422, "0 bytes"),
        (b"hello, world", 422, "no JPEG, PNG or WebP"),
        (b"GIF89a" + b"x" * 50, 422, "no JPEG, PNG or WebP"),
        (PNG, 422, "the upload is image/png"),
        (JPEG + b"x" * MAX_UPLOAD_BYTES, 413, "more than"),
    ],
)
def test_an_object_that_cannot_be_the_photograph_is_refused_and_not_taken_in(api, book, body, status, words):
    reservation = reserve(book)
    put(reservation, body)
    assert words in problem(complete(book, reservation["image_id"]), status)["detail"]
    assert (count(api, book_images), count(api, image_processing_jobs)) == (0, 0)
    put(reservation)  # a good one within the time mends it
    assert complete(book, reservation["image_id"]).status == 202


def test_an_upload_of_another_book_or_none_is_not_found_and_not_taken_in(api, book):
    other = call("POST", "/api/v1/books", {"title": "other"}).json["id"]
    reservation = reserve(book)
    put(reservation)
    problem(complete(other, reservation["image_id"]), 404)
    problem(complete(book, 999), 404)
    problem(complete(999, reservation["image_id"]), 404)
    assert count(api, book_images) == 0


def test_a_queue_that_refuses_does_not_undo_the_upload_and_the_sweeper_sends_later(api, book, monkeypatch):
    def refuse(_, messages):
        return {number: "throttled" for number in range(len(messages))}

    reservation = reserve(book)
    put(reservation)
    with monkeypatch.context() as patch:
        patch.setattr(parts().queues, "send_numbered", refuse)
        answer = complete(book, reservation["image_id"])
    assert answer.status == 202
    assert messages() == []
    job_id = answer.json["job"]["id"]
    assert sweep(api, parts().queues, QUEUE, RULES, now=now() + SEND_GRACE).sent == [job_id]
    assert [message["job_id"] for message in messages()] == [job_id]


def test_a_function_that_dies_between_commit_and_send_loses_no_job(api, book, monkeypatch):
    def die(*_, **__):
        raise KeyboardInterrupt

    reservation = reserve(book)
    put(reservation)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(dispatch, "send", die)
        complete(book, reservation["image_id"])
    assert count(api, image_processing_jobs) == 1
    assert messages() == []
    assert len(sweep(api, parts().queues, QUEUE, RULES, now=now() + SEND_GRACE).sent) == 1
    assert len(messages()) == 1


def test_completing_again_after_a_crash_sends_the_job_that_was_never_sent(book, monkeypatch):
    reservation = reserve(book)
    put(reservation)
    with monkeypatch.context() as patch:
        patch.setattr(dispatch, "send", lambda *_, **__: False)
        complete(book, reservation["image_id"])
    complete(book, reservation["image_id"])
    assert len(messages()) == 1


def test_the_message_is_sent_only_after_the_row_can_be_seen_by_others(api, book, monkeypatch):
    seen = []
    send = parts().queues.send_numbered

    def look(queue, messages):
        with api.begin() as connection:  # another connection than the API's
            seen.append(jobs.find(connection, messages[0].body["job_id"]))
        return send(queue, messages)

    monkeypatch.setattr(parts().queues, "send_numbered", look)
    add(book)
    assert len(seen) == 1
    assert seen[0] is not None


def process(database, job_id, result=None):
    """Do what the worker does to the rows."""
    with database.begin() as connection:
        waiting = jobs.find(connection, job_id)
        assert waiting is not None
        message = jobs.Message(waiting.message_number)
        job = jobs.claim(connection, job_id, message, now=now(), lease=timedelta(minutes=5)).job
        assert job is not None
        picture = jobs.ProcessedImage(storage.processed_key(job.book_id, "ab"), "hash")
        result = {"model": "u2net", "background": "black"} if result is None else result
        return jobs.complete(connection, job, processed=picture, model_used="u2net", result=result, now=now())


def test_a_processed_picture_is_shown_first_with_thumbnail_and_matte(api, book):
    added = add(book)
    done = process(api, added["job"]["id"])
    images = call("GET", f"/api/v1/books/{book}").json["images"]
    assert [image["id"] for image in images] == [done.processed_image_id, added["image"]["id"]]
    assert [image["is_primary"] for image in images] == [True, False]
    assert [image["position"] for image in images] == [0, 1]
    names = [urlsplit(images[0][name]).path for name in ("url", "thumbnail_url", "matte_url")]
    assert [name.rpartition("/")[2] for name in names] == [
        f"{book}_processed_ab.png",
        f"thumb_{book}_processed_ab.jpg",
        f"matte_{book}_processed_ab.png",
    ]
    shown = call("GET", f"/api/v1/image-jobs/{added['job']['id']}").json
    assert (shown["status"], shown["result"]["background"]) == ("completed", "black")
    assert complete(book, added["image"]["id"]).status == 200  # nothing is at work any more


def test_a_pictures_address_is_signed_for_a_quarter_of_an_hour_and_shows_the_bytes(book):
    url = add(book)["image"]["url"]
    query = parse_qs(urlsplit(url).query)
    assert query["X-Amz-Expires"] == ["900"]
    assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert requests.get(url, timeout=5).content == JPEG  # answered by moto


def test_with_a_cdn_pictures_are_shown_under_its_address(api, book, monkeypatch):
    monkeypatch.setenv("BMX_IMAGES_CDN_URL", "https://cdn.example.org")
    whole.cache_clear()
    url = add(book)["image"]["url"]
    assert url.startswith(f"https://cdn.example.org/books/{book}_")
    assert "?" not in url


def test_rows_of_the_old_system_are_shown_with_their_own_keys(api, book, monkeypatch):
    monkeypatch.setenv("BMX_IMAGES_CDN_URL", "https://cdn.example.org")
    whole.cache_clear()
    with api.begin() as connection:
        for key, processed in (("books/1_processed_x.png", True), ("1_x.jpg", False)):
            connection.execute(
                sa.insert(book_images).values(book_id=book, s3_key=key, is_background_processed=processed)
            )
    first, second = call("GET", f"/api/v1/books/{book}").json["images"]
    assert first["url"] == "https://cdn.example.org/books/1_processed_x.png"
    assert first["thumbnail_url"] == "https://cdn.example.org/books/thumb_1_processed_x.png"
    assert (first["matte_url"], first["is_primary"], first["position"]) == (None, False, 0)
    assert second["url"] == "https://cdn.example.org/books/1_x.jpg"
    assert second["thumbnail_url"] is None


def test_a_row_whose_key_makes_no_sense_does_not_hide_the_book(api, book):
    add(book)
    with api.begin() as connection:
        connection.execute(sa.insert(book_images).values(book_id=book, s3_key="../../etc/passwd"))
    images = call("GET", f"/api/v1/books/{book}").json["images"]
    assert [image["url"] is None for image in images] == [False, True]


def test_books_and_jobs_that_are_not_there_are_not_found(api):
    problem(call("GET", "/api/v1/books/1"), 404)
    problem(call("GET", f"/api/v1/image-jobs/{uuid4()}"), 404)
    assert problem(call("GET", "/api/v1/image-jobs/1"), 422)["errors"][0]["field"] == "path.job_id"


def test_a_deleted_books_uploads_go_with_it(api, book):
    reserve(book)
    with api.begin() as connection:
        connection.execute(sa.delete(books))
    assert count(api, image_uploads) == 0
