"""`./bmx alarms` against moto: each link from a metric to a reader, whole and broken once."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from local import sns as local_sns
from ops import alarms
from ops.stacks import StackHandle

REGION, ACCOUNT = "us-west-2", "123456789012"
ROOT = {
    "Effect": "Allow",
    "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
    "Action": "kms:*",
    "Resource": "*",
}
LET_IN = {
    "Effect": "Allow",
    "Principal": {"Service": "cloudwatch.amazonaws.com"},
    "Resource": "*",
    "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}},
}


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


class Account:
    """A stack `made-up` with a queue, a function-less alarm on its dead letters, a topic, a key and a subscriber."""

    def __init__(self) -> None:
        self._clients: dict[str, Any] = {}
        self.client("sqs").create_queue(QueueName="made-up-books-dlq")
        keyed = document(ROOT, LET_IN | {"Action": ["kms:Decrypt", "kms:GenerateDataKey*"]})
        self.key = self.client("kms").create_key(Policy=keyed)["KeyMetadata"]["Arn"]
        sns = self.client("sns")
        self.topic = sns.create_topic(Name="made-up-alarms", Attributes={"KmsMasterKeyId": self.key})["TopicArn"]
        self.let_in(LET_IN | {"Action": "sns:Publish"})
        self.subscription = sns.subscribe(TopicArn=self.topic, Protocol="email", Endpoint="ops@example.org")
        self.alarm()

    def client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = boto3.client(  # type: ignore[call-overload]
                service, region_name=REGION, aws_access_key_id="x", aws_secret_access_key="x"
            )
        return self._clients[service]

    def let_in(self, *statements: dict[str, Any]) -> None:
        self.client("sns").set_topic_attributes(
            TopicArn=self.topic, AttributeName="Policy", AttributeValue=document(*statements)
        )

    def encrypt(self, key: str) -> None:
        self.client("sns").set_topic_attributes(TopicArn=self.topic, AttributeName="KmsMasterKeyId", AttributeValue=key)

    def alarm(self, name: str = "made-up-books-dead-letters", **settings: Any) -> None:
        self.client("cloudwatch").put_metric_alarm(
            **{
                "AlarmName": name,
                "AlarmDescription": "Messages were given up.",
                "Namespace": "AWS/SQS",
                "MetricName": "ApproximateNumberOfMessagesVisible",
                "Dimensions": [{"Name": "QueueName", "Value": "made-up-books-dlq"}],
                "Statistic": "Maximum",
                "ComparisonOperator": "GreaterThanOrEqualToThreshold",
                "Threshold": 1.0,
                "Period": 60,
                "EvaluationPeriods": 1,
                "TreatMissingData": "notBreaching",
                "AlarmActions": [self.topic],
                "OKActions": [self.topic],
            }
            | settings
        )

    def listed(self) -> list[alarms.Alarm]:
        return alarms.alarms(self.client, "made-up-")

    def problems(self) -> list[str]:
        return [problem for each in self.listed() for problem in each.problems]


@pytest.fixture
def account() -> Iterator[Account]:
    with mock_aws():
        yield Account()


def test_a_whole_chain_has_no_problem_and_says_who_hears(account: Account) -> None:
    (alarm,) = account.listed()
    assert alarm.problems == ()
    assert alarm.subscribers == (alarms.Subscriber("email", "ops@example.org", confirmed=True),)
    assert alarm.condition == (
        "Maximum of ApproximateNumberOfMessagesVisible of made-up-books-dlq at or above 1 in one minute"
    )


def wrong_dimension(account: Account) -> None:
    account.alarm(Dimensions=[{"Name": "QueueName", "Value": "made-up-books_dlq"}])


def wrong_function(account: Account) -> None:
    account.alarm(Namespace="AWS/Lambda", Dimensions=[{"Name": "FunctionName", "Value": "made-up-gone"}])


def no_action(account: Account) -> None:
    account.alarm(AlarmActions=[])


def disabled_actions(account: Account) -> None:
    account.alarm(ActionsEnabled=False)


def policy_without_cloudwatch(account: Account) -> None:
    account.let_in(LET_IN | {"Action": "sns:Subscribe"}, ROOT | {"Action": "sns:Publish"})


def policy_with_a_single_statement(account: Account) -> None:
    single = json.dumps({"Version": "2012-10-17", "Statement": ROOT | {"Action": "sns:Publish"}})
    account.client("sns").set_topic_attributes(TopicArn=account.topic, AttributeName="Policy", AttributeValue=single)


def policy_that_denies(account: Account) -> None:
    everybody = {"Effect": "Deny", "Principal": "*", "Action": "sns:Publish", "Resource": "*"}
    account.let_in(LET_IN | {"Action": "sns:Publish"}, everybody)


def policy_for_another_account(account: Account) -> None:
    other = {"Condition": {"StringEquals": {"aws:SourceAccount": "999988887777"}}}
    account.let_in(LET_IN | {"Action": "sns:Publish"} | other)


def policy_that_nobody_here_can_read(account: Account) -> None:
    account.let_in(LET_IN | {"Action": "sns:Publish"} | {"Condition": {"DateGreaterThan": {"aws:CurrentTime": "2026"}}})


def key_that_denies(account: Account) -> None:
    # moto holds callers to a denial of more than this
    denial = {"Effect": "Deny", "Principal": "*", "Action": "kms:Decrypt", "Resource": "*"}
    policy = document(ROOT, LET_IN | {"Action": ["kms:Decrypt", "kms:GenerateDataKey*"]}, denial)
    account.client("kms").put_key_policy(KeyId=account.key, PolicyName="default", Policy=policy)


def key_without_cloudwatch(account: Account) -> None:
    account.client("kms").put_key_policy(KeyId=account.key, PolicyName="default", Policy=document(ROOT))


def key_without_decrypt(account: Account) -> None:
    policy = document(ROOT, LET_IN | {"Action": "kms:GenerateDataKey*"})
    account.client("kms").put_key_policy(KeyId=account.key, PolicyName="default", Policy=policy)


def key_disabled(account: Account) -> None:
    account.client("kms").disable_key(KeyId=account.key.rpartition("/")[2])


def key_of_aws(account: Account) -> None:
    account.encrypt("alias/aws/sns")


def no_subscriber(account: Account) -> None:
    account.client("sns").unsubscribe(SubscriptionArn=account.subscription["SubscriptionArn"])


def no_topic(account: Account) -> None:
    account.client("sns").delete_topic(TopicArn=account.topic)


KEPT_OUT = "the policy of topic made-up-alarms does not let cloudwatch.amazonaws.com in"


@pytest.mark.parametrize(
    ("break_link", "words"),
    [
        (wrong_dimension, "its dimension is wrong: there is no QueueName made-up-books_dlq"),
        (wrong_function, "its dimension is wrong: there is no FunctionName made-up-gone"),
        (no_action, "no action: nobody is told"),
        (disabled_actions, "its actions are disabled"),
        (policy_without_cloudwatch, KEPT_OUT),
        (policy_with_a_single_statement, KEPT_OUT),
        (policy_that_denies, f"{KEPT_OUT}: sns:Publish is denied with an explicit deny"),
        (policy_for_another_account, KEPT_OUT),
        (
            policy_that_nobody_here_can_read,
            "whether the policy of topic made-up-alarms lets cloudwatch.amazonaws.com in",
        ),
        (key_that_denies, "the policy of the key of topic made-up-alarms does not let"),
        (key_without_cloudwatch, "the policy of the key of topic made-up-alarms does not let"),
        (key_without_decrypt, "the policy of the key of topic made-up-alarms does not let"),
        (key_disabled, "the key of topic made-up-alarms is Disabled"),
        (key_of_aws, "topic made-up-alarms is encrypted with alias/aws/sns, AWS's own key"),
        (no_subscriber, "topic made-up-alarms has no subscriber"),
        (no_topic, "topic made-up-alarms cannot be read"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_one_broken_link_is_the_one_problem_and_named(
    account: Account, break_link: Callable[[Account], None], words: str
) -> None:
    break_link(account)
    (problem,) = account.problems()
    assert problem.startswith(words)


def single_statement(account: Account) -> None:
    statement = LET_IN | {"Action": "sns:Publish"}
    account.client("sns").set_topic_attributes(
        TopicArn=account.topic,
        AttributeName="Policy",
        AttributeValue=json.dumps({"Version": "2012-10-17", "Statement": statement}),
    )


def default_policy_of_a_topic(account: Account) -> None:
    """As SNS writes it: everybody, on condition that the topic's owner is the account."""
    condition = {"StringEquals": {"AWS:SourceOwner": ACCOUNT}}
    everybody = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": ["SNS:Publish", "SNS:Subscribe"]}
    account.let_in(everybody | {"Resource": account.topic, "Condition": condition})


def denies_what_is_not_tls(account: Account) -> None:
    insecure = {"Bool": {"aws:SecureTransport": "false"}}
    account.let_in(
        LET_IN | {"Action": "sns:Publish"},
        {"Effect": "Deny", "Principal": "*", "Action": "sns:Publish", "Resource": "*", "Condition": insecure},
    )


def lets_in_this_alarm(account: Account) -> None:
    alarm = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:made-up-*"
    account.let_in(LET_IN | {"Action": "sns:Publish", "Condition": {"ArnLike": {"aws:SourceArn": alarm}}})


@pytest.mark.parametrize(
    "write", [single_statement, default_policy_of_a_topic, denies_what_is_not_tls, lets_in_this_alarm]
)
def test_a_policy_that_lets_cloudwatch_in_is_no_problem_however_it_is_written(
    account: Account, write: Callable[[Account], None]
) -> None:
    write(account)
    assert account.problems() == []


def test_on_this_machine_the_log_is_named_where_it_lies(account: Account, monkeypatch, capsys) -> None:
    monkeypatch.setattr(alarms, "HOME", Path("/somewhere/else"))
    handle = StackHandle("local", {"alarms_topic_arn": account.topic}, account.client)
    monkeypatch.setattr(alarms, "stack", lambda name: handle)
    alarms.show("local", as_json=False, check=False)
    assert "written to /somewhere/else/logs/alarms.log" in capsys.readouterr().out


def test_somebody_who_has_not_confirmed_does_not_hear(account: Account) -> None:
    no_subscriber(account)
    patches = local_sns.install()
    try:
        account.client("sns").subscribe(TopicArn=account.topic, Protocol="email", Endpoint="late@example.org")
    finally:
        patches.undo()
    (alarm,) = account.listed()
    assert alarm.subscribers == (alarms.Subscriber("email", "late@example.org", confirmed=False),)
    assert alarm.problems == ("no subscriber of topic made-up-alarms has confirmed: nobody is told yet",)


def test_a_topic_that_is_not_encrypted_needs_no_key(account: Account) -> None:
    account.encrypt("")
    assert account.problems() == []


def test_another_stacks_alarms_are_left_out_and_those_that_are_on_come_first(account: Account) -> None:
    account.alarm("other-stack-alarm")
    account.alarm("made-up-zzz")
    account.client("cloudwatch").set_alarm_state(
        AlarmName="made-up-zzz", StateValue="ALARM", StateReason="Threshold Crossed"
    )
    assert [each.name for each in account.listed()] == ["made-up-zzz", "made-up-books-dead-letters"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"Period": 300, "EvaluationPeriods": 3}, "Maximum of M of q at or above 5 in 3 periods of 5 minutes in a row"),
        (
            {"EvaluationPeriods": 3, "DatapointsToAlarm": 2},
            "Maximum of M of q at or above 5 in 2 of 3 periods of one minute",
        ),
        ({"ComparisonOperator": "LessThanThreshold", "Period": 10}, "Maximum of M of q below 5 in 10 seconds"),
        ({"MetricName": "Duration", "Threshold": 0.5}, "Maximum of Duration of q at or above 0.5 ms in one minute"),
        ({"Dimensions": []}, "Maximum of M of the whole account at or above 5 in one minute"),
    ],
    ids=["in a row", "some of them", "below", "unit", "no dimension"],
)
def test_a_condition_is_said_in_words(settings: dict[str, Any], words: str) -> None:
    alarm = {
        "MetricName": "M",
        "Dimensions": [{"Name": "QueueName", "Value": "q"}],
        "Statistic": "Maximum",
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "Threshold": 5.0,
        "Period": 60,
        "EvaluationPeriods": 1,
    }
    assert alarms.condition(alarm | settings) == words


def shown(account: Account, monkeypatch: pytest.MonkeyPatch, **options: bool) -> int:
    handle = StackHandle("made-up", {"alarms_topic_arn": account.topic}, account.client)
    monkeypatch.setattr(alarms, "stack", lambda name: handle)
    return alarms.show("made-up", **({"as_json": False, "check": False} | options))


def test_the_list_names_alarm_condition_reason_and_who_hears(account, monkeypatch, capsys) -> None:
    assert shown(account, monkeypatch, as_json=True) == 0
    (alarm,) = json.loads(capsys.readouterr().out)["alarms"]
    assert alarm["reason"] and alarm["subscribers"][0]["endpoint"] == "ops@example.org"
    no_action(account)
    assert shown(account, monkeypatch) == 0
    printed = " ".join(capsys.readouterr().out.split())
    for words in ("made-up-books-dead-letters", "Unchecked: Initial alarm", "nobody", "no action"):
        assert words in printed


def test_checking_fails_for_an_alarm_that_is_on_or_not_heard_or_for_none_at_all(account, monkeypatch) -> None:
    def check() -> int:
        return shown(account, monkeypatch, check=True)

    assert check() == 0
    cloudwatch = account.client("cloudwatch")
    name = "made-up-books-dead-letters"
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="Threshold Crossed")
    assert (check(), shown(account, monkeypatch)) == (1, 0)
    account.alarm(AlarmActions=[])
    assert check() == 1
    cloudwatch.delete_alarms(AlarmNames=[name])
    assert check() == 1
