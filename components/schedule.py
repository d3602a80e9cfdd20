"""Schedule: invokes a function at a fixed rate.

- rule, target, and the permission by which this rule alone may invoke the function
"""

import pulumi
import pulumi_aws as aws

from components.function import Function


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
        What is invoked.
    """

    def __init__(
        self,
        name: str,
        rule_name: str,
        expression: str,
        function: Function,
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
        self.register_outputs({"rule": self.rule.name})
