"""A photograph that kills its worker, for a simulated week: real queues and redrive policy, every message delivered.

Time is SQS's, the sweeper's and the workers' alike: moto follows the clock.
"""

import json
from collections import Counter
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import boto3
import pytest
import sqlalchemy as sa

from flows import catalogue
from handlers.common import dispatch, jobs
from handlers.common.queues import Queues
from handlers.common.tables import book_images, books
from handlers.common.tables import image_processing_jobs as table
from handlers.image_processor.handler import LEASE_MARGIN
from handlers.job_sweeper.sweep import Rules, sweep
from local.clock import Clock
from local.moto_server import install_clock

FLOW = catalogue("p")[0]
QUEUE, DEAD = FLOW.queue_name("p"), FLOW.dead_letter_queue_name("p")
RULES = Rules(max_attempts=FLOW.receives, retention=timedelta(seconds=FLOW.retention))
LEASE = timedelta(seconds=FLOW.timeout) + LEASE_MARGIN
STEP = timedelta(minutes=5)


@pytest.fixture
def clock(aws_mock):
    clock = Clock()
    patches = install_clock(clock)
    yield clock
    patches.undo()


class Week:
    """Delivers what the queue shows every five minutes, then sweeps, as the mapping and the schedule do."""

    def __init__(self, database, clock, *, killers, good):
        self.database, self.clock, self.sqs, self.queues = database, clock, boto3.client("sqs"), Queues()
        dead = self.create(DEAD, MessageRetentionPeriod=FLOW.dead_letter_retention)
        arn = self.sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": FLOW.receives})
        times = {"VisibilityTimeout": FLOW.visibility_timeout, "MessageRetentionPeriod": FLOW.retention}
        self.url, self.dead = self.create(QUEUE, RedrivePolicy=policy, **times), dead
        self.deaths: Counter[UUID] = Counter()
        self.ends: Counter[UUID] = Counter()
        made = [self.new_job() for _ in range(killers + good)]
        self.killers = set(made[:killers])

    def create(self, name, **attributes):
        values: Any = {key: str(value) for key, value in attributes.items()}
        return self.sqs.create_queue(QueueName=name, Attributes=values)["QueueUrl"]

    def new_job(self):
        with self.database.begin() as connection:
            book = connection.scalar(sa.insert(books).values(title="x").returning(books.c.id))
            image = connection.scalar(
                sa.insert(book_images).values(book_id=book, s3_key="x").returning(book_images.c.id)
            )
            job = jobs.accept(connection, book, image, now=self.now)
        assert dispatch.send(self.database, self.queues, QUEUE, job.id, now=self.now)
        return job.id

    @property
    def now(self):
        return self.clock.utcnow()

    def run(self, length):
        for _ in range(int(length / STEP)):
            while messages := self.receive():
                for message in messages:
                    self.deliver(message)
            swept = sweep(self.database, self.queues, QUEUE, RULES, now=self.now)
            assert swept.errors == {}
            self.ends.update(UUID(each) for each in swept.ended)
            self.clock.advance(STEP.total_seconds())

    def receive(self):
        answer = self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
        return answer.get("Messages", [])

    def deliver(self, message):
        job_id = UUID(json.loads(message["Body"])["job_id"])
        number = int(message["MessageAttributes"]["bmx_number"]["StringValue"])
        with self.database.begin() as connection:
            claim = jobs.claim(connection, job_id, jobs.Message(number), now=self.now, lease=LEASE)
        if claim.outcome == "claimed" and job_id in self.killers:
            self.deaths[job_id] += 1  # the process is gone: nothing is written, nothing is acknowledged
            return
        if claim.outcome == "claimed":
            assert claim.job is not None
            picture = jobs.ProcessedImage(f"{job_id}.png", "hash")
            with self.database.begin() as connection:
                jobs.complete(connection, claim.job, processed=picture, model_used="m", result={}, now=self.now)
        if claim.outcome not in {"busy", "spent"}:
            self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])

    def letters(self):
        found = []
        while messages := self.sqs.receive_message(QueueUrl=self.dead, MaxNumberOfMessages=10).get("Messages"):
            found += [UUID(json.loads(message["Body"])["job_id"]) for message in messages]
        return found

    def states(self):
        with self.database.begin() as connection:
            rows = connection.execute(sa.select(table.c.id, table.c.status, table.c.attempt_count)).all()
        return {row.id: SimpleNamespace(status=row.status, attempts=row.attempt_count) for row in rows}


@pytest.mark.parametrize("good", [0, pytest.param(50, marks=pytest.mark.slow)])
def test_a_photograph_that_kills_its_worker_has_five_deaths_one_dead_letter_and_one_end(database, clock, good):
    week = Week(database, clock, killers=1, good=good)
    week.run(timedelta(days=7 if good else 3))
    (killer,) = week.killers
    assert dict(week.deaths) == {killer: FLOW.receives}
    assert dict(week.ends) == {killer: 1}
    assert week.letters() == [killer]
    states = week.states()
    assert (states[killer].status, states[killer].attempts) == ("permanently_failed", FLOW.receives)
    assert [each.status for job_id, each in states.items() if job_id != killer] == ["completed"] * good
    assert week.receive() == []
