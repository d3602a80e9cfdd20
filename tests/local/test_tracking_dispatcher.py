"""The dispatcher: every book once, read page by page, whatever the pages' edges."""

import json

import boto3
import pytest
import sqlalchemy as sa

from handlers.common.queues import QueueError, Queues
from handlers.common.tables import books
from handlers.tracking_dispatcher.dispatch import dispatch

QUEUE = "p-tracking"


@pytest.fixture
def queue_url(aws_mock):
    return boto3.client("sqs").create_queue(QueueName=QUEUE)["QueueUrl"]


def add(database, count):
    with database.begin() as connection:
        made = [connection.execute(sa.insert(books).values(title="x").returning(books.c.id)) for _ in range(count)]
        return [row.scalar_one() for row in made]


def told(queue_url):
    sqs, found = boto3.client("sqs"), []
    while messages := sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10).get("Messages"):
        found += [json.loads(message["Body"])["book_id"] for message in messages]
    return sorted(found)


@pytest.mark.parametrize("count", [0, 1, 10, 11, 24, 25], ids=str)
def test_every_book_is_told_once_whatever_the_pages(database, queue_url, count):
    made = add(database, count)
    assert dispatch(database, Queues(), QUEUE, page=12) == count
    assert told(queue_url) == made


def test_books_that_were_deleted_leave_no_gap_in_the_pages(database, queue_url):
    made = add(database, 9)
    with database.begin() as connection:
        connection.execute(sa.delete(books).where(books.c.id.in_(made[2:7])))
    assert dispatch(database, Queues(), QUEUE, page=3) == 4
    assert told(queue_url) == [*made[:2], *made[7:]]


def test_a_batch_that_is_not_taken_ends_the_run_so_that_its_alarm_tells(database, aws_mock):
    add(database, 1)
    with pytest.raises(QueueError, match=QUEUE):
        dispatch(database, Queues(), QUEUE)
