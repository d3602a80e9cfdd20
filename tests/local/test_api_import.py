"""Import: photographs that are in the bucket become a book, all of them or none, and the first gets its job."""

import threading

import pytest
import requests
import sqlalchemy as sa

from handlers.api import imports
from handlers.api.models import MAX_IMPORTED, Import
from handlers.api.parts import parts
from handlers.common.clock import now
from handlers.common.storage import MAX_UPLOAD_BYTES
from handlers.common.tables import book_images, books, image_processing_jobs, image_uploads
from tests.local.api_caller import call
from tests.local.api_pictures import JPEG, PNG, add, messages, new_book, put, put_object, reserve, shown
from tests.local.test_api_edge import problem
from tests.local.test_api_images import count


def run(images, **book):
    return call("POST", "/api/v1/import", {"images": images} | (book or {"title": "Emma"}))


def test_a_book_is_imported_by_keys_in_either_spelling_and_its_first_picture_gets_its_job(api):
    put_object("books/scan/1.jpg")
    put_object("books/2.png", PNG)
    answer = run([{"key": "books/scan/1.jpg", "image_type": "cover"}, {"key": "2.png", "filename": "two.png"}])
    assert answer.status == 201, answer.text
    book, job = answer.json["book"], answer.json["job"]
    first, second = book["images"]
    assert (book["title"], first["is_primary"], second["is_primary"]) == ("Emma", True, False)
    assert (first["original_filename"], first["image_type"]) == ("1.jpg", "cover")
    assert (second["original_filename"], second["image_type"]) == ("two.png", None)
    assert "/books/scan/1.jpg" in first["url"]
    assert messages() == [{"job_id": job["id"], "book_id": book["id"], "image_id": first["id"]}]
    assert call("GET", f"/api/v1/books/{book['id']}").json["title"] == "Emma"


def test_uploads_reserved_for_a_book_are_imported_under_their_own_ids(api):
    book = new_book()
    reserved = [reserve(book, filename=name, image_type="spine") for name in ("a.jpg", "b.jpg")]
    for reservation in reserved:
        put(reservation)
    put_object("books/c.jpg")
    ids = [reservation["image_id"] for reservation in reserved]
    answer = run([{"image_id": ids[1]}, {"key": "c.jpg"}, {"image_id": ids[0]}], book_id=book)
    images = answer.json["book"]["images"]
    assert [image["id"] for image in images][::2] == [ids[1], ids[0]]
    assert [image["original_filename"] for image in images] == ["b.jpg", "c.jpg", "a.jpg"]
    assert images[0]["image_type"] == "spine"
    assert [message["image_id"] for message in messages()] == [ids[1]]
    assert count(api, image_uploads) == 0


def test_an_import_into_a_book_with_a_primary_changes_no_primary_and_queues_nothing(api):
    book = new_book()
    first = add(book)["image"]["id"]
    messages()
    put_object("books/x.jpg")
    answer = run([{"key": "x.jpg"}], book_id=book)
    assert (answer.status, answer.json["job"]) == (201, None)
    assert shown(book)[0][0] == first
    assert messages() == []


def test_an_import_takes_the_very_object_that_was_named(api):
    put_object("books/twice.jpg")
    put_object("books/books/twice.jpg", PNG)
    book = run([{"key": "books/books/twice.jpg"}, {"key": "books/twice.jpg"}]).json["book"]
    with api.begin() as connection:
        keys = connection.execute(sa.select(book_images.c.s3_key).order_by(book_images.c.id)).scalars().all()
    assert keys == ["books/books/twice.jpg", "twice.jpg"]
    assert [requests.get(image["url"], timeout=5).content for image in book["images"]] == [PNG, JPEG]
    assert run([{"key": "books/books/twice.jpg"}]).json["book"]["id"] == book["id"]


def test_an_import_into_a_book_can_be_repeated(api):
    book = new_book()
    reservation = reserve(book)
    put(reservation)
    put_object("books/x.jpg")
    images = [{"image_id": reservation["image_id"]}, {"key": "books/x.jpg"}]
    first = run(images, book_id=book).json
    again = run(images, book_id=book)
    assert again.status == 201
    assert [image["id"] for image in again.json["book"]["images"]] == [image["id"] for image in first["book"]["images"]]
    assert len(messages()) == 1


def test_imports_at_the_same_time_take_each_picture_once(api):
    book = new_book()
    reservation = reserve(book)
    put(reservation)
    put_object("books/x.jpg")
    request = Import(book_id=book, images=[{"image_id": reservation["image_id"]}, {"key": "x.jpg"}])
    errors, barrier = [], threading.Barrier(2)

    def importing():
        try:
            barrier.wait()
            imports.run(parts(), request, now=now())
        except Exception as error:  # noqa: BLE001  shown below
            errors.append(error)

    threads = [threading.Thread(target=importing) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert errors == []
    assert (count(api, book_images), count(api, image_processing_jobs)) == (2, 1)


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (None, 409, "nothing is stored there"),
        (b"", 422, "0 bytes"),
        (b"GIF89a" + b"x" * 50, 422, "no JPEG, PNG or WebP"),
        (JPEG + b"x" * MAX_UPLOAD_BYTES, 413, "more than"),
    ],
)
def test_one_object_that_cannot_be_a_photograph_stops_the_whole_import_and_is_named(api, body, status, words):
    put_object("books/good.jpg")
    if body is not None:
        put_object("books/bad.jpg", body)
    document = problem(run([{"key": "good.jpg"}, {"key": "bad.jpg"}]), status)
    assert document["errors"][0]["field"] == "body.images.1.key"
    assert words in document["detail"]
    assert (count(api, books), count(api, book_images), count(api, image_processing_jobs)) == (0, 0, 0)
    assert messages() == []


def test_an_upload_is_held_to_the_type_that_was_announced(api):
    book = new_book()
    reservation = reserve(book)
    put(reservation, PNG)
    document = problem(run([{"image_id": reservation["image_id"]}], book_id=book), 422)
    assert document["errors"][0]["field"] == "body.images.0.image_id"


def test_an_upload_of_another_book_is_not_taken_in(api):
    book, other = new_book(), new_book("other")
    reservation = reserve(book)
    put(reservation)
    document = problem(run([{"image_id": reservation["image_id"]}], book_id=other), 422)
    assert document["errors"][0]["field"] == "body.images.0.image_id"
    problem(run([{"image_id": reservation["image_id"]}], book_id=99), 404)
    assert count(api, book_images) == 0


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"title": "x", "images": []}, "body.images"),
        ({"title": "x"}, "body.images"),
        ({"images": [{"key": "a"}]}, "body"),
        ({"title": "x", "book_id": 1, "images": [{"key": "a"}]}, "body"),
        ({"title": "x" * 501, "images": [{"key": "a"}]}, "body.title"),
        ({"book_id": 2**31, "images": [{"key": "a"}]}, "body.book_id"),
        ({"title": "x", "images": [{}]}, "body.images.0"),
        ({"title": "x", "images": [{"key": "a", "image_id": 1}]}, "body.images.0"),
        ({"title": "x", "images": [{"image_id": 1}]}, "body"),
        ({"title": "x", "book_id": None, "images": [{"key": "a"}]}, "body.book_id"),
        ({"book_id": 1, "images": [{"image_id": 1, "filename": "x"}]}, "body.images.0"),
        ({"title": "x", "images": [{"key": "a"}, {"key": "books/a"}]}, "body"),
        ({"title": "x", "images": [{"key": "../secrets"}]}, "body.images.0.key"),
        ({"title": "x", "images": [{"key": "books/"}]}, "body.images.0.key"),
        ({"title": "x", "images": [{"key": "a\x00b"}]}, "body.images.0.key"),
        ({"title": "x", "images": [{"key": "k" * 507}]}, "body.images.0.key"),
        ({"title": "x", "images": [{"key": "\u4e00" * 340}]}, "body.images.0.key"),
        ({"title": "x", "images": [{"key": "a", "filename": "a\nb"}]}, "body.images.0.filename"),
        ({"title": "x", "images": [{"key": "a", "image_type": "Cover"}]}, "body.images.0.image_type"),
        ({"book_id": 1, "images": [{"image_id": 2**31}]}, "body.images.0.image_id"),
        ({"title": "x", "images": [{"key": f"{n}"} for n in range(MAX_IMPORTED + 1)]}, "body.images"),
    ],
)
def test_an_import_that_cannot_be_meant_is_refused_by_the_fields_name(api, body, field):
    document = problem(call("POST", "/api/v1/import", body), 422)
    assert [error["field"] for error in document["errors"]] == [field]
    assert count(api, books) == 0
