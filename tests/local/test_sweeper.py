"""The sweeper: what nobody is at work on is sent again, what cannot work is ended, one error stops nothing."""

import json
from datetime import UTC, datetime, timedelta

import boto3
import psycopg
import pytest
import sqlalchemy as sa

from handlers.common import dispatch, jobs, services
from handlers.common.queues import QueueError, Queues
from handlers.common.tables import book_images, books, image_processing_jobs
from handlers.job_sweeper import handler as edge
from handlers.job_sweeper.sweep import SEND_GRACE, sweep

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LEASE = timedelta(minutes=5)
QUEUE = "p-image-processing"


@pytest.fixture
def queue_url(aws_mock):
    return boto3.client("sqs").create_queue(QueueName=QUEUE)["QueueUrl"]


@pytest.fixture
def queues(queue_url):
    return Queues()


@pytest.fixture
def make(database):
    """Make a committed job of a picture of its own."""

    def make(now=NOW):
        with database.begin() as connection:
            book = connection.execute(sa.insert(books).values(title="x").returning(books.c.id)).scalar_one()
            statement = sa.insert(book_images).values(book_id=book, s3_key="x").returning(book_images.c.id)
            image = connection.execute(statement).scalar_one()
            return jobs.create(connection, book, image, now=now)

    return make


def bodies(queue_url):
    sqs, found = boto3.client("sqs"), []
    while messages := sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10).get("Messages"):
        found += [json.loads(message["Body"]) for message in messages]
    return found


def row(database, job):
    with database.begin() as connection:
        return jobs.find(connection, job.id)


def claim(database, job, now=NOW):
    with database.begin() as connection:
        return jobs.claim(connection, job.id, now=now, lease=LEASE).job


def test_a_job_whose_sender_died_between_commit_and_send_is_sent(database, queues, queue_url, make):
    job = make()
    done = sweep(database, queues, QUEUE, now=NOW + SEND_GRACE)
    assert done.sent == [str(job.id)]
    assert bodies(queue_url) == [job.message]
    assert row(database, job).sent_at == NOW + SEND_GRACE


def test_a_job_younger_than_the_grace_is_left_to_its_sender(database, queues, queue_url, make):
    make()
    assert sweep(database, queues, QUEUE, now=NOW + SEND_GRACE - timedelta(seconds=1)).sent == []
    assert bodies(queue_url) == []


def test_a_job_that_was_sent_is_not_sent_again(database, queues, queue_url, make):
    job = make()
    assert dispatch.send(database, queues, QUEUE, job, now=NOW)
    assert sweep(database, queues, QUEUE, now=NOW + timedelta(days=1)).sent == []
    assert bodies(queue_url) == [job.message]


def test_an_expired_lease_is_freed_and_the_job_sent(database, queues, queue_url, make):
    job = make()
    claim(database, job)
    done = sweep(database, queues, QUEUE, now=NOW + LEASE)
    assert (done.freed, done.sent, done.ended) == ([str(job.id)], [str(job.id)], [])
    assert bodies(queue_url) == [job.message]
    freed = row(database, job)
    assert (freed.status, freed.lease_id, freed.attempt_count) == ("pending", None, 1)


def test_a_live_lease_is_left_alone(database, queues, queue_url, make):
    held = claim(database, make())
    assert sweep(database, queues, QUEUE, now=NOW + LEASE - timedelta(seconds=1)).freed == []
    assert row(database, held) == held


def test_a_lease_taken_over_in_the_meantime_is_not_freed(database, make):
    old = claim(database, make())
    new = claim(database, old, now=NOW + LEASE)
    with database.begin() as connection:
        assert jobs.free(connection, old, now=NOW + 3 * LEASE) is None
    assert row(database, old) == new


def test_a_job_whose_worker_dies_every_time_is_ended_with_the_reason(database, queues, queue_url, make):
    job, now = make(), NOW
    for attempt in range(1, jobs.MAX_ATTEMPTS + 1):
        assert claim(database, job, now=now).attempt_count == attempt
        now += LEASE
        done = sweep(database, queues, QUEUE, now=now)
    assert (done.ended, done.sent) == ([str(job.id)], [])
    ended = row(database, job)
    assert (ended.status, ended.completed_at) == ("permanently_failed", now)
    assert "5 times without an answer" in ended.failure_reason


def test_a_job_of_the_old_system_without_a_lease_is_freed_after_an_hour(database, queues, make):
    job = make()
    with database.begin() as connection:
        connection.execute(sa.update(image_processing_jobs).values(status="processing"))
    assert sweep(database, queues, QUEUE, now=NOW + timedelta(minutes=59)).freed == []
    assert sweep(database, queues, QUEUE, now=NOW + timedelta(minutes=60)).freed == [str(job.id)]


class OneFails(Queues):
    """Sends through SQS, except the message of one job."""

    def __init__(self, queues, job, error):
        super().__init__()
        self.queues, self.job, self.error = queues, job, error

    def send(self, queue_name, body):
        if body["job_id"] == str(self.job.id):
            raise self.error
        return self.queues.send(queue_name, body)


@pytest.mark.parametrize("error", [QueueError("throttled"), sa.exc.OperationalError("x", {}, psycopg.Error())])
def test_one_jobs_error_does_not_stop_the_others(database, queues, queue_url, make, error):
    broken, fine = make(), make()
    done = sweep(database, OneFails(queues, broken, error), QUEUE, now=NOW + SEND_GRACE)
    assert done.sent == [str(fine.id)]
    assert list(done.errors) == [str(broken.id)]
    assert bodies(queue_url) == [fine.message]
    assert row(database, broken).sent_at is None


def test_a_job_that_the_queue_never_takes_ends_in_queue_failed(database, queues, queue_url, make):
    job = make()
    refusing = OneFails(queues, job, QueueError("no such queue"))
    for attempt in range(1, jobs.MAX_SENDS + 1):
        now = NOW + attempt * SEND_GRACE * 3
        sweep(database, refusing, QUEUE, now=now)
        assert row(database, job).queue_retry_count == attempt
    assert row(database, job).status == "queue_failed"
    assert sweep(database, refusing, QUEUE, now=now + timedelta(days=1)).errors == {}


def test_a_run_takes_on_no_more_than_its_limit_oldest_first(database, queues, make):
    made = [make(NOW + timedelta(seconds=second)) for second in range(3)]
    done = sweep(database, queues, QUEUE, now=NOW + timedelta(hours=1), limit=2)
    assert done.sent == [str(made[0].id), str(made[1].id)]


class Context:
    function_name, memory_limit_in_mb, invoked_function_arn, aws_request_id = "f", 128, "a", "r"

    @staticmethod
    def get_remaining_time_in_millis():
        return 60_000


def test_the_function_sweeps_at_the_clocks_time(database, secret_arn, queue_url, make, monkeypatch):
    for name, value in {
        "BMX_DATABASE_SECRET_ARN": secret_arn,
        "BMX_DATABASE_SSLMODE": "disable",
        "BMX_IMAGE_PROCESSING_QUEUE_NAME": QUEUE,
        "BMX_IMAGES_BUCKET": "p-images",
    }.items():
        monkeypatch.setenv(name, value)
    services.forget()
    job = make()  # long ago
    answer = edge.handler({}, Context())
    services.forget()
    uploads: dict[str, object] = {"uploads_completed": [], "uploads_removed": [], "uploads_errors": {}}
    assert answer == {"sent": [str(job.id)], "freed": [], "ended": [], "errors": {}} | uploads


def test_the_function_answers_its_version_without_work(monkeypatch):
    monkeypatch.setenv("BMX_ENVIRONMENT", "local")
    monkeypatch.setenv("BMX_VERSION", "1.2.3")
    assert edge.handler({"version": True}, Context()) == {"version": "1.2.3", "environment": "local"}


def test_a_queue_that_is_not_there_is_named_with_what_aws_leaves_open(aws_mock):
    with pytest.raises(QueueError, match=r"p-missing.*lacks sqs:GetQueueUrl"):
        Queues().send("p-missing", {})
