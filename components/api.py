"""Api: an HTTP API in front of one function.

- HTTP API with one default route; what paths there are is the function's business
- stage with automatic deployment, throttling and an access log
- the permission by which this API alone may invoke the function
- the secret that holds its callers' keys, without a value: keys are an operator's, never the program's
"""

import pulumi
import pulumi_aws as aws

from components.function import Function, Platform
from components.iam import Grant, secret_statements
from components.needs import Need, ReadSecret

KEYS = "api-keys"

BURST = 100
RATE = 50
# "Quotas for HTTP APIs": an integration is cut off after 30 s, so a function that runs longer answers nobody.
LONGEST_ANSWER = 29

_ACCESS_LOG = {
    "requestId": "$context.requestId",
    "time": "$context.requestTime",
    "ip": "$context.identity.sourceIp",
    "method": "$context.httpMethod",
    "path": "$context.path",
    "status": "$context.status",
    "length": "$context.responseLength",
    "latency": "$context.responseLatency",
    "integrationError": "$context.integrationErrorMessage",
}


class ApiKeys(pulumi.ComponentResource):
    """The secret that holds the hashes of the callers' keys.

    Parameters
    ----------
    name
        Name of the component in the program.
    secret_name
        Name of the secret on AWS.
    """

    def __init__(self, name: str, secret_name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("worker-flows:index:ApiKeys", name, {}, opts)
        self.secret = aws.secretsmanager.Secret(
            f"{name}-secret",
            name=secret_name,
            description="Hashes of the keys of the API's callers; written by operators, never by the program",
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({"secret_arn": self.secret.arn})

    def grant(self, need: Need) -> Grant | None:
        """Grant reading the keys; the function learns the secret's ARN."""
        if need != ReadSecret(KEYS):
            return None
        return Grant(secret_statements([self.secret.arn]), {"API_KEYS_SECRET_ARN": self.secret.arn})


class Api(pulumi.ComponentResource):
    """An HTTP API in front of one function.

    Parameters
    ----------
    name
        Name of the component in the program.
    api_name
        Name of the API on AWS.
    platform
        For the retention of the access log.
    function
        What answers every request, by payload format 2.0.
    """

    def __init__(
        self,
        name: str,
        api_name: str,
        platform: Platform,
        function: Function,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("worker-flows:index:Api", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.api = aws.apigatewayv2.Api(f"{name}-api", name=api_name, protocol_type="HTTP", opts=child)
        integration = aws.apigatewayv2.Integration(
            f"{name}-integration",
            api_id=self.api.id,
            integration_type="AWS_PROXY",
            integration_uri=function.arn,
            integration_method="POST",
            payload_format_version="2.0",
            timeout_milliseconds=LONGEST_ANSWER * 1_000,
            opts=child,
        )
        route = aws.apigatewayv2.Route(
            f"{name}-route",
            api_id=self.api.id,
            route_key="$default",
            target=pulumi.Output.concat("integrations/", integration.id),
            opts=child,
        )
        permission = aws.lambda_.Permission(
            f"{name}-permission",
            action="lambda:InvokeFunction",
            function=function.name,
            principal="apigateway.amazonaws.com",
            source_arn=pulumi.Output.concat(self.api.execution_arn, "/*/$default"),
            opts=child,
        )
        log = aws.cloudwatch.LogGroup(
            f"{name}-access-log",
            name=f"/aws/apigateway/{api_name}",
            retention_in_days=platform.log_retention_days,
            opts=child,
        )
        aws.apigatewayv2.Stage(
            f"{name}-stage",
            api_id=self.api.id,
            name="$default",
            auto_deploy=True,
            default_route_settings={"throttling_burst_limit": BURST, "throttling_rate_limit": RATE},
            access_log_settings={"destination_arn": log.arn, "format": pulumi.Output.json_dumps(_ACCESS_LOG)},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[route, permission]),
        )
        self.url = self.api.api_endpoint
        self.register_outputs({"url": self.url})
