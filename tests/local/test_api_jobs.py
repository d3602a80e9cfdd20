"""Lists, page by page, and another try for jobs that failed."""

from datetime import timedelta
from uuid import UUID, uuid4

import boto3
import pytest
import sqlalchemy as sa

from handlers.common import jobs
from handlers.common.clock import now
from handlers.common.tables import book_images, image_processing_jobs
from tests.local.api_caller import QUEUE, call
from tests.local.api_pictures import add, messages, new_book
from tests.local.test_api_edge import problem


@pytest.fixture
def job(api):
    """The id of a job whose message was sent and is gone."""
    job = add(new_book())["job"]["id"]
    messages()
    return job


def put_in(database, job, **values):
    with database.begin() as connection:
        table = image_processing_jobs
        connection.execute(sa.update(table).where(table.c.id == UUID(job)).values(**values))


def retry(job):
    return call("POST", f"/api/v1/image-jobs/{job}/retry")


def pages(path, name, limit, extra=""):
    """Every entry of a list, page by page, and how many pages there were."""
    found, count, after = [], 0, ""
    while True:
        answer = call("GET", path, query=f"limit={limit}{extra}{after}")
        assert answer.status == 200, answer.text
        found += answer.json[name]
        count += 1
        assert len(answer.json[name]) <= limit
        if answer.json["next"] is None:
            return found, count
        after = f"&after={answer.json['next']}"


@pytest.mark.parametrize(("limit", "count"), [(1, 5), (2, 3), (5, 1), (100, 1)])
def test_paging_through_books_shows_each_once(api, limit, count):
    ids = [new_book(f"book {number}") for number in range(5)]
    found, pages_read = pages("/api/v1/books", "books", limit)
    assert [book["id"] for book in found] == ids
    assert pages_read == count


def test_without_a_limit_a_page_has_fifty_entries(api):
    for _ in range(51):
        new_book()
    assert len(call("GET", "/api/v1/books").json["books"]) == 50


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_paging_through_jobs_shows_each_once_newest_first_even_if_made_at_one_moment_or_without_a_time(api, limit):
    book, moment = new_book(), now()
    times = [moment, moment, moment, moment - timedelta(hours=1), moment + timedelta(hours=1), None, None]
    with api.begin() as connection:
        for made in times:
            values = {"id": uuid4(), "book_id": book, "status": "failed", "created_at": made}
            connection.execute(sa.insert(image_processing_jobs).values(**values))
    found, _ = pages("/api/v1/image-jobs", "jobs", limit)
    assert len({job["id"] for job in found}) == len(found) == len(times)
    shown = [job["created_at"] or "" for job in found]
    assert shown == sorted(shown, reverse=True)


def test_jobs_are_listed_by_their_state(api, job):
    other = add(new_book())["job"]["id"]
    put_in(api, other, status="failed", failure_reason="no subject")
    found, _ = pages("/api/v1/image-jobs", "jobs", 1, extra="&status=failed")
    assert [(job["id"], job["failure_reason"]) for job in found] == [(other, "no subject")]
    assert call("GET", "/api/v1/image-jobs", query="status=completed").json == {"jobs": [], "next": None}


@pytest.mark.parametrize(
    ("path", "query", "field"),
    [
        ("books", "limit=0", "query.limit"),
        ("books", "limit=101", "query.limit"),
        ("books", "limit=", "query.limit"),
        ("books", "limit=1&limit=2", "query.limit"),
        ("books", "after=-1", "query.after"),
        ("books", "after=2147483648", "query.after"),
        ("books", "after=" + "9" * 5000, "query.after"),
        ("image-jobs", "status=done", "query.status"),
        ("image-jobs", "status=%00", "query.status"),
        ("image-jobs", "after=1", "query.after"),
        ("image-jobs", "after=2a1eb66d-4618-441c-add3-497f16b0b2e9", "query.after"),
    ],
)
def test_a_page_that_cannot_be_meant_is_refused_by_the_parameters_name(api, path, query, field):
    document = problem(call("GET", f"/api/v1/{path}", query=query), 422)
    assert [error["field"] for error in document["errors"]] == [field]


@pytest.mark.parametrize("status", ["failed", "queue_failed", "permanently_failed"])
def test_a_job_that_failed_begins_anew_and_is_sent(api, job, status):
    values = {"attempt_count": 5, "queue_retry_count": 10, "failure_reason": "no subject", "completed_at": now()}
    put_in(api, job, status=status, **values)
    answer = retry(job)
    assert answer.status == 202, answer.text
    fresh = answer.json
    assert (fresh["status"], fresh["attempt_count"], fresh["failure_reason"]) == ("pending", 0, None)
    assert fresh["completed_at"] is None
    assert [message["job_id"] for message in messages()] == [job]
    with api.begin() as connection:
        row = jobs.find(connection, UUID(job))
        assert row is not None
        assert (row.queue_retry_count, row.sent_at is None) == (0, False)
        message = jobs.Message(row.message_number)
        assert jobs.claim(connection, row.id, message, now=now(), lease=timedelta(minutes=5)).outcome == "claimed"


def purge():
    boto3.client("sqs").purge_queue(QueueUrl=boto3.client("sqs").get_queue_url(QueueName=QUEUE)["QueueUrl"])


def test_a_retry_frees_a_job_whose_worker_died_and_sends_it_when_the_queue_is_empty(api, job):
    long_ago = now() - timedelta(hours=2)
    purge()
    put_in(api, job, status="processing", lease_id=uuid4(), lease_expires_at=long_ago, sent_at=long_ago)
    assert retry(job).json["status"] == "pending"
    assert [message["job_id"] for message in messages()] == [job]


def test_a_retry_leaves_a_living_worker_its_job_and_a_message_just_sent_its_time(api, job):
    purge()  # SQS's counts may not show a message for a minute
    assert retry(job).json["status"] == "pending"
    put_in(api, job, status="processing", lease_id=uuid4(), lease_expires_at=now() + timedelta(minutes=5))
    assert retry(job).json["status"] == "processing"
    assert messages() == []


def test_a_retry_whose_queue_refuses_is_left_to_the_sweeper(api, job, monkeypatch):
    put_in(api, job, status="failed")
    monkeypatch.setattr("handlers.common.queues.Queues.send_numbered", lambda *_: {0: "throttled"})
    assert retry(job).status == 202
    with api.begin() as connection:
        due = jobs.begin_sending(connection, now=now() + jobs.SEND_GRACE)
    assert [row.id for row in due] == [UUID(job)]


def test_a_waiting_job_whose_message_is_gone_from_its_queue_is_sent_again_when_somebody_asks(api, job):
    put_in(api, job, sent_at=now() - jobs.SEND_GRACE)
    boto3.client("sqs").purge_queue(QueueUrl=boto3.client("sqs").get_queue_url(QueueName=QUEUE)["QueueUrl"])
    assert retry(job).status == 202
    assert [message["job_id"] for message in messages()] == [job]


def test_a_waiting_job_is_not_sent_again_while_its_queue_holds_a_message(api, job):
    put_in(api, job, sent_at=now() - jobs.SEND_GRACE)
    url = boto3.client("sqs").get_queue_url(QueueName=QUEUE)["QueueUrl"]
    boto3.client("sqs").send_message(QueueUrl=url, MessageBody='{"its": "own"}')
    assert retry(job).status == 202
    assert messages() == [{"its": "own"}]


@pytest.mark.parametrize("status", ["pending", "processing"])
def test_a_job_under_way_stays_as_it_is(api, job, status):
    put_in(api, job, status=status, attempt_count=2)
    answer = retry(job)
    assert (answer.status, answer.json["status"], answer.json["attempt_count"]) == (202, status, 2)
    assert messages() == []


def test_a_completed_job_is_not_tried_again(api, job):
    put_in(api, job, status="completed")
    assert "completed" in problem(retry(job), 409)["detail"]
    assert messages() == []


def test_a_job_whose_photograph_was_deleted_is_not_tried_again(api, job):
    put_in(api, job, status="failed")
    with api.begin() as connection:
        connection.execute(sa.delete(book_images))
    assert "deleted" in problem(retry(job), 409)["detail"]
    assert messages() == []


def test_a_job_is_not_tried_again_beside_another_one_of_its_photograph(api, job):
    put_in(api, job, status="failed")
    with api.begin() as connection:
        jobs.accept(connection, 1, 1, now=now())
    assert "Another job" in problem(retry(job), 409)["detail"]


def test_a_job_that_is_not_there_is_not_tried_again(api):
    problem(retry(uuid4()), 404)
    assert problem(retry("1"), 422)["errors"][0]["field"] == "path.job_id"
