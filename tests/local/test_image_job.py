"""The image job against a real PostgreSQL and moto's S3, with a network whose answer is known and comes at once."""

import hashlib
import io
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import cast
from uuid import UUID, uuid4

import boto3
import numpy as np
import pytest
import sqlalchemy as sa
from aws_lambda_powertools.utilities.typing import LambdaContext
from PIL import Image

from handlers.common import jobs
from handlers.common.database import DatabaseUnavailableError
from handlers.common.secrets import SecretError
from handlers.common.start_up import Refusal
from handlers.common.storage import Storage, StorageError, matte_key, thumbnail_key
from handlers.common.tables import book_images, books, image_processing_jobs
from handlers.image_processor import cutout, handler, job, models

BUCKET = "pictures"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LEASE = timedelta(minutes=5)


class Square(cutout.Network):
    """Sure of a square in the middle; `meanwhile` runs while it looks."""

    def __init__(self, confidence=1.0, meanwhile=lambda: None):
        self.raw = np.zeros((320, 320), np.float32)
        self.raw[64:256, 64:256] = confidence
        self.meanwhile = meanwhile
        self.looked = 0

    def infer(self, rgb):
        self.looked += 1
        self.meanwhile()
        return self.raw


def photograph(colour="maroon", size=(640, 480), form="JPEG"):
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, form)
    return out.getvalue()


@pytest.fixture
def bucket(aws_mock):
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    return s3


def objects_in(bucket):
    """Key to time of the last write."""
    return {found["Key"]: found["LastModified"] for found in bucket.list_objects_v2(Bucket=BUCKET).get("Contents", [])}


class Clock:
    def __init__(self):
        self.moment = NOW

    def __call__(self):
        return self.moment


@pytest.fixture
def worker(database, bucket):
    network = Square()
    return job.Worker(database, Storage(BUCKET), lambda: network, models.load("u2net"), Clock())


@pytest.fixture
def book(database):
    with database.begin() as connection:
        return connection.execute(sa.insert(books).values(title="Herbal").returning(books.c.id)).scalar_one()


@pytest.fixture
def picture(database, bucket, book):
    """Adds a picture of the book, its object included, and gives its id."""

    def add(name, data=None, **values):
        bucket.put_object(
            Bucket=BUCKET, Key=f"books/{name.removeprefix('books/')}", Body=photograph() if data is None else data
        )
        with database.begin() as connection:
            row = sa.insert(book_images).values(book_id=book, s3_key=name, **values).returning(book_images.c.id)
            return connection.execute(row).scalar_one()

    return add


def new_job(worker, book, image):
    with worker.database.begin() as connection:
        made = jobs.accept(connection, book, image, now=worker.now())
        return next(iter(jobs.begin_sending(connection, [made.id], now=worker.now())), made)


def row_of(worker, job_id):
    with worker.database.begin() as connection:
        return jobs.find(connection, job_id)


def order_of(worker, book):
    """(id, position, primary) in the order in which the book shows its pictures."""
    table = book_images.c
    with worker.database.begin() as connection:
        query = sa.select(table.id, table.display_order, table.is_primary).where(table.book_id == book)
        return [tuple(row) for row in connection.execute(query.order_by(table.display_order))]


def processed_rows(worker, book):
    with worker.database.begin() as connection:
        query = sa.select(book_images).where(book_images.c.book_id == book, book_images.c.is_background_processed)
        return connection.execute(query).all()


def run(worker, job_id, last_receive=False, **message):
    return job.process(worker, job_id, counting(worker, job_id, **message), lease=LEASE, last_receive=last_receive)


def counting(worker, job_id, **message):
    """The message that counts for a job."""
    found = row_of(worker, job_id)
    return jobs.Message(found.message_number if found else 1, **message)


def claim(worker, job_id):
    message = counting(worker, job_id)
    with worker.database.begin() as connection:
        return jobs.claim(connection, job_id, message, now=worker.now(), lease=LEASE)


# what a job leaves behind


def test_a_job_makes_the_processed_picture_primary_and_its_original_last(worker, book, picture):
    first, asked, other = (picture(f"{n}.jpg", display_order=n, is_primary=n == 0) for n in range(3))
    with worker.database.begin() as connection:
        connection.execute(sa.update(book_images).where(book_images.c.id == asked).values(image_type="cover"))
    made = new_job(worker, book, asked)
    assert run(worker, made.id) == "acknowledge"
    done = row_of(worker, made.id)
    assert (done.status, done.completed_at, done.lease_id) == ("completed", NOW, None)
    expected = [(done.processed_image_id, 0, True), (first, 1, False), (other, 2, False), (asked, 3, False)]
    assert order_of(worker, book) == expected


def test_the_three_objects_and_the_record_describe_the_same_picture(worker, book, picture, bucket):
    data = photograph("maroon")
    made = new_job(worker, book, picture("1.jpg", data))
    run(worker, made.id)
    (row,) = processed_rows(worker, book)
    assert row.s3_key.startswith(f"{book}_processed_")
    assert row.s3_key.endswith(".png")
    objects = {key: bucket.get_object(Bucket=BUCKET, Key=f"books/{name}") for key, name in names(row.s3_key).items()}
    assert {key: found["ContentType"] for key, found in objects.items()} == {
        "picture": "image/png",
        "matte": "image/png",
        "thumbnail": "image/jpeg",
    }
    bodies = {key: found["Body"].read() for key, found in objects.items()}
    pictures = {key: Image.open(io.BytesIO(body)) for key, body in bodies.items()}
    assert {key: found.format for key, found in pictures.items()} == {
        "picture": "PNG",
        "matte": "PNG",
        "thumbnail": "JPEG",
    }
    assert row.content_hash == hashlib.sha256(bodies["picture"]).hexdigest()
    done = row_of(worker, made.id)
    assert done.model_used == "u2net"
    assert done.result["model_sha256"] == models.load("u2net").sha256
    assert done.result["source_sha256"] == hashlib.sha256(data).hexdigest()
    assert done.result["background"] == "black"
    assert (done.result["width"], done.result["height"]) == pictures["picture"].size == pictures["matte"].size
    assert {"download", "decode", "infer", "upload"} <= set(done.result["timings"])
    assert done.result["peak_memory_mb"] > 10


def names(key):
    return {"picture": key, "matte": matte_key(key), "thumbnail": thumbnail_key(key)}


def test_doing_the_same_photograph_twice_writes_the_same_objects_and_one_row(worker, book, picture, bucket):
    image = picture("1.jpg")
    first = new_job(worker, book, image)
    run(worker, first.id)
    before = objects_in(bucket)
    second = new_job(worker, book, image)
    assert second.id != first.id
    run(worker, second.id)
    assert objects_in(bucket) == before
    assert len(processed_rows(worker, book)) == 1
    assert row_of(worker, first.id).processed_image_id == row_of(worker, second.id).processed_image_id


def test_other_limits_another_model_or_another_photograph_give_another_name():
    u2net, u2netp = models.load("u2net"), models.load("u2netp")
    ids = {
        job.output_id("a" * 64, u2net, cutout.LIMITS),
        job.output_id("b" * 64, u2net, cutout.LIMITS),
        job.output_id("a" * 64, u2netp, cutout.LIMITS),
        job.output_id("a" * 64, u2net, replace(cutout.LIMITS, contrast=(0.2, 0.8))),
    }
    assert len(ids) == 4
    assert job.output_id("a" * 64, u2net, cutout.LIMITS) in ids


def test_the_cdns_address_is_kept_when_there_is_one(worker, book, picture):
    made = new_job(worker, book, picture("1.jpg"))
    run(replace(worker, cdn_url="https://pictures.example"), made.id)
    (row,) = processed_rows(worker, book)
    assert row.cloudfront_url == f"https://pictures.example/books/{row.s3_key}"


# which photograph


@pytest.mark.parametrize(
    ("types", "taken"),
    [
        (["cover", "title_page", "spine"], 1),
        (["spine", "cover", "binding"], 2),
        (["spine", "cover", None], 1),
        ([None, "spine", "detail"], 1),
        ([None, "detail", "detail"], 1),  # the second is the primary
    ],
)
def test_the_source_is_chosen_by_type_and_then_the_primary(worker, book, picture, types, taken):
    images = [picture(f"{n}.jpg", image_type=t, display_order=n, is_primary=n == 1) for n, t in enumerate(types)]
    made = new_job(worker, book, images[0])
    assert (made.source_image_id, made.message["image_id"]) == (images[taken], images[taken])
    run(worker, made.id)
    assert row_of(worker, made.id).result["source_image_id"] == images[taken]


def test_without_type_or_primary_the_one_asked_for_is_taken(worker, book, picture):
    images = [picture(f"{n}.jpg", display_order=n) for n in range(3)]
    made = new_job(worker, book, images[2])
    run(worker, made.id)
    assert row_of(worker, made.id).result["source_image_id"] == images[2]


def test_a_processed_picture_is_never_a_source(worker, book, picture):
    picture("old.png", image_type="title_page", is_background_processed=True, is_primary=True)
    plain = picture("1.jpg")
    made = new_job(worker, book, plain)
    run(worker, made.id)
    assert row_of(worker, made.id).result["source_image_id"] == plain


@pytest.mark.parametrize("key", ["7/1.jpg", "books/7/1.jpg"])
def test_keys_with_and_without_the_prefix_are_read(worker, book, picture, key):
    made = new_job(worker, book, picture(key))
    assert run(worker, made.id) == "acknowledge"
    assert row_of(worker, made.id).status == "completed"


# who may work


def test_a_live_lease_gives_the_message_back_and_touches_nothing(worker, book, picture):
    made = new_job(worker, book, picture("1.jpg"))
    held = claim(worker, made.id).job
    worker.now.moment += LEASE - timedelta(seconds=1)
    assert run(worker, made.id) == "give_back"
    assert row_of(worker, made.id) == held


def test_an_expired_lease_is_taken_over(worker, book, picture):
    made = new_job(worker, book, picture("1.jpg"))
    claim(worker, made.id)
    worker.now.moment += LEASE
    assert run(worker, made.id) == "acknowledge"
    done = row_of(worker, made.id)
    assert (done.status, done.attempt_count) == ("completed", 2)


def test_a_completed_job_is_acknowledged_without_work(worker, book, picture):
    made = new_job(worker, book, picture("1.jpg"))
    run(worker, made.id)
    looked = worker.network().looked
    assert run(worker, made.id) == "acknowledge"
    assert worker.network().looked == looked


def test_a_job_that_does_not_exist_is_acknowledged(worker):
    assert run(worker, uuid4()) == "acknowledge"


def test_a_worker_whose_lease_was_taken_over_writes_nothing(worker, book, picture):
    made = new_job(worker, book, picture("1.jpg"))

    def another_takes_over():
        worker.now.moment += LEASE
        assert claim(worker, made.id).outcome == "claimed"

    slow = replace(worker, network=lambda: Square(meanwhile=another_takes_over))
    assert run(slow, made.id) == "give_back"
    assert processed_rows(worker, book) == []
    assert row_of(worker, made.id).status == "processing"


def test_a_book_deleted_in_the_middle_leaves_no_rows_and_no_message(worker, book, picture):
    made = new_job(worker, book, picture("1.jpg"))

    def delete():
        with worker.database.begin() as connection:
            connection.execute(sa.delete(books).where(books.c.id == book))

    run(replace(worker, network=lambda: Square(meanwhile=delete)), made.id)
    assert run(worker, made.id) == "acknowledge"
    with worker.database.begin() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(image_processing_jobs)).scalar_one() == 0


# how it ends when it cannot work


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "0 bytes"),
        (b"no picture", "not a JPEG, PNG or WebP"),
        (photograph()[:800], "broken"),
        (b"\xff\xd8\xff" + bytes(cutout.LIMITS.max_bytes), "at most 31,457,280 bytes"),
    ],
    ids=["empty", "text", "truncated", "too large"],
)
def test_a_photograph_that_can_never_work_ends_failed_with_its_reason(worker, book, picture, data, reason):
    made = new_job(worker, book, picture("1.jpg", data))
    assert run(worker, made.id) == "acknowledge"
    failed = row_of(worker, made.id)
    assert (failed.status, failed.attempt_count) == ("failed", 1)
    assert reason in failed.failure_reason


def test_a_picture_without_a_subject_ends_failed(worker, book, picture):
    made = new_job(worker, book, picture("1.jpg"))
    assert run(replace(worker, network=lambda: Square(confidence=0.02)), made.id) == "acknowledge"
    failed = row_of(worker, made.id)
    assert (failed.status, "no subject" in failed.failure_reason) == ("failed", True)
    assert processed_rows(worker, book) == []


def test_a_deleted_photograph_ends_failed(worker, book, picture):
    made = new_job(worker, book, picture("1.jpg"))
    with worker.database.begin() as connection:
        connection.execute(sa.delete(book_images))
    assert run(worker, made.id) == "acknowledge"
    assert "deleted" in row_of(worker, made.id).failure_reason


def test_a_photograph_whose_file_is_gone_ends_failed(worker, book, picture, bucket):
    made = new_job(worker, book, picture("1.jpg"))
    for key in objects_in(bucket):
        bucket.delete_object(Bucket=BUCKET, Key=key)
    assert run(worker, made.id) == "acknowledge"
    assert row_of(worker, made.id).failure_reason == "the photograph's file is gone from the bucket"


REFUSED = (
    "put_object on s3://pictures/books/1.jpg: arn:aws:sts::123456789012:assumed-role/p-image-processing "
    "is not authorized to perform: s3:PutObject"
)


def versioned(bucket):
    bucket.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})


def checked(worker, image):
    """Make a picture one whose object was checked as it is now."""
    with worker.database.begin() as connection:
        row = connection.execute(sa.select(book_images).where(book_images.c.id == image)).one()
        found = worker.images.fingerprint(row.s3_key)
        values = {"content_hash": found.sha256, "s3_version": found.version}
        connection.execute(sa.update(book_images).where(book_images.c.id == image).values(**values))
    return found


def test_the_worker_reads_the_version_that_was_checked(worker, book, picture, bucket):
    versioned(bucket)
    image = picture("1.jpg", photograph("maroon"))
    found = checked(worker, image)
    bucket.put_object(Bucket=BUCKET, Key="books/1.jpg", Body=photograph("navy"))
    made = new_job(worker, book, image)
    assert run(worker, made.id) == "acknowledge"
    assert row_of(worker, made.id).result["source_sha256"] == found.sha256


def test_a_file_replaced_after_its_check_ends_the_job_where_the_bucket_keeps_no_versions(worker, book, picture, bucket):
    image = picture("1.jpg", photograph("maroon"))
    assert checked(worker, image).version == "null"
    bucket.put_object(Bucket=BUCKET, Key="books/1.jpg", Body=photograph("navy"))
    made = new_job(worker, book, image)
    assert run(worker, made.id) == "acknowledge"
    failed = row_of(worker, made.id)
    assert (failed.status, "replaced after it was checked" in failed.failure_reason) == ("failed", True)
    assert processed_rows(worker, book) == []


def test_a_photograph_deleted_while_it_is_worked_on_never_comes_back(worker, book, picture):
    made = new_job(worker, book, picture("1.jpg"))

    def delete():
        with worker.database.begin() as connection:
            connection.execute(sa.delete(book_images))

    assert run(replace(worker, network=lambda: Square(meanwhile=delete)), made.id) == "acknowledge"
    failed = row_of(worker, made.id)
    assert (failed.status, failed.failure_reason) == ("failed", jobs.DELETED)
    assert processed_rows(worker, book) == []


class NoWrites(Storage):
    def upload(self, key, body, content_type):
        raise StorageError(REFUSED)


def test_a_transient_error_frees_the_job_and_gives_the_message_back(worker, book, picture):
    made = new_job(worker, book, picture("1.jpg"))
    assert run(replace(worker, images=NoWrites(BUCKET)), made.id) == "give_back"
    waiting = row_of(worker, made.id)
    assert (waiting.status, waiting.lease_id, waiting.lease_expires_at) == ("pending", None, None)
    assert run(worker, made.id) == "acknowledge"
    done = row_of(worker, made.id)
    assert (done.status, done.failure_reason, done.attempt_count) == ("completed", None, 2)


@pytest.mark.parametrize(
    "failure",
    [
        (StorageError(REFUSED), "the pictures' storage"),
        (DatabaseUnavailableError("no connection to 'books' at db.internal:5432", Refusal("down")), "the database"),
        (sa.exc.OperationalError("SELECT 1", {}, Exception("server at 10.0.0.7 closed")), "the database"),
        (SecretError("the secret arn:aws:secretsmanager:us-west-2:123456789012:secret:db"), "the database"),
        (MemoryError("7168"), "memory"),
        (RuntimeError("/var/task/handlers/x.py"), "nobody foresaw"),
    ],
    ids=lambda failure: type(failure[0]).__name__,
)
def test_callers_are_told_which_part_failed_and_the_log_has_its_words_under_the_jobs_id(
    worker, book, picture, caplog, failure
):
    error, words = failure

    def fail():
        raise error

    made = new_job(worker, book, picture("1.jpg"))
    assert run(replace(worker, network=fail), made.id) == "give_back"
    waiting = row_of(worker, made.id).failure_reason
    caplog.clear()
    assert run(replace(worker, network=fail), made.id, last_receive=True) == "give_back"
    reason = row_of(worker, made.id).failure_reason
    assert waiting == reason
    assert words in reason
    assert str(error) not in reason
    assert not re.search(r"arn:|s3:|\d{4,}|[A-Z][a-z]+Error|internal|/var/|admin|10\.0", reason)
    [record] = [each for each in caplog.records if each.name == job.log.name and each.exc_info]
    assert str(made.id) in record.getMessage()
    assert record.exc_info[1] is error


def test_after_the_last_receive_the_job_says_permanently_failed(worker, book, picture):
    made = new_job(worker, book, picture("1.jpg"))
    assert run(replace(worker, images=NoWrites(BUCKET)), made.id, last_receive=True) == "give_back"
    assert row_of(worker, made.id).status == "permanently_failed"


def test_a_job_sent_back_from_the_dead_letters_is_done_with_all_its_attempts(worker, book, picture):
    made = new_job(worker, book, picture("1.jpg"))
    failing = replace(worker, images=NoWrites(BUCKET))
    for receives in range(1, jobs.MAX_ATTEMPTS + 1):
        run(failing, made.id, last_receive=receives == jobs.MAX_ATTEMPTS)
    ended = row_of(worker, made.id)
    assert (ended.status, ended.attempt_count) == ("permanently_failed", jobs.MAX_ATTEMPTS)
    assert run(worker, made.id) == "give_back"  # it comes by itself: nothing revives the job
    assert row_of(worker, made.id) == ended
    assert run(worker, made.id, redrives=1) == "acknowledge"
    done = row_of(worker, made.id)
    assert (done.status, done.attempt_count, done.failure_reason) == ("completed", 1, None)


def test_a_job_sent_back_while_a_newer_one_does_its_photograph_has_ended_and_is_acknowledged(
    worker, book, picture, caplog
):
    image = picture("1.jpg")
    made = new_job(worker, book, image)
    run(replace(worker, images=NoWrites(BUCKET)), made.id, last_receive=True)
    newer = new_job(worker, book, image)
    before = row_of(worker, made.id)
    assert newer.id != made.id
    caplog.clear()
    assert run(worker, made.id, redrives=1) == "acknowledge"
    [record] = [each for each in caplog.records if each.name == job.log.name]
    assert str(made.id) in record.message
    assert record.message.endswith("finished")
    assert (before.status, before.failure_reason) == ("failed", jobs.SUPERSEDED)
    assert (row_of(worker, made.id), row_of(worker, newer.id).status) == (before, "pending")


def test_out_of_memory_is_transient(worker, book, picture):
    def no_memory():
        raise MemoryError

    made = new_job(worker, book, picture("1.jpg"))
    assert run(replace(worker, network=no_memory), made.id) == "give_back"
    assert row_of(worker, made.id).status == "pending"


# Lambda's edge


class Context:
    function_name, memory_limit_in_mb, function_version = "image-processor", 7168, "1"
    invoked_function_arn = "arn:aws:lambda:us-west-2:123456789012:function:image-processor"
    aws_request_id = "00000000-0000-0000-0000-000000000000"

    @staticmethod
    def get_remaining_time_in_millis():
        return 300_000


CONTEXT = cast(LambdaContext, Context())


def number_of(body):
    return getattr(body, "message_number", 1)


def records(*bodies, receives=1):
    return {
        "Records": [
            {
                "messageId": str(number),
                "body": body if isinstance(body, str) else json.dumps(getattr(body, "message", body)),
                "messageAttributes": {"bmx_number": {"stringValue": str(number_of(body)), "dataType": "Number"}},
                "attributes": {"ApproximateReceiveCount": str(receives), "SentTimestamp": "1772366400000"},
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:us-west-2:123456789012:q",
            }
            for number, body in enumerate(bodies)
        ]
    }


@pytest.fixture
def edge(worker, monkeypatch):
    monkeypatch.setattr(handler, "worker", lambda: worker)
    return lambda event: handler.handler(event, CONTEXT)


@pytest.fixture
def refused_writes(worker, edge, monkeypatch):
    monkeypatch.setattr(handler, "worker", lambda: replace(worker, images=NoWrites(BUCKET)))
    return edge


@pytest.fixture
def new_message(worker, book, picture):
    return new_job(worker, book, picture("1.jpg"))


def given_back(answer):
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def test_only_the_messages_that_must_come_again_are_given_back(worker, book, picture, edge):
    done = new_job(worker, book, picture("1.jpg"))
    busy = new_job(worker, book, picture("2.jpg"))
    claim(worker, busy.id)
    assert given_back(edge(records(done, busy, {"job_id": str(uuid4())}))) == ["1"]
    assert row_of(worker, done.id).status == "completed"


@pytest.mark.parametrize("body", ["not json", "{}", '{"job_id": "7"}'])
def test_what_is_no_message_of_this_flow_ends_in_the_dead_letter_queue(edge, body):
    assert given_back(edge(records(body))) == ["0"]


def test_the_lease_outlives_the_function_by_the_margin_and_no_more(worker, new_message, edge, monkeypatch):
    seen: list[jobs.Job] = []
    job_id = new_message.id
    slow = replace(worker, network=lambda: Square(meanwhile=lambda: seen.append(row_of(worker, job_id))))
    monkeypatch.setattr(handler, "worker", lambda: slow)
    edge(records(new_message))
    assert seen[0].lease_expires_at == NOW + timedelta(seconds=300) + handler.LEASE_MARGIN
    assert isinstance(seen[0].lease_id, UUID)


@pytest.mark.parametrize(("receives", "status"), [(4, "pending"), (5, "permanently_failed")])
def test_the_receive_count_decides_whether_it_was_the_last(new_message, worker, refused_writes, receives, status):
    assert given_back(refused_writes(records(new_message, receives=receives))) == ["0"]
    assert row_of(worker, new_message.id).status == status


def test_the_version_is_told_without_database_bucket_or_network(monkeypatch):
    monkeypatch.setenv("BMX_ENVIRONMENT", "local")
    monkeypatch.setenv("BMX_VERSION", "abc123")
    monkeypatch.setattr(handler, "worker", lambda: pytest.fail("work was done"))
    assert handler.handler({"version": True}, CONTEXT) == {"version": "abc123", "environment": "local"}
