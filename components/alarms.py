"""Alarms: one topic, who hears it, and the alarms that speak on it.

- topic, with a policy that lets CloudWatch of this account publish and denies what is not TLS
- the key that it is encrypted with, whose policy lets CloudWatch of this account in
- a subscription for each address
- `watch` makes an alarm on a `Condition`; the conditions for queues and functions stand below
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from components import iam


@dataclass(frozen=True)
class Condition:
    """When an alarm goes off: `statistic` of a metric at or above `threshold`, or `below` it, `periods` times in a row.

    Attributes
    ----------
    name
        End of the alarm's name.
    namespace, metric, dimensions
        The metric.
    statistic
        CloudWatch's name of it, ``Sum`` or ``Maximum``.
    threshold
        In the metric's own unit.
    says
        What it means when it goes off, and what to look at.
    period
        Seconds.
    periods
        Periods in a row that must be at the threshold.
    missing
        What a period without data counts as, in CloudWatch's word.
    below
        Whether values below the threshold set it off.
    """

    name: str
    namespace: str
    metric: str
    dimensions: Mapping[str, pulumi.Input[str]]
    statistic: str
    threshold: float
    says: str
    period: int = 300
    periods: int = 1
    missing: str = "notBreaching"
    below: bool = False


class Alarms(pulumi.ComponentResource):
    """The topic that alarms speak on.

    Parameters
    ----------
    name
        Name of the component in the program.
    topic_name
        Name of the topic on AWS.
    emails
        Addresses that are told; each is sent a confirmation once.
    """

    def __init__(
        self, name: str, topic_name: str, emails: Sequence[str], opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("worker-flows:index:Alarms", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        # A key of our own: AWS's own for SNS (alias/aws/sns) keeps CloudWatch out, and its policy cannot be changed
        # ("Why didn't I receive an SNS notification for my CloudWatch alarm?", AWS re:Post).
        self.key = aws.kms.Key(
            f"{name}-key",
            description=f"Encrypts the notifications of {topic_name}",
            enable_key_rotation=True,
            deletion_window_in_days=30,
            policy=_key_policy(),
            opts=child,
        )
        aws.kms.Alias(f"{name}-key", name=f"alias/{topic_name}", target_key_id=self.key.key_id, opts=child)
        self.topic = aws.sns.Topic(f"{name}-topic", name=topic_name, kms_master_key_id=self.key.arn, opts=child)
        aws.sns.TopicPolicy(f"{name}-topic", arn=self.topic.arn, policy=_topic_policy(self.topic.arn), opts=child)
        for email in emails:
            aws.sns.TopicSubscription(
                f"{name}-{email}", topic=self.topic.arn, protocol="email", endpoint=email, opts=child
            )
        self.register_outputs({"topic_arn": self.topic.arn})

    def watch(
        self, name: str, alarm_prefix: str, conditions: Iterable[Condition], parent: pulumi.Resource
    ) -> dict[str, aws.cloudwatch.MetricAlarm]:
        """Make an alarm for each condition, under `parent`; both its going off and its end are told."""
        return {
            condition.name: aws.cloudwatch.MetricAlarm(
                f"{name}-{condition.name}",
                name=f"{alarm_prefix}-{condition.name}",
                alarm_description=condition.says,
                namespace=condition.namespace,
                metric_name=condition.metric,
                dimensions=condition.dimensions,
                statistic=condition.statistic,
                comparison_operator="LessThanThreshold" if condition.below else "GreaterThanOrEqualToThreshold",
                threshold=condition.threshold,
                period=condition.period,
                evaluation_periods=condition.periods,
                treat_missing_data=condition.missing,
                alarm_actions=[self.topic.arn],
                ok_actions=[self.topic.arn],
                opts=pulumi.ResourceOptions(parent=parent),
            )
            for condition in conditions
        }


def queue_conditions(
    queue_name: pulumi.Input[str], dead_letter_queue_name: pulumi.Input[str], *, oldest_message: int, backlog: int
) -> tuple[Condition, ...]:
    """Return the conditions of a queue and its dead letters.

    Each keeps to what its metric really says ("Available CloudWatch metrics for Amazon SQS"): what the queue itself
    moves to the dead letters is not counted as sent there, a queue that nobody touched for six hours emits nothing, and
    a message received three times or more leaves the age of the oldest.

    Parameters
    ----------
    oldest_message
        Age of the oldest message, s, from which on the queue counts as stuck.
    backlog
        Waiting messages from which on the function counts as not keeping up.
    """

    def waiting(name: str, queue: pulumi.Input[str], statistic: str, threshold: int, **others: Any) -> Condition:
        metric = "ApproximateNumberOfMessagesVisible"
        return Condition(name, "AWS/SQS", metric, {"QueueName": queue}, statistic, threshold, **others)

    return (
        waiting(
            "dead-letters",
            dead_letter_queue_name,
            "Maximum",
            1,
            period=60,
            # Dead letters that nobody looks at make an idle queue, which emits nothing: that must not end the alarm.
            missing="ignore",
            says="Messages were given up and lie in the dead-letter queue. Find the cause before bringing them back.",
        ),
        Condition(
            name="oldest-message",
            namespace="AWS/SQS",
            metric="ApproximateAgeOfOldestMessage",
            dimensions={"QueueName": queue_name},
            statistic="Maximum",
            threshold=oldest_message,
            # It tells of messages that wait, not of a poisoned one: that one is received, leaves the metric, and ends
            # as a dead letter.
            says="The oldest message waits too long: the mapping is disabled, or the function does not keep up.",
        ),
        # At its lowest in each period, so that a burst which is being worked off is no alarm. Unlike the age, it keeps
        # counting messages that are received again and again.
        waiting(
            "backlog",
            queue_name,
            "Minimum",
            backlog,
            periods=3,
            says="Too many messages wait, for a quarter of an hour: the function fails, is throttled, or is too slow.",
        ),
    )


def function_conditions(function_name: pulumi.Input[str], duration: int | None = None) -> tuple[Condition, ...]:
    """Return the conditions of a function.

    Parameters
    ----------
    duration
        Milliseconds from which on an invocation counts as near its timeout; not watched unless given.
    """

    def condition(name: str, metric: str, statistic: str, threshold: float, says: str) -> Condition:
        return Condition(name, "AWS/Lambda", metric, {"FunctionName": function_name}, statistic, threshold, says)

    conditions = (
        condition("errors", "Errors", "Sum", 1, "Invocations ended in an error. Their logs say which."),
        condition(
            "throttles", "Throttles", "Sum", 1, "Invocations were throttled: too little concurrency is left for them."
        ),
    )
    if duration is None:
        return conditions
    says = "An invocation came near the function's timeout. Find what has become slow before it is cut off."
    return (*conditions, condition("duration", "Duration", "Maximum", duration, says))


def not_invoked(function_name: pulumi.Input[str], seconds: int) -> Condition:
    """Return the condition of a function that a schedule should have invoked by now.

    Lambda's Invocations has no zeros: a function that nobody invokes has no data, so missing data sets it off.

    Parameters
    ----------
    seconds
        Without an invocation, a multiple of 60.
    """
    return Condition(
        name="not-invoked",
        namespace="AWS/Lambda",
        metric="Invocations",
        dimensions={"FunctionName": function_name},
        statistic="Sum",
        threshold=1,
        says="Its schedule did not invoke it: the rule is disabled or gone, or may not invoke the function.",
        period=seconds,
        missing="breaching",
        below=True,
    )


def _key_policy() -> pulumi.Output[str]:
    """Let the account administer its key, and CloudWatch of this account encrypt what it publishes.

    Source: "Configure AWS KMS permissions" of encrypted topics in the SNS developer guide.
    """
    caller, partition = aws.get_caller_identity_output(), aws.get_partition_output()
    return pulumi.Output.json_dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "AccountAdministers",
                    "Effect": "Allow",
                    "Principal": {
                        "AWS": pulumi.Output.concat("arn:", partition.partition, ":iam::", caller.account_id, ":root")
                    },
                    "Action": "kms:*",
                    "Resource": "*",
                },
                {
                    "Sid": "AlarmsOfThisAccount",
                    "Effect": "Allow",
                    "Principal": {"Service": "cloudwatch.amazonaws.com"},
                    "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
                    "Resource": "*",
                    "Condition": {"StringEquals": {"aws:SourceAccount": caller.account_id}},
                },
            ],
        },
        sort_keys=True,
    )


def _topic_policy(topic_arn: pulumi.Input[str]) -> pulumi.Output[str]:
    return pulumi.Output.json_dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "AlarmsOfThisAccount",
                    "Effect": "Allow",
                    "Principal": {"Service": "cloudwatch.amazonaws.com"},
                    "Action": "sns:Publish",
                    "Resource": topic_arn,
                    "Condition": {"StringEquals": {"aws:SourceAccount": aws.get_caller_identity_output().account_id}},
                },
                iam.tls_only_statement("sns:Publish", topic_arn),
            ],
        },
        sort_keys=True,
    )
