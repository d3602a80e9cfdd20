"""AWS's limits, refused with AWS's error to whoever calls the embedded cloud itself, without a driver in between."""

import pytest
from botocore.exceptions import ClientError

from local import sqs as local_sqs
from local.sqs import message_size
from tests.local.lambda_cloud import LambdaCloud, arn_of, lambda_cloud

SOURCE = "def handler(event, context): return None"
WINDOW = "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10"
ENVIRONMENT = "exceeded the 4KB limit"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    patches = local_sqs.install()
    with lambda_cloud(tmp_path_factory.mktemp("home")) as made:
        yield made
    patches.undo()


@pytest.fixture(scope="module")
def fed(cloud: LambdaCloud) -> str:
    """UUID of a mapping from the queue `fed`, 60 seconds invisible, to the function `fed`, which takes 10."""
    cloud.function("fed", SOURCE)
    cloud.queue("fed")
    return cloud.mapping("fed", "fed", Enabled=False)


@pytest.fixture(scope="module")
def narrow(cloud: LambdaCloud) -> str:
    """URL of a queue that takes messages of 1,024 bytes."""
    attributes = {"MaximumMessageSize": "1024"}
    return str(cloud.client("sqs").create_queue(QueueName="narrow", Attributes=attributes)["QueueUrl"])


def refused(error: pytest.ExceptionInfo[ClientError], code: str, message: str) -> None:
    answer = error.value.response
    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == (code, 400)
    assert message in answer["Error"]["Message"]


def variables(size: int) -> dict[str, dict[str, str]]:
    """One variable; its JSON, `{"A":"…"}`, is `size` bytes long."""
    return {"Variables": {"A": "x" * (size - len('{"A":""}'))}}


def test_a_function_may_have_4_kb_of_environment(cloud: LambdaCloud):
    cloud.function("full", SOURCE, Environment=variables(4096))
    assert cloud.client("lambda").get_function_configuration(FunctionName="full")["Environment"] == variables(4096)


def test_a_function_with_more_than_4_kb_of_environment_is_not_made(cloud: LambdaCloud):
    with pytest.raises(ClientError) as error:
        cloud.function("overfull", SOURCE, Environment=variables(4097))
    refused(error, "InvalidParameterValueException", ENVIRONMENT)
    assert "xxx" not in str(error.value)
    with pytest.raises(ClientError, match="Function not found"):
        cloud.client("lambda").get_function(FunctionName="overfull")


@pytest.mark.parametrize(
    ("setting", "code", "message"),
    [
        ({"Environment": variables(4097)}, "InvalidParameterValueException", ENVIRONMENT),
        (
            {"Environment": {"Variables": {"AWS_REGION": "x"}}},
            "InvalidParameterValueException",
            "Reserved keys used in this request: AWS_REGION",
        ),
        ({"Timeout": 901}, "ValidationException", "'901' at 'timeout'"),
        ({"MemorySize": 10_241}, "ValidationException", "'10241' at 'memorySize'"),
    ],
    ids=["environment", "reserved variable", "timeout", "memory"],
)
def test_a_function_is_not_configured_beyond_lambdas_limits(cloud: LambdaCloud, fed: str, setting, code, message):
    client = cloud.client("lambda")
    before = client.get_function_configuration(FunctionName="fed")
    with pytest.raises(ClientError) as error:
        client.update_function_configuration(FunctionName="fed", **setting)
    refused(error, code, message)
    after = client.get_function_configuration(FunctionName="fed")
    assert (after.get("Environment"), after["Timeout"]) == (before.get("Environment"), before["Timeout"])


BEYOND = [
    ({"BatchSize": 11}, "InvalidParameterValueException", WINDOW),
    ({"BatchSize": 11, "MaximumBatchingWindowInSeconds": 0}, "InvalidParameterValueException", WINDOW),
    ({"BatchSize": 10_001, "MaximumBatchingWindowInSeconds": 1}, "ValidationException", "at 'batchSize'"),
    ({"MaximumBatchingWindowInSeconds": 301}, "ValidationException", "at 'maximumBatchingWindowInSeconds'"),
    ({"ScalingConfig": {"MaximumConcurrency": 1001}}, "ValidationException", "at 'maximumConcurrency'"),
]


@pytest.mark.parametrize(("setting", "code", "message"), BEYOND)
def test_a_mapping_beyond_lambdas_limits_is_not_made(cloud: LambdaCloud, fed: str, setting, code, message):
    client = cloud.client("lambda")
    cloud.client("sqs").create_queue(QueueName="unfed", Attributes={"VisibilityTimeout": "60"})
    with pytest.raises(ClientError) as error:
        client.create_event_source_mapping(EventSourceArn=arn_of("unfed"), FunctionName="fed", **setting)
    refused(error, code, message)
    assert client.list_event_source_mappings(EventSourceArn=arn_of("unfed"))["EventSourceMappings"] == []


@pytest.mark.parametrize(("setting", "code", "message"), BEYOND)
def test_a_mapping_is_not_changed_beyond_lambdas_limits(cloud: LambdaCloud, fed: str, setting, code, message):
    client = cloud.client("lambda")
    before = client.get_event_source_mapping(UUID=fed)
    with pytest.raises(ClientError) as error:
        client.update_event_source_mapping(UUID=fed, **setting)
    refused(error, code, message)
    assert client.get_event_source_mapping(UUID=fed)["BatchSize"] == before["BatchSize"]


def test_a_window_taken_from_a_large_batch_is_refused(cloud: LambdaCloud, fed: str):
    client = cloud.client("lambda")
    client.update_event_source_mapping(UUID=fed, BatchSize=11, MaximumBatchingWindowInSeconds=1)
    with pytest.raises(ClientError) as error:
        client.update_event_source_mapping(UUID=fed, MaximumBatchingWindowInSeconds=0)
    refused(error, "InvalidParameterValueException", WINDOW)
    client.update_event_source_mapping(UUID=fed, BatchSize=1, MaximumBatchingWindowInSeconds=0)


def test_a_mapping_to_a_function_that_takes_longer_than_its_queue_hides_is_refused(cloud: LambdaCloud, fed: str):
    cloud.function("long", SOURCE, Timeout=61)
    message = "Queue visibility timeout: 60 seconds is less than Function timeout: 61 seconds"
    with pytest.raises(ClientError) as error:
        cloud.mapping("fed", "long")
    refused(error, "InvalidParameterValueException", message)
    with pytest.raises(ClientError) as error:
        cloud.client("lambda").update_event_source_mapping(UUID=fed, FunctionName="long")
    refused(error, "InvalidParameterValueException", message)


ATTRIBUTES = {"n": {"DataType": "String", "StringValue": "v" * 100}, "b": {"DataType": "Binary", "BinaryValue": b"123"}}


def test_a_message_is_counted_in_bytes_with_its_attributes():
    assert message_size("aé", {}) == 3
    assert message_size("", ATTRIBUTES) == len("nString") + 100 + len("bBinary") + 3


@pytest.mark.parametrize("attributes", [{}, ATTRIBUTES], ids=["body", "attributes"])
@pytest.mark.parametrize("letter", ["a", "é"])
def test_a_message_as_large_as_its_queue_takes_is_sent_and_one_byte_more_is_not(
    cloud: LambdaCloud, narrow: str, letter, attributes
):
    client = cloud.client("sqs")
    room = 1024 - message_size("", attributes)
    body = letter * (room // len(letter.encode()))
    body += "." * (room - len(body.encode()))
    client.send_message(QueueUrl=narrow, MessageBody=body, MessageAttributes=attributes)
    with pytest.raises(ClientError) as error:
        client.send_message(QueueUrl=narrow, MessageBody=body + ".", MessageAttributes=attributes)
    refused(error, "InvalidParameterValue", "Message must be shorter than 1024 bytes")


def test_no_message_of_a_batch_with_one_too_large_is_sent(cloud: LambdaCloud, narrow: str):
    client = cloud.client("sqs")
    client.purge_queue(QueueUrl=narrow)
    entries = [{"Id": "a", "MessageBody": "x"}, {"Id": "b", "MessageBody": "é" * 513}]
    with pytest.raises(ClientError) as error:
        client.send_message_batch(QueueUrl=narrow, Entries=entries)
    refused(error, "InvalidParameterValue", "Message must be shorter than 1024 bytes")
    assert cloud.counts(narrow) == (0, 0)


def test_a_batch_of_more_than_1_mib_is_refused(cloud: LambdaCloud):
    client = cloud.client("sqs")
    url = client.create_queue(QueueName="wide")["QueueUrl"]
    halves = [{"Id": name, "MessageBody": "é" * 2**18} for name in ("a", "b")]
    client.send_message_batch(QueueUrl=url, Entries=halves)
    with pytest.raises(ClientError) as error:
        client.send_message_batch(QueueUrl=url, Entries=[*halves, {"Id": "c", "MessageBody": "x"}])
    refused(error, "AWS.SimpleQueueService.BatchRequestTooLong", "1048577 bytes")
