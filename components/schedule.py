"""Schedule: invokes a function at a fixed rate.

- rule, target, and the permission by which this rule alone may invoke the function
- an alarm that goes off when the function was not invoked for twice the rate and five minutes
"""

import json
import re

import pulumi
import pulumi_aws as aws

from components.alarms import Alarms, function_conditions, not_invoked
from components.function import Function

UNITS = {"minute": 60, "hour": 3_600, "day": 86_400}
LONGEST_PERIOD = 86_400
"""Longest period of an alarm, s ("PutMetricAlarm", Period and EvaluationPeriods)."""


def silence(expression: str) -> int | None:
    """Return after how many seconds without an invocation a schedule counts as broken.

    Returns
    -------
    int or None
        Twice the rate and five minutes; None for a rate too slow for an alarm to watch, and for ``cron``, whose gaps
        differ.

    >>> silence("rate(5 minutes)")
    900
    """
    found = re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", expression)
    if found is None:
        return None
    seconds = 2 * int(found[1]) * UNITS[found[2]] + 300
    return seconds if seconds <= LONGEST_PERIOD else None


class Schedule(pulumi.ComponentResource):
    """Invokes a function again and again.

    Parameters
    ----------
    name
        Name of the component in the program.
    rule_name
        Name of the rule on AWS.
    expression
        EventBridge's schedule expression, as ``rate(5 minutes)``.
    function
        What is invoked. It answers ``{"version": true}`` without doing work.
    alarms
        Where its alarms go.
    """

    def __init__(
        self,
        name: str,
        rule_name: str,
        expression: str,
        function: Function,
        *,
        alarms: Alarms,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("worker-flows:index:Schedule", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.rule = aws.cloudwatch.EventRule(f"{name}-rule", name=rule_name, schedule_expression=expression, opts=child)
        permission = aws.lambda_.Permission(
            f"{name}-permission",
            action="lambda:InvokeFunction",
            function=function.name,
            principal="events.amazonaws.com",
            source_arn=self.rule.arn,
            opts=child,
        )
        aws.cloudwatch.EventTarget(
            f"{name}-target",
            rule=self.rule.name,
            arn=function.arn,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[permission]),
        )
        conditions = list(function_conditions(function.name))
        if (seconds := silence(expression)) is not None:
            # Invoked once, without work: the alarm would otherwise begin by going off, until the first run.
            aws.lambda_.Invocation(
                f"{name}-first", function_name=function.name, input=json.dumps({"version": True}), opts=child
            )
            conditions.append(not_invoked(function.name, seconds))
        alarms.watch(name.removesuffix("-schedule"), rule_name, conditions, parent=self)
        self.register_outputs({"rule": self.rule.name})
