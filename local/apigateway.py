"""API Gateway as moto does not have it: UpdateStage, and tags of a stage that is there."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from moto.apigatewayv2 import urls
from moto.apigatewayv2.models import ApiGatewayV2Backend, Stage
from moto.apigatewayv2.responses import ApiGatewayV2Response

from local.patching import Patches

_STAGE_ARN = re.compile(r":/apis/([^/]+)/stages/(.+)")
_STAGE_TAGS = "{0}/v2/tags/(?P<arn>[^/]+)/apis/(?P<api_id>[^/]+)/stages/(?P<stage_name>[^/]+)$"
_MEMBERS = {
    "accessLogSettings": "access_log_settings",
    "autoDeploy": "auto_deploy",
    "defaultRouteSettings": "default_route_settings",
    "description": "description",
}


def install() -> Patches:
    """Put both in moto's place, until undone."""
    patches = Patches()
    tag, untag = ApiGatewayV2Backend.tag_resource, ApiGatewayV2Backend.untag_resource

    def update_stage(response: ApiGatewayV2Response) -> tuple[int, dict[str, str], str]:
        api, name = (unquote(part) for part in response.path.split("?")[0].split("/")[-3::2])
        stage = response.apigatewayv2_backend.get_stage(api, name)
        _change(stage, json.loads(response.body))
        return 200, {}, json.dumps(stage.to_json())

    def tag_resource(backend: ApiGatewayV2Backend, resource_arn: str, tags: dict[str, str]) -> None:
        stage = _stage(backend, resource_arn)
        if stage is None:
            tag(backend, resource_arn, tags)
        else:
            stage.tags = {**stage.tags, **tags}

    def untag_resource(backend: ApiGatewayV2Backend, resource_arn: str, tag_keys: list[str]) -> None:
        stage = _stage(backend, resource_arn)
        if stage is None:
            untag(backend, resource_arn, tag_keys)
        else:
            stage.tags = {key: value for key, value in stage.tags.items() if key not in tag_keys}

    patches.add(ApiGatewayV2Response, "update_stage", update_stage)
    patches.set(ApiGatewayV2Backend, "tag_resource", tag_resource)
    patches.set(urls, "url_paths", {**urls.url_paths, _STAGE_TAGS: ApiGatewayV2Response.dispatch})
    patches.set(ApiGatewayV2Backend, "untag_resource", untag_resource)
    return patches


def _change(stage: Stage, wanted: dict[str, Any]) -> None:
    """Change what is given and leave the rest; a variable without value goes (terraform-provider-aws, stage.go)."""
    for member, attribute in _MEMBERS.items():
        if member in wanted:
            setattr(stage, attribute, wanted[member])
    variables = {**stage.stage_variables, **wanted.get("stageVariables", {})}
    stage.stage_variables = {key: value for key, value in variables.items() if value}
    stage.updated = datetime.now()


def _stage(backend: ApiGatewayV2Backend, arn: str) -> Stage | None:
    found = _STAGE_ARN.search(arn)
    return backend.get_stage(*found.groups()) if found else None
