"""Alarms: one topic, who hears it, and the alarms that speak on it.

- topic, with a policy that lets CloudWatch of this account publish and denies what is not TLS
- a subscription for each address
- `watch` makes an alarm on a `Condition`; the conditions for queues and functions stand below
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components import iam


@dataclass(frozen=True)
class Condition:
    """When an alarm goes off: `statistic` of a metric at or above `threshold` in one of the last `periods` periods.

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
        # Not encrypted: alarms say nothing secret, and AWS's own key (alias/aws/sns) keeps CloudWatch out.
        self.topic = aws.sns.Topic(f"{name}-topic", name=topic_name, opts=child)
        aws.sns.TopicPolicy(f"{name}-topic", arn=self.topic.arn, policy=_topic_policy(self.topic.arn), opts=child)
        for email in emails:
            aws.sns.TopicSubscription(
                f"{name}-{email}", topic=self.topic.arn, protocol="email", endpoint=email, opts=child
            )
        self.register_outputs({"topic_arn": self.topic.arn})

    def watch(
        self, name: str, alarm_prefix: str, conditions: Iterable[Condition], parent: pulumi.Resource
    ) -> dict[str, aws.cloudwatch.MetricAlarm]:
        """Make an alarm for each condition, under `parent`; both its going off and its end are told.

        No data is not an alarm: idle queues and functions emit none.
        """
        return {
            condition.name: aws.cloudwatch.MetricAlarm(
                f"{name}-{condition.name}",
                name=f"{alarm_prefix}-{condition.name}",
                alarm_description=condition.says,
                namespace=condition.namespace,
                metric_name=condition.metric,
                dimensions=condition.dimensions,
                statistic=condition.statistic,
                comparison_operator="GreaterThanOrEqualToThreshold",
                threshold=condition.threshold,
                period=condition.period,
                evaluation_periods=condition.periods,
                treat_missing_data="notBreaching",
                alarm_actions=[self.topic.arn],
                ok_actions=[self.topic.arn],
                opts=pulumi.ResourceOptions(parent=parent),
            )
            for condition in conditions
        }


def queue_conditions(
    queue_name: pulumi.Input[str], dead_letter_queue_name: pulumi.Input[str], oldest_message: int
) -> tuple[Condition, ...]:
    """Return the conditions of a queue and its dead letters.

    Parameters
    ----------
    oldest_message
        Age of the oldest message, s, from which on the queue counts as stuck.
    """
    return (
        Condition(
            name="dead-letters",
            namespace="AWS/SQS",
            metric="ApproximateNumberOfMessagesVisible",
            dimensions={"QueueName": dead_letter_queue_name},
            statistic="Maximum",
            threshold=1,
            period=60,
            says="Messages were given up and lie in the dead-letter queue. Find the cause before bringing them back.",
        ),
        Condition(
            name="oldest-message",
            namespace="AWS/SQS",
            metric="ApproximateAgeOfOldestMessage",
            dimensions={"QueueName": queue_name},
            statistic="Maximum",
            threshold=oldest_message,
            # A message received three times or more leaves this metric, so it tells of a backlog, not of a poisoned
            # message; that one ends as a dead letter ("Available CloudWatch metrics for Amazon SQS").
            says="The oldest message waits too long: the function fails, is throttled, or does not keep up.",
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
