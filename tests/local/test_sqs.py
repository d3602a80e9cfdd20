"""SQS as AWS says it is: what it refuses to take, and when it lets a message go."""

import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from moto.cloudwatch.models import cloudwatch_backends
from moto.sqs.models import sqs_backends

from local import sqs as local_sqs
from local.metrics import Metrics
from local.sqs import content_refusal
from tests.local.lambda_cloud import ACCOUNT, REGION, lambda_cloud

DAY = 86_400
NAMES = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed"]
ALLOWED = "the set of allowed characters is #x9 | #xA | #xD | [#x20-#xD7FF] | [#xE000-#xFFFD] | [#x10000-#x10FFFF]"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    patches = local_sqs.install()
    with lambda_cloud(tmp_path_factory.mktemp("home")) as made:
        yield made
    patches.undo()


@pytest.fixture
def sqs(cloud):
    return cloud.client("sqs")


@pytest.fixture
def queue(sqs, request):
    made = sqs.create_queue(QueueName=re.sub(r"\W", "-", request.node.name)[:80])["QueueUrl"]
    yield made
    sqs.delete_queue(QueueUrl=made)


@pytest.fixture
def impatient_threads():
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


def counts(sqs, queue):
    found = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=NAMES)["Attributes"]
    return tuple(int(found[name]) for name in NAMES)


def refused(call, **given):
    with pytest.raises(ClientError) as error:
        call(**given)
    said = error.value.response
    assert said["ResponseMetadata"]["HTTPStatusCode"] == 400
    return said["Error"]["Code"], said["Error"]["Message"]


# What it takes
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html


@pytest.mark.parametrize("character", ["\0", "\x08", "\x0b", "\x1f", "\ufffe", "\uffff", "\ud800"])
def test_a_character_that_xml_cannot_hold_is_refused(sqs, queue, character):
    code, message = refused(sqs.send_message, QueueUrl=queue, MessageBody=f"a{character}b")
    assert code.endswith("InvalidMessageContents")
    assert message == f"Invalid binary character '#x{ord(character):X}' was found in the message body, {ALLOWED}."
    assert counts(sqs, queue) == (0, 0, 0)


def test_every_other_character_is_taken(sqs, queue):
    body = "\t\n\r ~\x7f\x80\ud7ff\ue000\ufffd\U00010000\U0001ffff\U0010ffff"
    sqs.send_message(QueueUrl=queue, MessageBody=body)
    assert sqs.receive_message(QueueUrl=queue)["Messages"][0]["Body"] == body


@given(st.characters())
def test_what_is_taken_are_xmls_characters(character):
    # https://www.w3.org/TR/REC-xml/#charsets
    point = ord(character)
    taken = point in (9, 10, 13) or 0x20 <= point <= 0xD7FF or 0xE000 <= point <= 0xFFFD or point >= 0x10000
    assert (content_refusal(character, {}) is None) == taken


def test_an_empty_body_is_refused(sqs, queue):
    said = refused(sqs.send_message, QueueUrl=queue, MessageBody="")
    assert said == ("MissingParameter", "The request must contain the parameter MessageBody.")


@pytest.mark.parametrize(
    ("attribute", "words"),
    [
        ({"DataType": "String", "StringValue": "a\0"}, "Invalid binary character '#x0' was found in the message"),
        ({"DataType": "String.path", "StringValue": "\uffff"}, "Invalid binary character '#xFFFF'"),
        ({"DataType": "String", "StringValue": ""}, "must contain a non-empty value of type 'String'"),
        ({"DataType": "Number", "StringValue": ""}, "must contain a non-empty value of type 'Number'"),
        ({"DataType": "Binary", "BinaryValue": b""}, "must contain a non-empty value of type 'Binary'"),
    ],
)
def test_an_attribute_with_such_a_character_or_without_a_value_is_refused(sqs, queue, attribute, words):
    code, message = refused(sqs.send_message, QueueUrl=queue, MessageBody="body", MessageAttributes={"name": attribute})
    assert code == "InvalidParameterValue" and words in message and "'name'" in message


def test_binary_attributes_hold_any_bytes(sqs, queue):
    attributes = {"raw": {"DataType": "Binary", "BinaryValue": b"\x00\xff\xfe"}}
    sqs.send_message(QueueUrl=queue, MessageBody="body", MessageAttributes=attributes)
    [message] = sqs.receive_message(QueueUrl=queue, MessageAttributeNames=["All"])["Messages"]
    assert message["MessageAttributes"] == attributes


def test_a_batch_reports_each_message_that_is_refused_and_takes_the_others(sqs, queue):
    attribute = {"name": {"DataType": "String", "StringValue": "\x01"}}
    entries = [
        {"Id": "good", "MessageBody": "good"},
        {"Id": "character", "MessageBody": "\uffff"},
        {"Id": "empty", "MessageBody": ""},
        {"Id": "attribute", "MessageBody": "body", "MessageAttributes": attribute},
        {"Id": "fine", "MessageBody": "fine"},
    ]
    answer = sqs.send_message_batch(QueueUrl=queue, Entries=entries)
    assert [each["Id"] for each in answer["Successful"]] == ["good", "fine"]
    assert [(each["Id"], each["Code"], each["SenderFault"]) for each in answer["Failed"]] == [
        ("character", "InvalidMessageContents", True),
        ("empty", "MissingParameter", True),
        ("attribute", "InvalidParameterValue", True),
    ]
    assert counts(sqs, queue) == (2, 0, 0)


# When it lets go


def test_a_message_is_gone_after_its_queues_retention_in_the_counts_too(cloud, sqs, queue):
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"MessageRetentionPeriod": str(2 * DAY)})
    sqs.send_message(QueueUrl=queue, MessageBody="old")
    cloud.clock.advance(DAY)
    sqs.send_message(QueueUrl=queue, MessageBody="young")
    cloud.clock.advance(DAY - 5)
    assert counts(sqs, queue) == (2, 0, 0)
    cloud.clock.advance(5)
    assert counts(sqs, queue) == (1, 0, 0)
    assert [each["Body"] for each in sqs.receive_message(QueueUrl=queue)["Messages"]] == ["young"]
    cloud.clock.advance(DAY)
    assert counts(sqs, queue) == (0, 0, 0)


def test_a_message_in_flight_is_gone_as_well_and_can_be_deleted_as_one_that_is_deleted(cloud, sqs, queue):
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"MessageRetentionPeriod": "60"})
    sqs.send_message(QueueUrl=queue, MessageBody="in flight")
    [message] = sqs.receive_message(QueueUrl=queue, VisibilityTimeout=3600)["Messages"]
    assert counts(sqs, queue) == (0, 1, 0)
    cloud.clock.advance(61)
    assert counts(sqs, queue) == (0, 0, 0)
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    cloud.clock.advance(3600)
    assert "Messages" not in sqs.receive_message(QueueUrl=queue)


def test_a_delayed_message_that_is_too_old_is_never_seen(cloud, sqs, queue):
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"MessageRetentionPeriod": "60"})
    sqs.send_message(QueueUrl=queue, MessageBody="late", DelaySeconds=120)
    assert counts(sqs, queue) == (0, 0, 1)
    cloud.clock.advance(121)
    assert counts(sqs, queue) == (0, 0, 0) and "Messages" not in sqs.receive_message(QueueUrl=queue)


def test_a_dead_letter_is_as_old_as_its_message(cloud, sqs):
    # "Configuring a dead-letter queue", SQS developer guide: of standard queues the enqueue timestamp stays
    queue, dead = cloud.queue("aged", visibility=0, receives=1)
    sqs.set_queue_attributes(QueueUrl=dead, Attributes={"MessageRetentionPeriod": str(2 * DAY)})
    sqs.send_message(QueueUrl=queue, MessageBody="poison")
    cloud.clock.advance(DAY)
    sqs.receive_message(QueueUrl=queue)
    cloud.clock.advance(1)
    assert "Messages" not in sqs.receive_message(QueueUrl=queue)
    assert counts(sqs, dead) == (1, 0, 0)
    cloud.clock.advance(DAY)
    assert counts(sqs, dead) == (0, 0, 0)


def test_what_is_too_old_is_in_no_metric_of_the_minutes_after(cloud, sqs, queue):
    name = queue.rsplit("/", 1)[1]
    metrics = Metrics(ACCOUNT, REGION, cloud.clock)
    patches = metrics.install()
    try:
        sqs.set_queue_attributes(QueueUrl=queue, Attributes={"MessageRetentionPeriod": "120"})
        cloud.clock.advance(60 - cloud.clock.now() % 60)
        sqs.send_message(QueueUrl=queue, MessageBody="old")
        cloud.clock.advance(300)
        metrics.write()  # nobody has looked at the queue meanwhile
    finally:
        patches.undo()
    seen = [
        each.max
        for each in cloudwatch_backends[ACCOUNT][REGION].metric_data
        if each.name == "ApproximateNumberOfMessagesVisible" and each.dimensions[0].value == name
    ]
    assert seen[-5:] == [1, 1, 0, 0, 0]


def test_receivers_at_once_move_each_message_to_the_dead_letters_once(cloud, impatient_threads):
    cloud.queue("crowd", visibility=0, receives=1)
    backend = sqs_backends[ACCOUNT][REGION]
    for number in range(500):
        backend.send_message("crowd", str(number))
    for message in backend.queues["crowd"]._messages:
        message.approximate_receive_count = 1
    cloud.clock.advance(0.01)
    with ThreadPoolExecutor(8) as receivers:
        for done in [receivers.submit(backend.receive_message, "crowd", 10, 0, 30) for _ in range(8)]:
            assert done.result() == []
    assert sorted(int(each.body) for each in backend.queues["crowd-dlq"]._messages) == list(range(500))


def test_a_message_ends_a_poll_that_waits_for_it(sqs, queue):
    began = time.monotonic()
    with ThreadPoolExecutor(1) as waiting:
        poll = waiting.submit(sqs.receive_message, QueueUrl=queue, WaitTimeSeconds=20)
        time.sleep(0.3)
        sqs.send_message(QueueUrl=queue, MessageBody="here")
        assert poll.result()["Messages"][0]["Body"] == "here"
    assert time.monotonic() - began < 15
