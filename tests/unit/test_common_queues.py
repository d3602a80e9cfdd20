"""Sending to queues in tens: what SQS did not take is sent once more, and what is lost of it is counted."""

import boto3
import pytest
from botocore.stub import Stubber

from handlers.common.queues import QueueError, Queues

NAME, URL = "p-tracking", "https://sqs/p-tracking"


@pytest.fixture
def sqs(aws_keys):
    client = boto3.client("sqs", "us-west-2")
    with Stubber(client) as stub:
        stub.add_response("get_queue_url", {"QueueUrl": URL}, {"QueueName": NAME})
        yield client, stub
        stub.assert_no_pending_responses()


def batch(*numbers):
    return {"QueueUrl": URL, "Entries": [{"Id": str(n), "MessageBody": f'{{"n":{n}}}'} for n in numbers]}


def answer(taken, refused=()):
    return {
        "Successful": [{"Id": str(n), "MessageId": "m", "MD5OfMessageBody": "x"} for n in taken],
        "Failed": [{"Id": str(n), "SenderFault": False, "Code": code} for n, code in refused],
    }


def send(client, count):
    Queues(client).send_batch(NAME, [{"n": number} for number in range(count)])


def test_a_batch_that_is_taken_is_one_call(sqs):
    client, stub = sqs
    stub.add_response("send_message_batch", answer([0, 1, 2]), batch(0, 1, 2))
    send(client, 3)


def test_what_was_not_taken_is_sent_once_more_and_nothing_else_is(sqs):
    client, stub = sqs
    stub.add_response("send_message_batch", answer([0, 2], [(1, "InternalError")]), batch(0, 1, 2))
    stub.add_response("send_message_batch", answer([1]), batch(1))
    send(client, 3)


def test_what_was_not_taken_twice_is_counted_with_the_reasons(sqs):
    client, stub = sqs
    stub.add_response(
        "send_message_batch", answer([0], [(1, "InternalError"), (2, "ServiceUnavailable")]), batch(0, 1, 2)
    )
    stub.add_response("send_message_batch", answer([], [(1, "InternalError"), (2, "InternalError")]), batch(1, 2))
    with pytest.raises(QueueError, match="2 of 3 messages could not be sent to the queue p-tracking: InternalError"):
        send(client, 3)


@pytest.mark.parametrize(("refused", "lost"), [((), 3), ((1,), 1)], ids=["at once", "the second time"])
def test_when_sqs_does_not_answer_only_what_it_has_not_taken_is_called_lost(sqs, refused, lost):
    client, stub = sqs
    if refused:
        taken = [number for number in range(3) if number not in refused]
        stub.add_response("send_message_batch", answer(taken, [(n, "InternalError") for n in refused]), batch(0, 1, 2))
    stub.add_client_error("send_message_batch", "RequestThrottled")
    with pytest.raises(QueueError, match=f"{lost} of 3 messages could not be sent to .*Throttled"):
        send(client, 3)


def test_after_an_error_the_queues_address_is_asked_for_anew(sqs):
    client, stub = sqs
    queues = Queues(client)
    stub.add_client_error("send_message_batch", "AWS.SimpleQueueService.NonExistentQueue")
    with pytest.raises(QueueError, match=r"or this role lacks sqs:GetQueueUrl on it"):
        queues.send_batch(NAME, [{"n": 0}])
    stub.add_response("get_queue_url", {"QueueUrl": URL}, {"QueueName": NAME})
    stub.add_response("send_message_batch", answer([0]), batch(0))
    queues.send_batch(NAME, [{"n": 0}])
