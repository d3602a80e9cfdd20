"""AuditLog: the log group in which operators' tools say who did what before they do it.

- log group, kept for a year
"""

import pulumi
import pulumi_aws as aws

DAYS = 365


class AuditLog(pulumi.ComponentResource):
    """A log group that outlives the logs of functions.

    Parameters
    ----------
    name
        Name of the component in the program.
    log_group_name
        Name of the log group on AWS.
    """

    def __init__(self, name: str, log_group_name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("worker-flows:index:AuditLog", name, {}, opts)
        self.log_group = aws.cloudwatch.LogGroup(
            f"{name}-log", name=log_group_name, retention_in_days=DAYS, opts=pulumi.ResourceOptions(parent=self)
        )
        self.register_outputs({"log_group": self.log_group.name})
