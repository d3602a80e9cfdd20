"""Which picture comes first: chosen, reordered, deleted; and that another primary always brings its job."""

from datetime import timedelta

import boto3
import pytest
import sqlalchemy as sa

from handlers.common import jobs
from handlers.common.clock import now
from handlers.common.tables import book_images, image_processing_jobs
from tests.local.api_caller import BUCKET, call
from tests.local.api_pictures import PNG, add, messages, new_book, reserve, shown
from tests.local.test_api_edge import problem

MINUTES = timedelta(minutes=5)


@pytest.fixture
def book(api):
    """A book with the photographs 1 to 3; the first one's job is in the queue no more."""
    book = new_book()
    for body in (b"\xff\xd8\xff\xe0 one", PNG, b"\xff\xd8\xff\xe0 three"):
        add(book, body, content_type="image/png" if body is PNG else "image/jpeg")
    messages()
    return book


def primary(book, image):
    return call("POST", f"/api/v1/books/{book}/images/{image}/primary")


def reorder(book, *images):
    return call("POST", f"/api/v1/books/{book}/images/reorder", {"image_ids": list(images)})


def delete(book, image):
    return call("DELETE", f"/api/v1/books/{book}/images/{image}")


def job_of(database, image):
    with database.begin() as connection:
        return jobs.latest_for(connection, image)


def claim(database, image):
    job = job_of(database, image)
    message = jobs.Message(job.message_number)
    with database.begin() as connection:
        return jobs.claim(connection, job.id, message, now=now(), lease=MINUTES).job


def finish(database, job, source):
    """Do what the worker does to the rows; returns the processed picture's id."""
    picture = jobs.ProcessedImage(f"1_processed_{source}.png", "hash")
    with database.begin() as connection:
        done = jobs.complete(connection, job, processed=picture, model_used="u2net", result={}, now=now())
    return done.processed_image_id


WAYS = {
    "chosen": lambda book: primary(book, 2),
    "reordered": lambda book: reorder(book, 2, 1, 3),
    "next after a deletion": lambda book: delete(book, 1),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_photograph_that_becomes_primary_gets_its_job_whichever_way_it_came(api, book, way):
    answer = WAYS[way](book)
    assert answer.status == 202, answer.text
    assert [image["id"] for image in answer.json["images"]] == shown(book)[0]
    assert shown(book)[0][0] == 2
    assert shown(book)[1] == [2]
    job = answer.json["job"]
    assert messages() == [{"job_id": job["id"], "book_id": book, "image_id": 2}]
    assert job["status"] == "pending"


@pytest.mark.parametrize("way", WAYS)
def test_a_new_primarys_job_is_committed_before_it_is_sent_and_kept_if_sending_dies(api, book, way, monkeypatch):
    def die(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("handlers.api.image_jobs.dispatch.send", die)
        WAYS[way](book)
    assert shown(book)[1] == [2]
    assert job_of(api, 2).status == "pending"
    assert primary(book, 2).status == 202  # asking again sends what was never sent
    assert len(messages()) == 1


def test_the_primary_goes_first_and_the_others_keep_their_order(book):
    primary(book, 3)
    assert shown(book) == ([3, 1, 2], [3])


def test_choosing_the_primary_again_queues_nothing_more(book):
    first = primary(book, 2).json["job"]
    assert primary(book, 2).json["job"] == first
    assert len(messages()) == 1


def test_a_primary_of_the_old_system_that_never_had_a_job_gets_it_when_it_is_chosen(api, book):
    with api.begin() as connection:
        connection.execute(sa.delete(image_processing_jobs))
    assert primary(book, 1).status == 202
    assert [message["image_id"] for message in messages()] == [1]


def test_a_processed_picture_becomes_primary_without_a_job(api, book):
    made = finish(api, claim(api, 1), 1)
    primary(book, 2)
    messages()
    answer = primary(book, made)
    assert (answer.status, answer.json["job"]) == (200, None)
    assert shown(book)[1] == [made]
    assert messages() == []


def test_an_order_that_keeps_the_primary_keeps_its_job_and_queues_nothing_more(api, book):
    answer = reorder(book, 1, 3, 2)
    assert (answer.status, answer.json["job"]["id"]) == (202, str(job_of(api, 1).id))
    assert shown(book) == ([1, 3, 2], [1])
    assert messages() == []


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ([1, 2], "lacks 3"),
        ([1, 2, 3, 4], "has unknown 4"),
        ([1, 2, 2, 3], "has twice 2"),
        ([7], "has unknown 7, lacks 1, 2, 3"),
    ],
)
def test_an_order_that_is_not_exactly_the_books_pictures_is_refused_and_changes_nothing(book, order, words):
    document = problem(reorder(book, *order), 422)
    assert document["errors"][0]["field"] == "body.image_ids"
    assert words in document["detail"]
    assert shown(book) == ([1, 2, 3], [1])


@pytest.mark.parametrize("order", [[], list(range(1, 1002)), [0], [2**31], ["x"], None, [1.5]])
def test_a_list_of_ids_that_cannot_be_one_is_refused_by_its_name(book, order):
    document = problem(call("POST", f"/api/v1/books/{book}/images/reorder", {"image_ids": order}), 422)
    assert document["errors"][0]["field"].startswith("body.image_ids")


def test_a_picture_of_another_book_is_neither_chosen_nor_deleted_nor_reordered(api, book):
    other = new_book("other")
    for answer in (primary(other, 1), delete(other, 1), primary(99, 1), delete(99, 1), reorder(99, 1), delete(book, 9)):
        problem(answer, 404)
    problem(reorder(other, 1), 422)
    assert shown(book) == ([1, 2, 3], [1])


def test_a_deleted_picture_is_gone_and_its_objects_stay(api, book):
    keys = {item["Key"] for item in boto3.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]}
    answer = delete(book, 2)
    assert (answer.status, answer.json["job"]) == (200, None)
    assert shown(book) == ([1, 3], [1])
    assert {item["Key"] for item in boto3.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]} == keys
    problem(delete(book, 2), 404)


@pytest.mark.parametrize("primary", [1, 3])
@pytest.mark.parametrize("deleted", [1, 2, 3])
def test_a_deletion_leaves_no_gap_in_the_order_and_a_primary_that_is_not_first_stays_primary(
    api, book, deleted, primary
):
    with api.begin() as connection:
        connection.execute(sa.update(book_images).values(is_primary=book_images.c.id == primary))
    delete(book, deleted)
    with api.begin() as connection:
        query = sa.select(book_images.c.id, book_images.c.display_order, book_images.c.is_primary)
        left = connection.execute(query.order_by(book_images.c.display_order)).all()
    images = [image for image in (1, 2, 3) if image != deleted]
    assert [row[:2] for row in left] == [(image, position) for position, image in enumerate(images)]
    assert [row.id for row in left if row.is_primary] == [images[0] if deleted == primary else primary]


def test_the_last_picture_can_be_deleted_and_the_next_upload_is_primary(book):
    for image in (1, 2, 3):
        delete(book, image)
    assert shown(book) == ([], [])
    assert add(book)["image"]["is_primary"]


def test_a_waiting_job_ends_with_its_picture_and_its_message_finds_nothing_to_do(api, book):
    job = job_of(api, 1)
    delete(book, 1)
    ended = call("GET", f"/api/v1/image-jobs/{job.id}").json
    assert (ended["status"], ended["failure_reason"]) == ("failed", "the photograph was deleted")
    assert ended["completed_at"] is not None
    with api.begin() as connection:
        late = jobs.claim(connection, job.id, jobs.Message(job.message_number), now=now(), lease=MINUTES)
    assert late.outcome == "finished"


@pytest.mark.parametrize("chosen_again", [False, True])
def test_the_primary_gets_a_job_of_its_own_when_the_photograph_that_its_job_worked_on_is_deleted(api, chosen_again):
    book = new_book()
    add(book, b"\xff\xd8\xff\xe0 one")
    title = add(book, b"\xff\xd8\xff\xe0 title", image_type="title_page")["image"]["id"]
    wanted = add(book, b"\xff\xd8\xff\xe0 wanted")["image"]["id"]
    assert primary(book, wanted).status == 202
    job = job_of(api, wanted)
    assert job.source_image_id == title
    assert delete(book, title).status == 202
    with api.begin() as connection:
        ended = jobs.find(connection, job.id)
    assert ended is not None and ended.status == "failed"
    if chosen_again:
        assert primary(book, wanted).status == 202
    begun = job_of(api, wanted)
    assert (begun.status, begun.source_image_id) == ("pending", wanted)


def test_a_worker_whose_picture_is_deleted_meanwhile_writes_nothing(api, book):
    held = claim(api, 1)
    delete(book, 1)
    with pytest.raises(jobs.LeaseLostError):
        finish(api, held, 1)
    assert shown(book) == ([2, 3], [2])


def test_jobs_of_other_pictures_live_on(api, book):
    job = primary(book, 3).json["job"]
    delete(book, 1)
    assert call("GET", f"/api/v1/image-jobs/{job['id']}").json["status"] == "pending"


def test_a_picture_added_to_a_book_whose_primary_is_not_first_changes_no_primary(api, book):
    with api.begin() as connection:
        connection.execute(sa.update(book_images).values(is_primary=book_images.c.id == 3))
    add(book)
    assert shown(book) == ([1, 2, 3, 4], [3])
    assert messages() == []


def test_only_arrange_and_the_worker_write_an_order():
    """`arrange` decides of jobs; another writer would forget them again, as the old system did."""
    from pathlib import Path

    import handlers

    files = [(file.name, file.read_text()) for file in Path(handlers.__path__[0]).glob("**/*.py")]
    writers = {name for name, text in files if " write_order(" in text.replace("def write_order(", "")}
    assert writers == {"primary.py", "jobs.py"}
    assert [name for name, text in files if "is_primary=True" in text] == []


def test_a_reserved_upload_is_no_picture_yet(api, book):
    reserved = reserve(book)["image_id"]
    problem(primary(book, reserved), 404)
    problem(delete(book, reserved), 404)
