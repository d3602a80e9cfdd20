"""API Gateway, version 2: HTTP APIs with integrations, routes and stages. Imported as `<API id>/<id>`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final

from botocore.exceptions import ClientError

from local.resources.driver import Aws, Driver, gone, sync_tags
from local.resources.schema import ARN, Failure, Property
from local.resources.values import Values

LIMITS: Final = (
    "Only HTTP APIs with Lambda proxy integrations are modelled; authorizers, VPC links and WebSocket "
    "APIs are refused by name.",
    "Throttling of a stage and access logs are stored, not applied.",
    "apiEndpoint is AWS's address; locally the API is reached at the gateway's own.",
)

_MISSING: Final = ("NotFoundException",)
_ROUTE_KEY: Final = r"\$default|(ANY|GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS) /\S*"


def _members(inputs: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {api: inputs[key] for key, api in names.items() if inputs.get(key) not in (None, "", [], {})}


_METHODS: Final = ("ANY", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")


class Api(Driver):
    """An HTTP API. Its id is the API's; imported by it."""

    type_name = "aws:apigatewayv2/api:Api"
    source = "terraform-provider-aws internal/service/apigatewayv2/api.go"
    cors: ClassVar = {
        "allowCredentials": "AllowCredentials",
        "allowHeaders": "AllowHeaders",
        "allowMethods": "AllowMethods",
        "allowOrigins": "AllowOrigins",
        "exposeHeaders": "ExposeHeaders",
        "maxAge": "MaxAge",
    }
    properties: ClassVar = {
        "apiKeySelectionExpression": Property(
            default="$request.header.x-api-key",
            choices=("$context.authorizer.usageIdentifierKey", "$request.header.x-api-key"),
        ),
        "corsConfiguration": Property(
            "object",
            fields={
                "allowCredentials": Property("boolean"),
                "allowHeaders": Property("strings", unordered=True, caseless=True),
                "allowMethods": Property("strings", unordered=True, caseless=True),
                "allowOrigins": Property("strings", unordered=True, caseless=True),
                "exposeHeaders": Property("strings", unordered=True, caseless=True),
                "maxAge": Property("integer"),
            },
        ),
        "description": Property(longest=1024),
        "disableExecuteApiEndpoint": Property("boolean", default=False),
        "name": Property(longest=128),
        "protocolType": Property(required=True, replaces=True, choices=("HTTP",)),
        "routeSelectionExpression": Property(default="$request.method $request.path"),
        "version": Property(shortest=1, longest=64),
    }
    outputs = frozenset({"apiEndpoint", "arn", "executionArn", "tagsAll"})
    autoname = ("name", 255)
    taggable = True

    def create(self, aws: Aws, inputs: Values) -> str:
        """CreateApi."""
        answer = aws.client("apigatewayv2").create_api(
            ProtocolType=inputs["protocolType"], Tags=inputs["tagsAll"], **self._wanted(inputs)
        )
        return str(answer["ApiId"])

    def _wanted(self, inputs: Values) -> dict[str, Any]:
        names = {
            "apiKeySelectionExpression": "ApiKeySelectionExpression",
            "description": "Description",
            "name": "Name",
            "routeSelectionExpression": "RouteSelectionExpression",
            "version": "Version",
        }
        wanted = {**_members(inputs, names), "DisableExecuteApiEndpoint": inputs["disableExecuteApiEndpoint"]}
        if inputs.get("corsConfiguration"):
            wanted["CorsConfiguration"] = _members(inputs["corsConfiguration"], self.cors)
        return wanted

    def read(self, aws: Aws, identifier: str, known: Values) -> Values | None:
        """GetApi."""
        try:
            found = aws.client("apigatewayv2").get_api(ApiId=identifier)
        except ClientError as error:
            if gone(error, *_MISSING):
                return None
            raise
        cors = found.get("CorsConfiguration") or {}
        return {
            "name": found["Name"],
            "protocolType": found["ProtocolType"],
            "apiEndpoint": found["ApiEndpoint"],
            "apiKeySelectionExpression": found.get("ApiKeySelectionExpression"),
            "arn": f"arn:{aws.partition}:apigateway:{aws.region}::/apis/{identifier}",
            "executionArn": f"arn:{aws.partition}:execute-api:{aws.region}:{aws.account}:{identifier}",
            "description": found.get("Description") or None,
            "disableExecuteApiEndpoint": found.get("DisableExecuteApiEndpoint", False),
            "routeSelectionExpression": found.get("RouteSelectionExpression"),
            "version": found.get("Version") or None,
            "corsConfiguration": {key: cors[api] for key, api in self.cors.items() if cors.get(api)} or None,
            "tagsAll": found.get("Tags", {}),
        }

    def update(self, aws: Aws, identifier: str, old: Values, new: Values) -> None:
        """UpdateApi, DeleteCorsConfiguration where it goes, and tags."""
        client = aws.client("apigatewayv2")
        client.update_api(ApiId=identifier, **{"Description": "", "Version": "", **self._wanted(new)})
        if old.get("corsConfiguration") and not new.get("corsConfiguration"):
            client.delete_cors_configuration(ApiId=identifier)
        sync_tags(
            old,
            new,
            lambda tags: client.tag_resource(ResourceArn=old["arn"], Tags=tags),
            lambda keys: client.untag_resource(ResourceArn=old["arn"], TagKeys=keys),
        )

    def delete(self, aws: Aws, identifier: str, state: Values) -> None:
        """DeleteApi."""
        try:
            aws.client("apigatewayv2").delete_api(ApiId=identifier)
        except ClientError as error:
            if not gone(error, *_MISSING):
                raise


class _Part(Driver):
    """A part of an API: created under it, and found by API and id."""

    operation: ClassVar[str]  # as in create_<operation>
    member: ClassVar[str]  # the member of answers and requests that holds the id
    names: ClassVar[Mapping[str, str]]
    emptied: ClassVar[Mapping[str, Any]] = {}

    def create(self, aws: Aws, inputs: Values) -> str:
        """Create the part."""
        call = getattr(aws.client("apigatewayv2"), f"create_{self.operation}")
        return str(call(ApiId=inputs["apiId"], **_members(inputs, self.names))[self.member])

    def read(self, aws: Aws, identifier: str, known: Values) -> Values | None:
        """Get the part; without state the id is `<API id>/<id>`."""
        front, _, own = identifier.rpartition("/")
        api = known.get("apiId") or front
        try:
            found = getattr(aws.client("apigatewayv2"), f"get_{self.operation}")(ApiId=api, **{self.member: own})
        except ClientError as error:
            if gone(error, *_MISSING):
                return None
            raise
        state = {key: found.get(member) for key, member in self.names.items()}
        return {
            **{key: None if value in ("", [], {}) else value for key, value in state.items()},
            "id": own,
            "apiId": api,
        }

    def update(self, aws: Aws, identifier: str, old: Values, new: Values) -> None:
        """Update the part, emptying what is no longer given."""
        wanted = {
            **{self.names[key]: value for key, value in self.emptied.items() if old.get(key)},
            **_members(new, self.names),
        }
        call = getattr(aws.client("apigatewayv2"), f"update_{self.operation}")
        call(ApiId=new["apiId"], **{self.member: identifier}, **wanted)

    def delete(self, aws: Aws, identifier: str, state: Values) -> None:
        """Delete the part."""
        call = getattr(aws.client("apigatewayv2"), f"delete_{self.operation}")
        try:
            call(ApiId=state["apiId"], **{self.member: identifier})
        except ClientError as error:
            if not gone(error, *_MISSING):
                raise


class Integration(_Part):
    """What a route leads to."""

    type_name = "aws:apigatewayv2/integration:Integration"
    source = "terraform-provider-aws internal/service/apigatewayv2/integration.go"
    operation = "integration"
    member = "IntegrationId"
    names: ClassVar = {
        "connectionType": "ConnectionType",
        "credentialsArn": "CredentialsArn",
        "description": "Description",
        "integrationMethod": "IntegrationMethod",
        "integrationType": "IntegrationType",
        "integrationUri": "IntegrationUri",
        "payloadFormatVersion": "PayloadFormatVersion",
        "timeoutMilliseconds": "TimeoutInMillis",
    }
    emptied: ClassVar = {"credentialsArn": "", "description": ""}
    properties: ClassVar = {
        "apiId": Property(required=True, replaces=True),
        "connectionType": Property(default="INTERNET", choices=("INTERNET",)),
        "credentialsArn": Property(pattern=ARN),
        "description": Property(longest=1024),
        "integrationMethod": Property(computed=True, choices=_METHODS),
        "integrationType": Property(required=True, replaces=True, choices=("AWS_PROXY",)),
        "integrationUri": Property(required=True),
        "payloadFormatVersion": Property(default="1.0", choices=("1.0", "2.0")),
        # https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html
        "timeoutMilliseconds": Property("integer", computed=True, minimum=50, maximum=30_000),
    }
    outputs = frozenset({"integrationResponseSelectionExpression"})

    def read(self, aws: Aws, identifier: str, known: Values) -> Values | None:
        """GetIntegration."""
        state = super().read(aws, identifier, known)
        return None if state is None else {**state, "integrationResponseSelectionExpression": ""}


class Route(_Part):
    """Which requests lead where."""

    type_name = "aws:apigatewayv2/route:Route"
    source = "terraform-provider-aws internal/service/apigatewayv2/route.go"
    operation = "route"
    member = "RouteId"
    names: ClassVar = {
        "apiKeyRequired": "ApiKeyRequired",
        "authorizationType": "AuthorizationType",
        "operationName": "OperationName",
        "routeKey": "RouteKey",
        "target": "Target",
    }
    emptied: ClassVar = {"operationName": "", "target": ""}
    properties: ClassVar = {
        "apiId": Property(required=True, replaces=True),
        "apiKeyRequired": Property("boolean", default=False),
        "authorizationType": Property(default="NONE", choices=("NONE", "AWS_IAM")),
        "operationName": Property(shortest=1, longest=64),
        "routeKey": Property(required=True, pattern=_ROUTE_KEY),
        "target": Property(longest=128, pattern=r"integrations/\w+"),
    }

    def read(self, aws: Aws, identifier: str, known: Values) -> Values | None:
        """GetRoute."""
        state = super().read(aws, identifier, known)
        return None if state is None else {**state, "apiKeyRequired": bool(state.get("apiKeyRequired"))}


class Stage(Driver):
    """A stage. Its id is its name; imported as `<API id>/<name>`."""

    type_name = "aws:apigatewayv2/stage:Stage"
    source = "terraform-provider-aws internal/service/apigatewayv2/stage.go"
    settings: ClassVar = {
        "detailedMetricsEnabled": "DetailedMetricsEnabled",
        "throttlingBurstLimit": "ThrottlingBurstLimit",
        "throttlingRateLimit": "ThrottlingRateLimit",
    }
    properties: ClassVar = {
        "accessLogSettings": Property(
            "object", fields={"destinationArn": Property(required=True, pattern=ARN), "format": Property(required=True)}
        ),
        "apiId": Property(required=True, replaces=True),
        "autoDeploy": Property("boolean", default=False),
        "defaultRouteSettings": Property(
            "object",
            fields={
                "detailedMetricsEnabled": Property("boolean", default=False),
                "throttlingBurstLimit": Property("integer"),
                "throttlingRateLimit": Property("number"),
            },
        ),
        "description": Property(longest=1024),
        "name": Property(replaces=True, longest=128),
        "stageVariables": Property("string_map"),
    }
    outputs = frozenset({"arn", "executionArn", "invokeUrl", "tagsAll"})
    autoname = ("name", 255)
    taggable = True

    def validate(self, known: Values, given: frozenset[str]) -> Iterable[Failure]:
        """Hold the name to what a path can carry."""
        name = known.get("name", "$default")
        if not re.fullmatch(r"\$default|[A-Za-z0-9_-]+", name):
            yield Failure(
                "name", f"api error BadRequestException: Stage name {name!r} has other signs than a-zA-Z0-9_-"
            )

    def create(self, aws: Aws, inputs: Values) -> str:
        """CreateStage."""
        aws.client("apigatewayv2").create_stage(
            ApiId=inputs["apiId"], StageName=inputs["name"], Tags=inputs["tagsAll"], **_stage_members(inputs)
        )
        return str(inputs["name"])

    def read(self, aws: Aws, identifier: str, known: Values) -> Values | None:
        """GetStage."""
        front, _, name = identifier.rpartition("/")
        api = known.get("apiId") or front
        try:
            found = aws.client("apigatewayv2").get_stage(ApiId=api, StageName=name)
        except ClientError as error:
            if gone(error, *_MISSING):
                return None
            raise
        settings = {key: found["DefaultRouteSettings"].get(api_name) for key, api_name in self.settings.items()}
        log = found.get("AccessLogSettings") or {}
        host = f"{api}.execute-api.{aws.region}.amazonaws.com"
        given = {key: value for key, value in settings.items() if value is not None}
        return {
            "id": name,
            "name": name,
            "apiId": api,
            "arn": f"arn:{aws.partition}:apigateway:{aws.region}::/apis/{api}/stages/{name}",
            "executionArn": f"arn:{aws.partition}:execute-api:{aws.region}:{aws.account}:{api}/{name}",
            "invokeUrl": f"https://{host}/" if name == "$default" else f"https://{host}/{name}",
            "autoDeploy": found.get("AutoDeploy", False),
            "description": found.get("Description") or None,
            "defaultRouteSettings": given if any(given.values()) or known.get("defaultRouteSettings") else None,
            "accessLogSettings": {"destinationArn": log["DestinationArn"], "format": log["Format"]} if log else None,
            "stageVariables": found.get("StageVariables") or None,
            "tagsAll": found.get("Tags", {}),
        }

    def update(self, aws: Aws, identifier: str, old: Values, new: Values) -> None:
        """UpdateStage, in which an empty value takes away what was, and tags (stage.go, resourceStageUpdate)."""
        client = aws.client("apigatewayv2")
        gone_variables = old.get("stageVariables", {}).keys() - new.get("stageVariables", {}).keys()
        wanted = {"AccessLogSettings": {}, "Description": "", "StageVariables": {}, **_stage_members(new)}
        wanted["StageVariables"] = {**dict.fromkeys(sorted(gone_variables), ""), **wanted["StageVariables"]}
        client.update_stage(ApiId=new["apiId"], StageName=identifier, **wanted)
        sync_tags(
            old,
            new,
            lambda tags: client.tag_resource(ResourceArn=old["arn"], Tags=tags),
            lambda keys: client.untag_resource(ResourceArn=old["arn"], TagKeys=keys),
        )

    def unchanged(self, aws: Aws, name: str, state: Values, inputs: Values) -> bool | None:
        """Settings left out are no change: they stay as they are (stage.go, SuppressMissingOptionalConfiguration…)."""
        return True if name == "defaultRouteSettings" and not inputs.get(name) else None

    def delete(self, aws: Aws, identifier: str, state: Values) -> None:
        """DeleteStage."""
        try:
            aws.client("apigatewayv2").delete_stage(ApiId=state["apiId"], StageName=identifier)
        except ClientError as error:
            if not gone(error, *_MISSING):
                raise


def _stage_members(inputs: Values) -> dict[str, Any]:
    names = {"description": "Description", "stageVariables": "StageVariables"}
    wanted: dict[str, Any] = {**_members(inputs, names), "AutoDeploy": inputs["autoDeploy"]}
    if inputs.get("defaultRouteSettings"):
        settings = inputs["defaultRouteSettings"]
        wanted["DefaultRouteSettings"] = {Stage.settings[key]: value for key, value in settings.items()}
    if inputs.get("accessLogSettings"):
        log = inputs["accessLogSettings"]
        wanted["AccessLogSettings"] = {"DestinationArn": log["destinationArn"], "Format": log["format"]}
    return wanted


DRIVERS: Final = (Api, Integration, Route, Stage)
