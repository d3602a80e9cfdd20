"""The sweeper: what nobody is at work on is sent again, what cannot work is ended, one error stops nothing."""

import json
from datetime import UTC, datetime, timedelta
from typing import cast

import boto3
import psycopg
import pytest
import sqlalchemy as sa
from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.common import dispatch, jobs, services
from handlers.common.jobs import SEND_GRACE
from handlers.common.queues import NumberedMessage, QueueError, Queues
from handlers.common.tables import book_images, books, image_processing_jobs, sweeps
from handlers.common.uploads import SweptUploads
from handlers.job_sweeper import handler as edge
from handlers.job_sweeper.sweep import Rules, sweep

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LEASE = timedelta(minutes=5)
QUEUE = "p-image-processing"
RULES = Rules(max_attempts=5, retention=timedelta(days=4))


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
            return jobs.accept(connection, book, image, now=now)

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
        found = jobs.find(connection, job.id)
        assert found is not None
        message = jobs.Message(found.message_number)
        return jobs.claim(connection, job.id, message, now=now, lease=LEASE).job


def run(database, queues, now, **given):
    return sweep(database, queues, QUEUE, RULES, now=now, **given)


def test_a_job_whose_sender_died_between_commit_and_send_is_sent(database, queues, queue_url, make):
    job = make()
    done = run(database, queues, NOW + SEND_GRACE)
    assert done.sent == [str(job.id)]
    assert bodies(queue_url) == [job.message]
    assert row(database, job).sent_at == NOW + SEND_GRACE


def test_a_message_carries_the_number_that_its_job_knows(database, queues, queue_url, make):
    job = make()
    run(database, queues, NOW + SEND_GRACE)
    answer = boto3.client("sqs").receive_message(QueueUrl=queue_url, MessageAttributeNames=["All"])
    (message,) = answer["Messages"]
    sent = row(database, job).message_number
    assert message["MessageAttributes"] == {"bmx_number": {"StringValue": str(sent), "DataType": "Number"}}


def test_a_job_younger_than_the_grace_is_left_to_its_sender(database, queues, queue_url, make):
    make()
    assert run(database, queues, NOW + SEND_GRACE - timedelta(seconds=1)).sent == []
    assert bodies(queue_url) == []


def test_a_job_that_was_sent_is_not_sent_again_while_its_queue_keeps_its_message(database, queues, queue_url, make):
    job = make()
    assert dispatch.send(database, queues, QUEUE, job.id, now=NOW)
    over = NOW + RULES.retention + jobs.RETENTION_MARGIN
    assert run(database, queues, over - timedelta(seconds=1)).sent == []
    assert bodies(queue_url) == [job.message]
    assert run(database, queues, over).sent == [str(job.id)]
    assert bodies(queue_url) == [job.message]


def test_a_second_sender_sends_nothing(database, queues, queue_url, make):
    job = make()
    assert dispatch.send(database, queues, QUEUE, job.id, now=NOW)
    assert not dispatch.send(database, queues, QUEUE, job.id, now=NOW)
    assert bodies(queue_url) == [job.message]


def test_an_expired_lease_is_taken_off_and_the_job_waits_for_its_own_message(database, queues, queue_url, make):
    job = make()
    dispatch.send(database, queues, QUEUE, job.id, now=NOW)
    claim(database, job)
    done = run(database, queues, NOW + LEASE)
    assert (done.freed, done.sent, done.ended) == ([str(job.id)], [], [])
    assert bodies(queue_url) == [job.message]  # the first one
    freed = row(database, job)
    assert (freed.status, freed.lease_id, freed.attempt_count) == ("pending", None, 1)


def test_a_live_lease_is_left_alone(database, queues, queue_url, make):
    held = claim(database, make())
    assert run(database, queues, NOW + LEASE - timedelta(seconds=1)).freed == []
    assert row(database, held) == held


def test_a_lease_taken_over_in_the_meantime_is_not_freed(database, make):
    old = claim(database, make())
    new = claim(database, old, now=NOW + LEASE)
    with database.begin() as connection:
        assert jobs.free(connection, old, now=NOW + 3 * LEASE) is None
    assert row(database, old) == new


def test_a_job_whose_worker_dies_every_time_is_ended_once_with_the_reason(database, queues, queue_url, make):
    job, now = make(), NOW
    dispatch.send(database, queues, QUEUE, job.id, now=NOW)
    for attempt in range(1, RULES.max_attempts + 1):
        assert claim(database, job, now=now).attempt_count == attempt
        now += LEASE
        done = run(database, queues, now)
    assert (done.ended, done.sent) == ([str(job.id)], [])
    ended = row(database, job)
    assert (ended.status, ended.completed_at) == ("permanently_failed", now)
    assert "5 times without an answer" in ended.failure_reason
    assert bodies(queue_url) == [job.message]
    assert run(database, queues, now + timedelta(days=30)).sent == []


@pytest.mark.parametrize("status", ["pending", "queue_failed", "permanently_failed"])
def test_a_job_whose_photograph_is_gone_but_not_by_our_hand_ends(database, queues, queue_url, make, status):
    job = make()
    with database.begin() as connection:
        values = {"status": status, "source_image_id": None}
        connection.execute(
            sa.update(image_processing_jobs).where(image_processing_jobs.c.id == job.id).values(**values)
        )
    assert run(database, queues, NOW).ended == [str(job.id)]
    ended = row(database, job)
    assert (ended.status, ended.failure_reason) == ("failed", jobs.DELETED)


def test_a_job_of_the_old_system_without_a_lease_is_freed_after_an_hour(database, queues, make):
    job = make()
    with database.begin() as connection:
        connection.execute(sa.update(image_processing_jobs).values(status="processing"))
    assert run(database, queues, NOW + timedelta(minutes=59)).freed == []
    assert run(database, queues, NOW + timedelta(minutes=60)).freed == [str(job.id)]


@pytest.mark.parametrize("status", ["pending", "processing"])
def test_a_job_of_the_old_system_without_any_time_is_swept(database, queues, queue_url, make, status):
    job = make()
    with database.begin() as connection:
        nothing = dict.fromkeys(("created_at", "updated_at", "sent_at", "send_after"))
        connection.execute(sa.update(image_processing_jobs).values(status=status, **nothing))
    run(database, queues, NOW)
    later = run(database, queues, NOW + SEND_GRACE)  # one that was freed has a time by then
    assert bodies(queue_url) == [job.message], later


class OneFails(Queues):
    """Sends through SQS, except the message of one job, which SQS refuses."""

    def __init__(self, queues, job):
        super().__init__()
        self.queues, self.job = queues, job

    def send_numbered(self, queue_name, messages):
        refused = {n: "Throttled" for n, each in enumerate(messages) if each.body["job_id"] == str(self.job.id)}
        taken = [each for n, each in enumerate(messages) if n not in refused]
        assert not taken or not self.queues.send_numbered(queue_name, taken)
        return refused


def test_one_jobs_error_does_not_stop_the_others(database, queues, queue_url, make):
    broken, fine = make(), make()
    done = run(database, OneFails(queues, broken), NOW + SEND_GRACE)
    assert done.sent == [str(fine.id)]
    assert list(done.errors) == [str(broken.id)]
    assert bodies(queue_url) == [fine.message]
    assert row(database, broken).sent_at is None


def test_a_row_that_cannot_be_freed_is_left_and_does_not_stop_the_others(database, queues, make, monkeypatch):
    broken, fine = make(), make()
    for job in (broken, fine):
        claim(database, job)
    free = jobs.free

    def refusing(connection, job, **given):
        if job.id == broken.id:
            raise sa.exc.OperationalError("x", {}, psycopg.Error())
        return free(connection, job, **given)

    monkeypatch.setattr(jobs, "free", refusing)
    done = run(database, queues, NOW + LEASE)
    assert (done.freed, done.errors) == ([str(fine.id)], {str(broken.id): "OperationalError"})


def test_a_job_that_the_queue_does_not_take_for_a_day_is_queued_when_it_does(database, queues, queue_url, make):
    job, now = make(), NOW
    while now < NOW + timedelta(days=1):
        now += timedelta(minutes=5)
        run(database, OneFails(queues, job), now)
    refused = row(database, job)
    assert (refused.status, refused.queue_retry_count < 40) == ("queue_failed", True)
    run(database, queues, now + jobs.LONGEST_PAUSE)
    assert (row(database, job).status, bodies(queue_url)) == ("pending", [job.message])


def test_a_run_goes_on_batch_by_batch_until_its_time_is_up(database, queues, queue_url, make):
    made = [make(NOW + timedelta(seconds=second)) for second in range(5)]
    answers = iter([True, True, True, False])  # once for leases, then for each batch
    first = run(database, queues, NOW + timedelta(hours=1), has_time=lambda: next(answers), batch=2)
    assert (set(first.sent), first.out_of_time) == ({str(job.id) for job in made[:4]}, True)
    rest = run(database, queues, NOW + timedelta(hours=1), batch=2)
    assert (rest.sent, rest.out_of_time) == ([str(made[4].id)], False)


def test_a_run_records_when_it_ended_and_what_it_left(database, queues, make):
    run(database, queues, NOW)
    run(database, OneFails(queues, make()), NOW + SEND_GRACE)
    with database.begin() as connection:
        assert connection.execute(sa.select(sweeps)).all() == [("image_jobs", NOW + SEND_GRACE, 1)]


class Context:
    function_name, memory_limit_in_mb, invoked_function_arn, aws_request_id = "f", 128, "a", "r"

    @staticmethod
    def get_remaining_time_in_millis():
        return 60_000


CONTEXT = cast(LambdaContext, Context())


@pytest.fixture
def deployed(database, secret_arn, queue_url, monkeypatch):
    for name, value in {
        "BMX_DATABASE_SECRET_ARN": secret_arn,
        "BMX_DATABASE_SSLMODE": "disable",
        "BMX_IMAGE_PROCESSING_QUEUE_NAME": QUEUE,
        "BMX_MAX_RECEIVES": "5",
        "BMX_MESSAGE_RETENTION": "345600",
        "BMX_IMAGES_BUCKET": "p-images",
    }.items():
        monkeypatch.setenv(name, value)
    services.forget()
    yield monkeypatch
    services.forget()


def test_the_function_sweeps_at_the_clocks_time(deployed, make):
    job = make()  # long ago
    answer = edge.handler({}, CONTEXT)
    swept = {"sent": [str(job.id)], "freed": [], "ended": [], "errors": {}, "out_of_time": False}
    assert answer == swept | {"uploads_completed": [], "uploads_removed": [], "uploads_errors": {}}


def test_the_function_fails_when_it_could_not_do_its_work_so_that_its_alarm_goes_off(deployed, make):
    make()
    deployed.setenv("BMX_IMAGE_PROCESSING_QUEUE_NAME", "p-missing")
    with pytest.raises(edge.UnfinishedSweepError, match="1 image jobs or uploads are left"):
        edge.handler({}, CONTEXT)


def test_the_function_fails_when_an_upload_could_not_be_looked_at(deployed):
    left = SweptUploads(errors={7: "StorageError"})
    deployed.setattr(edge, "sweep_uploads", lambda *_, **__: left)
    with pytest.raises(edge.UnfinishedSweepError, match="1 image jobs or uploads are left"):
        edge.handler({}, CONTEXT)


def test_the_function_answers_its_version_without_work(monkeypatch):
    monkeypatch.setenv("BMX_ENVIRONMENT", "local")
    monkeypatch.setenv("BMX_VERSION", "1.2.3")
    assert edge.handler({"version": True}, CONTEXT) == {"version": "1.2.3", "environment": "local"}


def test_a_queue_that_is_not_there_is_named_with_what_aws_leaves_open(aws_mock):
    refused = Queues().send_numbered("p-missing", [NumberedMessage({}, 1)])
    assert "lacks sqs:GetQueueUrl" in refused[0]
    with pytest.raises(QueueError, match=r"p-missing.*lacks sqs:GetQueueUrl"):
        Queues().is_empty("p-missing")
