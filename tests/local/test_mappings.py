"""Event source mappings and schedules: polled under the function's role, as Lambda and EventBridge do it."""

import json
import time
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.mappings import batch_item_failures, sqs_record
from tests.local.lambda_cloud import LambdaCloud, arn_of, eventually, lambda_cloud

# Writes what it was given, fails the messages whose body says so.
WORKER = """
    import json, time
    def handler(event, context):
        bodies = [record["body"] for record in event["Records"]]
        print("GOT " + json.dumps(bodies))
        time.sleep(max([0.0] + [float(body.split()[1]) for body in bodies if body.startswith("sleep")]))
        if "crash" in bodies:
            raise RuntimeError("crash")
        failed = [record["messageId"] for record in event["Records"] if record["body"] == "fail"]
        return {"batchItemFailures": [{"itemIdentifier": each} for each in failed]}
    """


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    with lambda_cloud(tmp_path_factory.mktemp("home")) as made:
        yield made


def worker(cloud: LambdaCloud, name: str, source: str = WORKER, visibility: int = 60, receives: int = 3, **settings):
    """Queue, dead-letter queue and mapping of a function, all called `name`."""
    function = {key: settings.pop(key) for key in ("actions", "Timeout") if key in settings}
    cloud.function(name, source, **function)
    queue, dead = cloud.queue(name, visibility, receives)
    return queue, dead, cloud.mapping(name, name, **settings)


def batches(cloud: LambdaCloud, name: str) -> list[list[str]]:
    path = cloud.home / "logs" / f"{name}.log"
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line[4:]) for line in lines if line.startswith("GOT ")]


def send(cloud: LambdaCloud, queue: str, *bodies: str) -> None:
    sqs = cloud.client("sqs")
    for body in bodies:
        sqs.send_message(QueueUrl=queue, MessageBody=body)


def test_a_message_is_worked_on_and_deleted_under_the_functions_role(cloud):
    queue, dead, _ = worker(cloud, "plain")
    send(cloud, queue, "one")
    assert eventually(lambda: batches(cloud, "plain") == [["one"]])
    assert eventually(lambda: cloud.counts(queue) == (0, 0)) and cloud.counts(dead) == (0, 0)
    decided = {each.action for each in cloud.iam.decisions if each.role == "plain-role" and each.allowed}
    assert {"sqs:ReceiveMessage", "sqs:DeleteMessage"} <= decided


def test_a_message_ends_the_poll_that_waits_for_it(cloud, monkeypatch):
    monkeypatch.setattr("local.mappings._POLL_SECONDS", 20)
    queue, _, _ = worker(cloud, "quick")

    def worked_on(count: int) -> bool:
        return len(batches(cloud, "quick")) == count

    for count in (1, 2, 3):
        send(cloud, queue, "go")
        assert eventually(partial(worked_on, count), seconds=10)
        assert eventually(lambda: cloud.counts(queue) == (0, 0))


def test_the_record_has_exactly_awss_fields(cloud):
    source = "import json\ndef handler(event, context): print('EVENT ' + json.dumps(event))"
    queue, _, _ = worker(cloud, "shape", source)
    attributes = {
        "text": {"DataType": "String", "StringValue": "v"},
        "bytes": {"DataType": "Binary", "BinaryValue": b"\x00\x01"},
    }
    sent = cloud.client("sqs").send_message(QueueUrl=queue, MessageBody="body", MessageAttributes=attributes)
    assert eventually(lambda: cloud.counts(queue) == (0, 0))
    log = (cloud.home / "logs" / "shape.log").read_text()
    event = json.loads(next(line for line in log.splitlines() if line.startswith("EVENT "))[6:])
    assert list(event) == ["Records"] and len(event["Records"]) == 1
    record = event["Records"][0]
    assert set(record) == {
        "messageId", "receiptHandle", "body", "attributes", "messageAttributes", "md5OfBody", "md5OfMessageAttributes",
        "eventSource", "eventSourceARN", "awsRegion",
    }  # fmt: skip
    assert record["messageId"] == sent["MessageId"] and record["body"] == "body"
    assert record["eventSource"] == "aws:sqs" and record["eventSourceARN"] == arn_of("shape")
    assert record["md5OfBody"] == sent["MD5OfMessageBody"] and record["awsRegion"] == "us-west-2"
    assert set(record["attributes"]) == {
        "ApproximateReceiveCount", "SentTimestamp", "SenderId", "ApproximateFirstReceiveTimestamp",
    }  # fmt: skip
    assert record["messageAttributes"]["text"] == {
        "stringValue": "v", "stringListValues": [], "binaryListValues": [], "dataType": "String",
    }  # fmt: skip
    assert record["messageAttributes"]["bytes"]["binaryValue"] == "AAE="


def test_a_failed_message_is_redelivered_after_its_visibility_and_ends_in_the_dead_letter_queue(cloud):
    queue, dead, _ = worker(cloud, "failing", visibility=60, receives=2)
    send(cloud, queue, "crash")
    assert eventually(lambda: len(batches(cloud, "failing")) == 1)
    time.sleep(0.5)
    assert cloud.counts(queue) == (0, 1), "its visibility timeout must stay as it was"
    cloud.clock.advance(61)
    assert eventually(lambda: len(batches(cloud, "failing")) == 2)
    time.sleep(0.3)
    cloud.clock.advance(61)
    assert eventually(lambda: cloud.counts(dead) == (1, 0))
    assert len(batches(cloud, "failing")) == 2


def test_only_the_reported_messages_of_a_batch_come_back(cloud):
    queue, _, uuid = worker(cloud, "partial", BatchSize=10, Enabled=False)
    send(cloud, queue, "good", "fail", "also good")
    cloud.client("lambda").update_event_source_mapping(UUID=uuid, Enabled=True)
    assert eventually(lambda: batches(cloud, "partial"))
    assert eventually(lambda: cloud.counts(queue) == (0, 1))


def test_without_report_batch_item_failures_an_answer_deletes_everything(cloud):
    queue, _, _ = worker(cloud, "unreported", FunctionResponseTypes=[])
    send(cloud, queue, "fail")
    assert eventually(lambda: batches(cloud, "unreported")) and eventually(lambda: cloud.counts(queue) == (0, 0))


def test_a_batching_window_gathers_what_comes_within_it(cloud):
    queue, _, _ = worker(cloud, "window", BatchSize=100, MaximumBatchingWindowInSeconds=2)
    send(cloud, queue, *"abc")
    assert eventually(lambda: batches(cloud, "window"))
    assert sorted(batches(cloud, "window")[0]) == ["a", "b", "c"]


def test_a_full_batch_does_not_wait_for_its_window(cloud):
    queue, _, uuid = worker(cloud, "full", BatchSize=3, MaximumBatchingWindowInSeconds=60, Enabled=False)
    send(cloud, queue, *"abc")
    cloud.client("lambda").update_event_source_mapping(UUID=uuid, Enabled=True)
    assert eventually(lambda: [sorted(each) for each in batches(cloud, "full")] == [["a", "b", "c"]])


def test_maximum_concurrency_bounds_the_batches_at_work_and_burns_no_receives(cloud):
    queue, _, uuid = worker(cloud, "bounded", ScalingConfig={"MaximumConcurrency": 2}, Enabled=False)
    send(cloud, queue, *["sleep 0.6"] * 5)
    cloud.client("lambda").update_event_source_mapping(UUID=uuid, Enabled=True)
    most, waiting = 0, True
    limit = time.monotonic() + 15
    while waiting and time.monotonic() < limit:
        visible, in_flight = cloud.counts(queue)
        most, waiting = max(most, in_flight), bool(visible or in_flight)
        time.sleep(0.02)
    assert not waiting and most == 2 and len(batches(cloud, "bounded")) == 5


def test_a_throttled_message_burns_a_receive_and_can_end_dead_without_being_worked_on(cloud):
    queue, dead, uuid = worker(cloud, "throttled", receives=1)
    cloud.client("lambda").put_function_concurrency(FunctionName="throttled", ReservedConcurrentExecutions=0)
    send(cloud, queue, "never")
    status = lambda: cloud.client("lambda").get_event_source_mapping(UUID=uuid)["LastProcessingResult"]  # noqa: E731
    assert eventually(lambda: status() == "PROBLEM: Function call throttled")
    cloud.clock.advance(61)
    assert eventually(lambda: cloud.counts(dead) == (1, 0)) and batches(cloud, "throttled") == []


def test_a_disabled_mapping_takes_nothing_and_an_enabled_one_goes_on(cloud):
    queue, _, uuid = worker(cloud, "switched")
    lambdas = cloud.client("lambda")
    state = lambda: lambdas.get_event_source_mapping(UUID=uuid)["State"]  # noqa: E731
    assert eventually(lambda: state() == "Enabled")
    lambdas.update_event_source_mapping(UUID=uuid, Enabled=False)
    assert state() in ("Disabling", "Disabled") and eventually(lambda: state() == "Disabled")
    send(cloud, queue, "one")
    time.sleep(0.5)
    assert cloud.counts(queue) == (1, 0)
    lambdas.update_event_source_mapping(UUID=uuid, Enabled=True)
    assert eventually(lambda: batches(cloud, "switched") == [["one"]])


def test_a_deleted_mapping_takes_nothing_more(cloud):
    queue, _, uuid = worker(cloud, "deleted")
    cloud.client("lambda").delete_event_source_mapping(UUID=uuid)
    assert eventually(lambda: not any(each.alive for each in cloud.runtime.mappings._draining))
    send(cloud, queue, "one")
    time.sleep(0.4)
    assert cloud.counts(queue) == (1, 0)


def test_a_role_without_receive_is_refused_when_the_mapping_is_made(cloud):
    cloud.queue("unreadable")
    cloud.function("unreadable", WORKER, actions=["sqs:DeleteMessage", "sqs:GetQueueAttributes"])
    with pytest.raises(ClientError, match=r"InvalidParameterValue.*permissions to call ReceiveMessage on SQS"):
        cloud.mapping("unreadable", "unreadable")


def test_a_role_that_loses_its_permission_stops_the_mapping_and_says_so(cloud):
    queue, _, uuid = worker(cloud, "revoked")
    cloud.client("iam").delete_role_policy(RoleName="revoked-role", PolicyName="own")
    result = lambda: cloud.client("lambda").get_event_source_mapping(UUID=uuid)["LastProcessingResult"]  # noqa: E731
    assert eventually(lambda: "AccessDenied" in result() and "sqs:receivemessage" in result().lower())
    send(cloud, queue, "one")
    time.sleep(0.4)
    assert cloud.counts(queue) == (1, 0)


def test_a_visibility_below_the_functions_timeout_is_refused(cloud):
    cloud.queue("short", visibility=5)
    cloud.function("short", WORKER, Timeout=10)
    message = "Queue visibility timeout: 5 seconds is less than Function timeout: 10 seconds"
    with pytest.raises(ClientError, match=message):
        cloud.mapping("short", "short")


def test_a_second_mapping_of_the_same_queue_and_function_is_refused(cloud):
    worker(cloud, "twice")
    with pytest.raises(ClientError, match="ResourceConflictException"):
        cloud.mapping("twice", "twice")


@pytest.mark.parametrize(
    ("payload", "failed"),
    [
        (b"null", set()),
        (b"{}", set()),
        (b'{"batchItemFailures": []}', set()),
        (b'{"batchItemFailures": null}', set()),
        (b'{"batchItemFailures": [{"itemIdentifier": "a"}]}', {"a"}),
        (b'{"batchItemFailures": [{"itemIdentifier": ""}]}', None),
        (b'{"batchItemFailures": [{"itemIdentifier": null}]}', None),
        (b'{"batchItemFailures": [{"id": "a"}]}', None),
        (b'{"batchItemFailures": [{"itemIdentifier": "unknown"}]}', None),
        (b'{"batchItemFailures": "a"}', None),
        (b'"done"', None),
        (b"not json", None),
    ],
)
def test_a_batch_response_is_read_as_lambda_reads_it(payload, failed):
    # https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
    assert batch_item_failures(payload, {"a", "b"}) == failed


def test_a_message_without_attributes_has_none_of_their_fields():
    message = {"MessageId": "1", "ReceiptHandle": "r", "Body": "b", "MD5OfBody": "m", "Attributes": {}}
    record = sqs_record(message, arn_of("q"), "us-west-2")
    assert record["messageAttributes"] == {} and "md5OfMessageAttributes" not in record


def rule(cloud: LambdaCloud, name: str, permission: bool, **target) -> str:
    events, function = cloud.client("events"), f"arn:aws:lambda:us-west-2:123456789012:function:{name}"
    arn = events.put_rule(Name=name, ScheduleExpression="rate(5 minutes)")["RuleArn"]
    events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": function} | target])
    if permission:
        cloud.client("lambda").add_permission(
            FunctionName=name,
            StatementId="rule",
            Action="lambda:InvokeFunction",
            Principal="events.amazonaws.com",
            SourceArn=arn,
        )
    return str(arn)


def occurrences(cloud: LambdaCloud, name: str) -> list[dict[str, Any]]:
    path = cloud.home / "logs" / f"{name}.log"
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line[6:]) for line in lines if line.startswith("EVENT ")]


PRINTS_EVENT = "import json\ndef handler(event, context): print('EVENT ' + json.dumps(event))"


def test_a_schedule_runs_its_function_once_each_time_the_clock_passes_it(cloud):
    cloud.function("sweeping", PRINTS_EVENT)
    arn = rule(cloud, "sweeping", permission=True)
    time.sleep(0.8)
    assert occurrences(cloud, "sweeping") == []
    for count in (1, 2):
        cloud.clock.advance(300)
        assert eventually(partial(lambda wanted: len(occurrences(cloud, "sweeping")) == wanted, count))
    time.sleep(0.8)
    first = occurrences(cloud, "sweeping")[0]
    assert len(occurrences(cloud, "sweeping")) == 2
    assert first["source"] == "aws.events" and first["detail-type"] == "Scheduled Event"
    assert first["resources"] == [arn] and first["detail"] == {}
    cloud.client("events").disable_rule(Name="sweeping")
    time.sleep(0.8)
    cloud.clock.advance(900)
    time.sleep(0.8)
    assert len(occurrences(cloud, "sweeping")) == 2


def test_a_target_may_have_an_input_of_its_own(cloud):
    cloud.function("fixed", PRINTS_EVENT)
    rule(cloud, "fixed", permission=True, Input='{"sweep": true}')
    time.sleep(0.8)
    cloud.clock.advance(300)
    assert eventually(lambda: occurrences(cloud, "fixed") == [{"sweep": True}])


def test_a_rule_without_the_functions_permission_does_not_run_it(cloud):
    cloud.function("unpermitted", PRINTS_EVENT)
    rule(cloud, "unpermitted", permission=False)
    time.sleep(0.8)
    cloud.clock.advance(300)
    refused = lambda: [each for each in cloud.iam.decisions if each.role == "events.amazonaws.com" and not each.allowed]  # noqa: E731
    assert eventually(refused)
    assert not eventually(lambda: cloud.runtime.processes("unpermitted"), seconds=1.5)


def test_stop_ends_the_pollers(tmp_path):
    with lambda_cloud(tmp_path) as made:
        worker(made, "ending")
        pollers = list(made.runtime.mappings._pollers.values())
    assert pollers and not any(each.alive for each in pollers)
