"""Metrics and alarms of the embedded cloud, over its HTTP endpoint: each trap of SQS's metrics by itself."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.moto_api._internal.models import moto_api_backend

from local import sqs as local_sqs
from local.background import Background
from local.clock import Clock
from local.credentials import Credentials
from local.iam import Iam
from local.invocation import Throttled
from local.metrics import ACTIVE_SECONDS, KEPT_SECONDS, Metrics
from local.monitoring import Monitoring
from local.moto_server import MotoServer, install_clock
from tests.local.lambda_cloud import lambda_cloud

ACCOUNT, REGION = "123456789012", "us-west-2"
ALARM: dict[str, Any] = {
    "AlarmName": "dead-letters",
    "Namespace": "AWS/SQS",
    "MetricName": "ApproximateNumberOfMessagesVisible",
    "Dimensions": [{"Name": "QueueName", "Value": "books-dlq"}],
    "Statistic": "Maximum",
    "ComparisonOperator": "GreaterThanOrEqualToThreshold",
    "Threshold": 1.0,
    "Period": 60,
    "EvaluationPeriods": 1,
    "TreatMissingData": "ignore",
}
LET_IN = {"Effect": "Allow", "Principal": {"Service": "cloudwatch.amazonaws.com"}, "Resource": "*"}


class Watched:
    """A cloud of queues and alarms alone; `minutes` lets time pass and the monitoring work, without its thread."""

    def __init__(self, home: Path, endpoint: str, clock: Clock, iam: Iam, admin: Credentials) -> None:
        self.clock, self.iam, self.admin, self.endpoint = clock, iam, admin, endpoint
        self.log = home / "alarms.log"
        self.monitoring = Monitoring(ACCOUNT, REGION, iam, clock, self.log, background=Background(home, clock.now))
        self.monitoring.install()

    def client(self, service: str, credentials: Credentials | None = None) -> Any:
        used = credentials or self.admin
        return boto3.client(  # type: ignore[call-overload]
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=used.access_key_id,
            aws_secret_access_key=used.secret_access_key,
            aws_session_token=used.session_token,
        )

    def minutes(self, count: float = 1) -> None:
        self.clock.advance(count * 60)
        self.monitoring.tick()

    def queue(self, name: str = "books", receives: int = 5) -> tuple[str, str]:
        sqs = self.client("sqs")
        dead = sqs.create_queue(QueueName=f"{name}-dlq")["QueueUrl"]
        arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}-dlq"
        redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": receives})
        attributes = {"RedrivePolicy": redrive, "VisibilityTimeout": "0"}
        return sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"], dead

    def values(self, metric: str, queue: str = "books", stat: str = "Maximum", back: float = 60) -> list[float]:
        """A metric's values over the last `back` minutes, the oldest first."""
        query = {
            "Id": "m",
            "MetricStat": {
                "Metric": {
                    "Namespace": "AWS/SQS",
                    "MetricName": metric,
                    "Dimensions": [{"Name": "QueueName", "Value": queue}],
                },
                "Period": 60,
                "Stat": stat,
            },
        }
        end = self.clock.utcnow()
        answer = self.client("cloudwatch").get_metric_data(
            MetricDataQueries=[query],
            StartTime=end - timedelta(minutes=back),
            EndTime=end,
            ScanBy="TimestampAscending",
        )
        return list(answer["MetricDataResults"][0]["Values"])

    def receive(self, url: str, times: int = 1, **settings: Any) -> list[Any]:
        found: list[Any] = []
        for _ in range(times):
            found += self.client("sqs").receive_message(QueueUrl=url, **settings).get("Messages", [])
            self.clock.advance(0.01)  # a message is visible only once the moment has passed
        return found

    def dead_letter(self, url: str, receives: int) -> None:
        """Send a message and receive it until the queue gives it up."""
        self.client("sqs").send_message(QueueUrl=url, MessageBody="poison")
        self.clock.advance(0.01)
        assert len(self.receive(url, receives)) == receives
        assert self.receive(url) == []

    def state(self, name: str = "dead-letters") -> tuple[str, str]:
        alarm = self.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"][0]
        return alarm["StateValue"], alarm["StateReason"]


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    moto_api_backend.reset()
    clock = Clock()
    clock.advance(60 - clock.now() % 60)  # begin with a minute, so that one test does not straddle two
    admin = Credentials.new("AKIA", session=False)
    iam = Iam(ACCOUNT, REGION, admin, clock)
    patches = [install_clock(clock), iam.install(), local_sqs.install()]
    server = MotoServer(0)
    cloud = Watched(tmp_path, server.endpoint, clock, iam, admin)
    try:
        yield cloud
    finally:
        cloud.monitoring.stop()
        server.stop()
        for each in reversed(patches):
            each.undo()
        moto_api_backend.reset()


def test_what_is_sent_received_and_deleted_is_counted_in_its_minute(watched: Watched) -> None:
    url, _ = watched.queue()
    entries = [{"Id": str(each), "MessageBody": "x"} for each in range(3)]
    watched.client("sqs").send_message_batch(QueueUrl=url, Entries=entries)
    watched.clock.advance(0.01)
    got = watched.receive(url, MaxNumberOfMessages=10, VisibilityTimeout=30)
    watched.client("sqs").delete_message(QueueUrl=url, ReceiptHandle=got[0]["ReceiptHandle"])
    watched.receive(url)
    watched.minutes()
    watched.minutes()
    assert watched.values("NumberOfMessagesSent", stat="Sum") == [3, 0]
    assert watched.values("NumberOfMessagesReceived", stat="Sum") == [3, 0]
    assert watched.values("NumberOfMessagesDeleted", stat="Sum") == [1, 0]
    assert watched.values("NumberOfEmptyReceives", stat="Sum") == [1, 0]


def test_depths_are_told_apart_and_only_reported_where_there_are_such_messages(watched: Watched) -> None:
    url, _ = watched.queue()
    sqs = watched.client("sqs")
    for delay in (0, 0, 900):
        sqs.send_message(QueueUrl=url, MessageBody="x", DelaySeconds=delay)
    watched.clock.advance(0.01)
    watched.receive(url, VisibilityTimeout=600)
    watched.minutes()
    names = ["Visible", "NotVisible", "Delayed"]
    assert [watched.values(f"ApproximateNumberOfMessages{name}") for name in names] == [[1], [1], [1]]
    watched.minutes(20)
    assert watched.values("ApproximateNumberOfMessagesVisible", back=1) == [3]
    assert watched.values("ApproximateNumberOfMessagesNotVisible", back=1) == []


def test_a_jump_of_the_clock_leaves_no_gap_and_sees_each_minute_as_it_was(watched: Watched) -> None:
    url, _ = watched.queue()
    watched.client("sqs").send_message(QueueUrl=url, MessageBody="x", DelaySeconds=150)
    watched.minutes(5)
    assert watched.values("ApproximateNumberOfMessagesVisible") == [0, 0, 1, 1, 1]
    assert watched.values("ApproximateAgeOfOldestMessage") == [59, 119, 179, 239, 299]


def test_a_message_received_three_times_leaves_the_age_and_the_next_one_takes_its_place(watched: Watched) -> None:
    url, _ = watched.queue()
    watched.client("sqs").send_message(QueueUrl=url, MessageBody="poison")
    watched.clock.advance(0.01)
    watched.receive(url, 2)
    watched.minutes(2)
    watched.client("sqs").send_message(QueueUrl=url, MessageBody="good", DelaySeconds=600)
    assert watched.values("ApproximateAgeOfOldestMessage", back=1) == [119]
    watched.receive(url)
    watched.minutes()
    assert watched.values("ApproximateAgeOfOldestMessage", back=1) == [59]
    assert watched.values("ApproximateNumberOfMessagesVisible", back=1) == [1]


def test_a_dead_letter_is_as_old_as_its_move_and_leaves_the_age_only_after_three_receives_there(
    watched: Watched,
) -> None:
    url, dead = watched.queue(receives=4)
    watched.client("sqs").send_message(QueueUrl=url, MessageBody="poison")
    watched.minutes(30)
    assert len(watched.receive(url, 4)) == 4
    watched.receive(url)
    watched.minutes()
    assert watched.values("ApproximateAgeOfOldestMessage", "books-dlq", back=1) == [59]
    watched.receive(dead, 3, VisibilityTimeout=0)
    watched.minutes()
    assert watched.values("ApproximateAgeOfOldestMessage", "books-dlq", back=1) == []
    assert watched.values("ApproximateNumberOfMessagesVisible", "books-dlq", back=1) == [1]


def test_what_the_queue_moves_to_its_dead_letters_is_not_counted_as_sent_there(watched: Watched) -> None:
    url, dead = watched.queue(receives=1)
    watched.dead_letter(url, 1)
    watched.client("sqs").send_message(QueueUrl=dead, MessageBody="by hand")
    watched.minutes()
    assert watched.values("ApproximateNumberOfMessagesVisible", "books-dlq") == [2]
    assert watched.values("NumberOfMessagesSent", "books-dlq", stat="Sum") == [1]


def test_a_queue_that_nobody_touches_for_six_hours_emits_nothing_until_somebody_does(watched: Watched) -> None:
    url, _ = watched.queue()
    watched.minutes(ACTIVE_SECONDS / 60 + 1)
    assert watched.values("ApproximateNumberOfMessagesVisible", back=1) == [0]
    watched.minutes(10)
    assert watched.values("ApproximateNumberOfMessagesVisible", back=10) == []
    watched.client("sqs").get_queue_attributes(QueueUrl=url)
    watched.minutes()
    assert watched.values("ApproximateNumberOfMessagesVisible", back=1) == [0]


def test_datapoints_older_than_three_hours_are_dropped(watched: Watched) -> None:
    watched.queue()
    watched.minutes(60)
    watched.minutes(24 * 60)
    kept = int(KEPT_SECONDS / 60)
    assert len(watched.values("ApproximateNumberOfMessagesVisible", back=30 * 60)) == 0
    watched.queue("other")
    watched.minutes(300)
    assert len(watched.values("ApproximateNumberOfMessagesVisible", "other", back=30 * 60)) == kept


def test_a_role_gets_many_metrics_in_one_call_and_needs_the_permission(watched: Watched) -> None:
    iam = watched.client("iam")
    for name in ("may", "may-not"):
        trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy)
    allow = {"Effect": "Allow", "Action": "cloudwatch:GetMetricData", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    iam.put_role_policy(RoleName="may", PolicyName="own", PolicyDocument=document)
    for index in range(4):
        url, _ = watched.queue(f"q{index}")
        for _ in range(index):
            watched.client("sqs").send_message(QueueUrl=url, MessageBody="x")
    watched.minutes(2)
    watched.client("cloudwatch").put_metric_data(  # another namespace's metric of the same name and dimensions
        Namespace="Own",
        MetricData=[
            {
                "MetricName": "NumberOfMessagesSent",
                "Dimensions": [{"Name": "QueueName", "Value": "q3"}],
                "Value": 100,
                "Timestamp": watched.clock.utcnow() - timedelta(minutes=1),
            }
        ],
    )
    queries = [
        {
            "Id": f"m{index}",
            "MetricStat": {
                "Metric": {
                    "Namespace": "AWS/SQS",
                    "MetricName": "NumberOfMessagesSent",
                    "Dimensions": [{"Name": "QueueName", "Value": f"q{index}"}],
                },
                "Period": period,
                "Stat": stat,
            },
        }
        for index, period, stat in [(0, 60, "Sum"), (1, 300, "Sum"), (2, 60, "Maximum"), (3, 300, "Maximum")]
    ]
    end = watched.clock.utcnow()
    span = {"StartTime": end - timedelta(minutes=5), "EndTime": end}

    def ask(role: str) -> Any:
        credentials = watched.iam.mint(f"arn:aws:iam::{ACCOUNT}:role/{role}")
        return watched.client("cloudwatch", credentials).get_metric_data(MetricDataQueries=queries, **span)

    results = {each["Id"]: each for each in ask("may")["MetricDataResults"]}
    assert {name: each["Values"] for name, each in results.items()} == {
        "m0": [0, 0],
        "m1": [1],
        "m2": [0, 2],
        "m3": [3],
    }
    newest = results["m2"]["Timestamps"][0]
    assert newest == datetime.fromtimestamp(watched.clock.now() // 60 * 60 - 60, UTC)
    with pytest.raises(ClientError, match=r"AccessDenied.*cloudwatch:GetMetricData"):
        ask("may-not")


def test_invocations_errors_throttles_and_durations_are_lambdas_at_the_minute_of_their_start(tmp_path: Path) -> None:
    source = """
        import time

        def handler(event, context):
            time.sleep(event["sleep"])
            return 1 / event["by"]
    """
    with lambda_cloud(tmp_path, concurrency=1) as cloud:
        cloud.clock.advance(60 - cloud.clock.now() % 60)
        metrics = cloud.runtime._metrics = Metrics(ACCOUNT, REGION, cloud.clock)
        cloud.function("divider", source)
        start = cloud.clock.utcnow()
        cloud.runtime.invoke("divider", {"by": 1, "sleep": 0.2})
        assert cloud.runtime.invoke("divider", {"by": 0, "sleep": 0}).function_error
        cloud.client("lambda").put_function_concurrency(FunctionName="divider", ReservedConcurrentExecutions=0)
        with pytest.raises(Throttled):
            cloud.runtime.invoke("divider", {"by": 1, "sleep": 0})
        metrics.invoked("divider", cloud.clock.now(), 300.0, failed=True)  # began in this minute, ends in the sixth
        cloud.clock.advance(360)
        metrics.write()

        def values(metric: str, stat: str) -> list[float]:
            answer = cloud.client("cloudwatch").get_metric_statistics(
                Namespace="AWS/Lambda",
                MetricName=metric,
                Dimensions=[{"Name": "FunctionName", "Value": "divider"}],
                StartTime=start - timedelta(minutes=1),
                EndTime=start + timedelta(minutes=1),
                Period=60,
                Statistics=[stat],
            )
            return [each[stat] for each in answer["Datapoints"]]

        assert values("Invocations", "Sum") == [3]
        assert values("Errors", "Sum") == [2]
        assert values("Throttles", "Sum") == [1]
        assert values("ConcurrentExecutions", "Maximum") == [1]
        assert values("Duration", "Maximum") == [300_000]
        (shortest,) = values("Duration", "Minimum")
        assert 0 < shortest < 200


def test_a_new_alarm_knows_nothing_and_a_changed_one_keeps_its_state(watched: Watched) -> None:
    url, _ = watched.queue(receives=1)
    cloudwatch = watched.client("cloudwatch")
    cloudwatch.put_metric_alarm(**ALARM)
    assert watched.state() == ("INSUFFICIENT_DATA", "Unchecked: Initial alarm creation")
    watched.dead_letter(url, 1)
    watched.minutes()
    assert watched.state()[0] == "ALARM"
    cloudwatch.put_metric_alarm(**ALARM | {"AlarmDescription": "changed"})
    assert watched.state()[0] == "ALARM"


def test_a_dead_letter_alarms_and_its_alarm_ends_only_when_the_queue_is_seen_empty(watched: Watched) -> None:
    url, dead = watched.queue(receives=1)
    watched.client("cloudwatch").put_metric_alarm(**ALARM)
    watched.minutes()
    assert watched.state()[0] == "OK"
    watched.dead_letter(url, 1)
    watched.minutes()
    state, reason = watched.state()
    assert state == "ALARM" and "[1.0 (" in reason
    watched.minutes(8 * 60)  # idle: nothing is reported, and that must not end the alarm
    assert watched.state()[0] == "ALARM"
    watched.client("sqs").purge_queue(QueueUrl=dead)
    watched.minutes()
    assert watched.state()[0] == "OK"


def test_an_alarm_on_a_dimension_that_is_none_never_goes_off(watched: Watched) -> None:
    url, _ = watched.queue(receives=1)
    wrong = [{"Name": "QueueName", "Value": "books_dlq"}]
    watched.client("cloudwatch").put_metric_alarm(**ALARM | {"Dimensions": wrong, "TreatMissingData": "notBreaching"})
    watched.dead_letter(url, 1)
    watched.minutes()
    state, reason = watched.state()
    assert state == "OK" and "no datapoints were received" in reason


def test_an_alarm_of_another_form_is_refused_by_name_in_the_log_once(watched: Watched) -> None:
    watched.client("cloudwatch").put_metric_alarm(**ALARM | {"ComparisonOperator": "LessThanOrEqualToThreshold"})
    watched.minutes()
    watched.minutes()
    lines = watched.log.read_text().splitlines()
    assert len(lines) == 1
    assert "NOT EVALUATED dead-letters" in lines[0] and "ComparisonOperator is LessThanOrEqualToThreshold" in lines[0]


def topic_with(watched: Watched, *, policy: bool = True, key: bool | None = None, email: bool = True) -> str:
    """A topic, which lets CloudWatch in or not, with or without a key, which lets CloudWatch in or not."""
    sns = watched.client("sns")
    attributes = {}
    if key is not None:
        root = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "kms:*"}
        statements = [root | {"Resource": "*"}, LET_IN | {"Action": ["kms:Decrypt", "kms:GenerateDataKey*"]}]
        document = json.dumps({"Version": "2012-10-17", "Statement": statements if key else statements[:1]})
        attributes["KmsMasterKeyId"] = watched.client("kms").create_key(Policy=document)["KeyMetadata"]["Arn"]
    arn = sns.create_topic(Name="alarms", Attributes=attributes)["TopicArn"]
    tls = {"Effect": "Deny", "Principal": "*", "Action": "sns:Publish", "Resource": arn}
    tls |= {"Condition": {"Bool": {"aws:SecureTransport": "false"}}}
    statements = [tls, LET_IN | {"Action": "sns:Publish", "Resource": arn}] if policy else [tls]
    document = json.dumps({"Version": "2012-10-17", "Statement": statements})
    sns.set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=document)
    if email:
        sns.subscribe(TopicArn=arn, Protocol="email", Endpoint="ops@example.org")
    return str(arn)


def go_off(watched: Watched, **settings: Any) -> list[tuple[str, str, str]]:
    """Outcome, receiver and detail of each delivery of one alarm."""
    url, _ = watched.queue(receives=1)
    watched.client("cloudwatch").put_metric_alarm(**ALARM | settings)
    watched.dead_letter(url, 1)
    watched.minutes()
    assert watched.state()[0] == "ALARM"
    return [(each.outcome, each.to, each.detail) for each in watched.monitoring.actions.deliveries]


@pytest.mark.parametrize("key", [None, True], ids=["plain", "encrypted"])
def test_an_address_outside_is_recorded_and_the_log_says_that_nothing_is_sent(watched: Watched, key) -> None:
    ((outcome, to, detail),) = go_off(watched, AlarmActions=[topic_with(watched, key=key)])
    assert (outcome, to) == ("recorded", "email:ops@example.org")
    assert "NOT SENT" in detail and "not confirmed" in detail
    assert "NOT SENT" in watched.log.read_text()


def test_an_alarm_without_an_action_tells_nobody_and_says_so(watched: Watched) -> None:
    assert go_off(watched) == [("failed", "", "it has no action for ALARM, nobody is told")]


def test_an_alarm_with_disabled_actions_tells_nobody_and_says_so(watched: Watched) -> None:
    told = go_off(watched, AlarmActions=[topic_with(watched)], ActionsEnabled=False)
    assert told == [("failed", "", "its actions are disabled, nobody is told")]


def test_a_topic_without_a_subscriber_is_told_of(watched: Watched) -> None:
    arn = topic_with(watched, email=False)
    assert go_off(watched, AlarmActions=[arn]) == [("failed", arn, "the topic has no subscriber, nobody is told")]


def test_a_topic_that_is_gone_is_told_of(watched: Watched) -> None:
    arn = f"arn:aws:sns:{REGION}:{ACCOUNT}:gone"
    assert go_off(watched, AlarmActions=[arn]) == [("failed", arn, "there is no such topic")]


def test_a_topic_policy_without_cloudwatch_keeps_it_out(watched: Watched) -> None:
    ((outcome, _, detail),) = go_off(watched, AlarmActions=[topic_with(watched, policy=False)])
    assert outcome == "failed"
    assert "the topic's policy does not let cloudwatch.amazonaws.com in: sns:Publish" in detail


def test_a_key_policy_without_cloudwatch_keeps_it_out_of_an_encrypted_topic(watched: Watched) -> None:
    ((outcome, _, detail),) = go_off(watched, AlarmActions=[topic_with(watched, key=False)])
    assert outcome == "failed"
    assert "the policy of the topic's key does not let cloudwatch.amazonaws.com in: kms:GenerateDataKey" in detail


def test_the_key_that_aws_manages_for_sns_keeps_cloudwatch_out(watched: Watched) -> None:
    arn = topic_with(watched)
    watched.client("sns").set_topic_attributes(
        TopicArn=arn, AttributeName="KmsMasterKeyId", AttributeValue="alias/aws/sns"
    )
    ((outcome, _, detail),) = go_off(watched, AlarmActions=[arn])
    assert outcome == "failed" and "alias/aws/sns is AWS's own, whose policy does not let" in detail


def test_a_queue_that_subscribes_gets_cloudwatchs_message_where_its_policy_lets_sns_in(watched: Watched) -> None:
    sqs, arn = watched.client("sqs"), topic_with(watched, email=False)
    queue = f"arn:aws:sqs:{REGION}:{ACCOUNT}:heard"
    allow = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow | {"Resource": queue}]})
    url = sqs.create_queue(QueueName="heard", Attributes={"Policy": policy})["QueueUrl"]
    sqs.create_queue(QueueName="deaf")
    undecided = policy.replace("heard", "undecided").replace(
        '"Action"', '"Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-1234567890"}}, "Action"'
    )
    sqs.create_queue(QueueName="undecided", Attributes={"Policy": undecided})
    for name in ("undecided", "heard", "deaf", "gone"):
        watched.client("sns").subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue.replace("heard", name))
    outcomes = {to.rsplit(":", 1)[-1]: outcome for outcome, to, _ in go_off(watched, AlarmActions=[arn])}
    assert outcomes == {"undecided": "failed", "heard": "delivered", "deaf": "failed", "gone": "failed"}
    body = json.loads(json.loads(watched.receive(url)[0]["Body"])["Message"])
    assert (body["AlarmName"], body["NewStateValue"]) == ("dead-letters", "ALARM")
    assert body["Trigger"]["Dimensions"] == [{"name": "QueueName", "value": "books-dlq"}]


def test_an_alarm_that_breaks_us_is_told_and_the_others_go_off(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = watched.queue()[0]
    for name in ("breaks", "dead-letters"):
        watched.client("cloudwatch").put_metric_alarm(**ALARM | {"AlarmName": name})
    changed = watched.monitoring.actions.changed
    monkeypatch.setattr(
        watched.monitoring.actions,
        "changed",
        lambda alarm, before: 1 / 0 if alarm.name == "breaks" else changed(alarm, before),
    )
    watched.dead_letter(queue, 5)
    watched.minutes()
    assert watched.state()[0] == "ALARM"
    assert [each.what for each in watched.monitoring._background.troubles] == ["alarm breaks"]
