"""What happens when an alarm changes its state: its topics are told, as far as their policies let CloudWatch in.

Queues that subscribe really get the notification. Addresses outside of this machine get nothing; that they would have
is written to a log, and the log says so.
"""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from moto.kms.models import kms_backends
from moto.moto_api._internal import mock_random
from moto.sns.models import sns_backends
from moto.sqs.exceptions import QueueDoesNotExist

from local.iam_policy import UnsupportedPolicyError
from local.log_file import LogFile
from local.roles import Iam

PRINCIPAL: Final = "cloudwatch.amazonaws.com"
NOT_SENT: Final = "NOT SENT, the embedded cloud sends nothing from this machine"
# "Key management" of encrypted topics, SNS developer guide
_KEY_ACTIONS: Final = ("kms:GenerateDataKey", "kms:Decrypt")
_REMEMBERED: Final = 1000
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Delivery:
    """What became of one state change at one topic, or at one of its subscribers.

    Attributes
    ----------
    outcome
        ``recorded`` for an address outside, ``delivered`` to a queue, ``failed`` where nothing can be told.
    to
        Subscriber as ``protocol:endpoint``, or the topic's ARN, or empty where the alarm has no action.
    """

    at: float
    alarm: str
    state: str
    outcome: Literal["recorded", "delivered", "failed"]
    to: str
    detail: str


class AlarmActions:
    """Tells of state changes.

    Parameters
    ----------
    iam
        Decides what the policies of topics and keys let CloudWatch do.
    log : pathlib.Path
        File that gets a line for each state change and each delivery.
    now : callable
        Seconds since the epoch, by the cloud's clock.
    """

    def __init__(self, iam: Iam, account: str, region: str, log: Path, now: Callable[[], float]) -> None:
        self._iam, self._account, self._region, self._log, self._now = iam, account, region, LogFile(log), now
        self.deliveries: deque[Delivery] = deque(maxlen=_REMEMBERED)

    def changed(self, alarm: Any, before: str) -> None:
        """Tell the topics of the state that moto's `alarm` has come to, from `before`."""
        state = alarm.state_value
        self._write(f"{state} {alarm.name} (was {before}): {alarm.state_reason}")
        actions = {"ALARM": alarm.alarm_actions, "OK": alarm.ok_actions}.get(state, alarm.insufficient_data_actions)
        if not alarm.actions_enabled:
            self._record(alarm, "failed", "", "its actions are disabled, nobody is told")
        elif not actions:
            self._record(alarm, "failed", "", f"it has no action for {state}, nobody is told")
        else:
            for action in actions:
                self._publish(alarm, before, action)

    def problem(self, alarm: str, words: str) -> None:
        """Write down what keeps an alarm from being evaluated."""
        self._write(f"NOT EVALUATED {alarm}: {words}")
        _log.warning("%s", words)

    def _publish(self, alarm: Any, before: str, action: str) -> None:
        topic = sns_backends[self._account][self._region].topics.get(action)
        if topic is None:
            self._record(alarm, "failed", action, "there is no such topic")
            return
        if refusal := next(self._refusals(topic, alarm.alarm_arn), None):
            self._record(alarm, "failed", action, refusal)
            return
        subscriptions, _ = topic.sns_backend.list_subscriptions_by_topic(topic_arn=topic.arn)
        if not subscriptions:
            self._record(alarm, "failed", action, "the topic has no subscriber, nobody is told")
        message, subject = notification(alarm, before, self._account, self._region), _subject(alarm, self._region)
        message_id = str(mock_random.uuid4())
        for subscription in subscriptions:
            self._deliver(alarm, subscription, message, message_id, subject)

    def _deliver(self, alarm: Any, subscription: Any, message: str, message_id: str, subject: str) -> None:
        to = f"{subscription.protocol}:{subscription.endpoint}"
        if subscription.protocol != "sqs":
            pending = str(subscription.attributes.get("PendingConfirmation")).lower() == "true"
            self._record(alarm, "recorded", to, f"{NOT_SENT}{'; the subscription is not confirmed' if pending else ''}")
            return
        if refusal := self._queue_refusal(subscription):
            self._record(alarm, "failed", to, refusal)
            return
        try:
            subscription.publish(message, message_id, subject=subject)
        except QueueDoesNotExist:
            self._record(alarm, "failed", to, "there is no such queue")
            return
        self._record(alarm, "delivered", to, subject)

    def _queue_refusal(self, subscription: Any) -> str | None:
        """Why SNS cannot send to a queue that subscribes, in words."""
        queue, topic = subscription.endpoint, subscription.topic_arn
        try:
            decision = self._iam.service_may("sns.amazonaws.com", "sqs:SendMessage", queue, topic)
        except UnsupportedPolicyError as error:
            return f"the queue's policy cannot be decided here: {error}"
        return None if decision.allowed else f"SNS may not send to the queue {decision.reason}"

    def _refusals(self, topic: Any, alarm_arn: str) -> Iterator[str]:
        """Why CloudWatch cannot publish on a topic, in words."""
        yield from self._denied("sns:Publish", topic.arn, alarm_arn, "the topic's policy")
        if not topic.kms_master_key_id:
            return
        key = self._key(topic.kms_master_key_id)
        if "alias/aws/" in topic.kms_master_key_id:
            yield f"the topic's key {topic.kms_master_key_id} is AWS's own, whose policy does not let {PRINCIPAL} in"
        elif key is None:
            yield f"the topic's key {topic.kms_master_key_id} does not exist"
        elif key.key_state != "Enabled":
            yield f"the topic's key {key.arn} is {key.key_state}"
        else:
            for action in _KEY_ACTIONS:
                yield from self._denied(action, key.arn, alarm_arn, "the policy of the topic's key")

    def _denied(self, action: str, resource: str, alarm_arn: str, whose: str) -> Iterator[str]:
        try:
            decision = self._iam.service_may(PRINCIPAL, action, resource, alarm_arn)
        except UnsupportedPolicyError as error:
            yield f"{whose} cannot be decided here: {error}"
            return
        if not decision.allowed:
            yield f"{whose} does not let {PRINCIPAL} in: {action} on {resource} is denied {decision.reason}"

    def _key(self, identifier: str) -> Any:
        backend = kms_backends[self._account][self._region]
        alias = backend.get_alias_name(identifier)
        key_id = backend.get_key_id_from_alias(alias) if alias.startswith("alias/") else backend.get_key_id(identifier)
        return backend.keys.get(backend.get_key_id(key_id)) if key_id else None

    def _record(self, alarm: Any, outcome: Literal["recorded", "delivered", "failed"], to: str, detail: str) -> None:
        delivery = Delivery(self._now(), alarm.name, alarm.state_value, outcome, to, detail)
        self.deliveries.append(delivery)
        alarm.history.append(
            ("Action", f"{outcome} {to}: {detail}", "{}", alarm.state_value, alarm.state_updated_timestamp)
        )
        self._write(f"  {outcome} {to or 'nowhere'}: {detail}")

    def _write(self, line: str) -> None:
        stamp = datetime.fromtimestamp(self._now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._log.write(f"{stamp} {line}")


def notification(alarm: Any, before: str, account: str, region: str) -> str:
    """The message that CloudWatch publishes, as JSON.

    Its members: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html.
    """
    trigger: Mapping[str, Any] = {
        "MetricName": alarm.metric_name,
        "Namespace": alarm.namespace,
        "StatisticType": "Statistic",
        "Statistic": str(alarm.statistic).upper(),
        "Dimensions": [{"name": each.name, "value": each.value} for each in alarm.dimensions],
        "Period": alarm.period,
        "EvaluationPeriods": alarm.evaluation_periods,
        "ComparisonOperator": alarm.comparison_operator,
        "Threshold": alarm.threshold,
        "TreatMissingData": alarm.treat_missing_data,
    }
    return json.dumps(
        {
            "AlarmName": alarm.name,
            "AlarmDescription": alarm.description,
            "AWSAccountId": account,
            "NewStateValue": alarm.state_value,
            "NewStateReason": alarm.state_reason,
            "StateChangeTime": alarm.state_updated_timestamp.strftime("%Y-%m-%dT%H:%M:%S.000+0000"),
            "Region": region,
            "AlarmArn": alarm.alarm_arn,
            "OldStateValue": before,
            "OKActions": alarm.ok_actions,
            "AlarmActions": alarm.alarm_actions,
            "InsufficientDataActions": alarm.insufficient_data_actions,
            "Trigger": trigger,
        }
    )


def _subject(alarm: Any, region: str) -> str:
    return f'{alarm.state_value}: "{alarm.name}" in {region}'[:100]
