"""Migration: a function that brings the database's schema up to date, invoked by every deployment that changes it.

- function
- invocation, repeated when the function's package is another; a failure fails the deployment
"""

import pulumi
import pulumi_aws as aws

from components.function import Function
from components.package import Package


class Migration(pulumi.ComponentResource):
    """Invokes a function once per package.

    Parameters
    ----------
    name
        Name of the component in the program.
    function
        What is invoked, with an empty event.
    package
        Its code; another hash is another invocation.
    """

    def __init__(
        self, name: str, function: Function, package: Package, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("worker-flows:index:Migration", name, {}, opts)
        self.invocation = aws.lambda_.Invocation(
            f"{name}-invocation",
            function_name=function.name,
            input="{}",
            triggers={"package": package.sha256},
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})
