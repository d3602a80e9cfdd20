"""The OpenAPI document: made by Powertools from the routes, with this API's own errors and key written into it."""

from __future__ import annotations

import json
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
from pydantic.json_schema import models_json_schema

from handlers.api import once
from handlers.api.edge import KEY_OPTIONAL_PATHS, PUBLIC_PATHS
from handlers.api.models import Problem
from handlers.api.problems import CONTENT_TYPE

ERRORS = {
    "400": "The body is not JSON",
    "401": "No valid key",
    "404": "There is no such thing",
    "409": "A request with this Idempotency-Key is at work; send it again in a moment",
    "413": "The body has too many bytes",
    "415": "The body is not application/json",
    "422": "A field is not valid, or the Idempotency-Key was used with another body; `errors` names it",
    "500": "The request failed; the log of the service says why",
    "503": "The service cannot do this at the moment; try again",
}
# Of Powertools, which would answer errors in its own form.
_FOREIGN_SCHEMAS = ("HTTPValidationError", "ValidationError", "ResponseValidationError")
# Once: the draft's header, as draft-ietf-httpapi-idempotency-key-header-07 describes it.
_ONCE = {
    "name": once.HEADER,
    "in": "header",
    "required": False,
    "description": (
        "A name of the caller's for this request, best a UUID. For a day the same request under the same name does its "
        "work once: it is answered as it was, with `Idempotent-Replayed: true`. What was refused is not kept."
    ),
    "schema": {"type": "string", "pattern": once.DOCUMENTED},
}
_REFERENCE = "#/components/schemas/{model}"


def document(app: APIGatewayHttpResolver, version: str) -> dict[str, Any]:
    """Return the document of all routes of an application.

    Parameters
    ----------
    app
        The resolver with its routes.
    version
        Version of the deployed code.
    """
    made: dict[str, Any] = json.loads(app.get_openapi_json_schema(title="Books and their pictures", version=version))
    schemas = made["components"]["schemas"]
    for name in _FOREIGN_SCHEMAS:
        schemas.pop(name, None)
    schemas |= models_json_schema([(Problem, "serialization")], ref_template=_REFERENCE)[1]["$defs"]
    made["components"]["securitySchemes"] = {"key": {"type": "apiKey", "in": "header", "name": "X-API-Key"}}
    for path, operations in made["paths"].items():
        for method, operation in operations.items():
            if once.takes_key(method, path):
                operation.setdefault("parameters", []).append(_ONCE)
            operation["security"] = _security(path)
            operation["responses"] = _responses(path, operation, once=once.takes_key(method, path))
    return made


def _security(path: str) -> list[dict[str, list[str]]]:
    if path in PUBLIC_PATHS:
        return []
    # OpenAPI 3.1, "Operation Object": an empty requirement beside another makes it optional.
    return [{"key": []}, {}] if path in KEY_OPTIONAL_PATHS else [{"key": []}]


def _responses(path: str, operation: dict[str, Any], *, once: bool) -> dict[str, Any]:
    """Keep what the route says of its successes and conflicts; say of every error that it is a problem document."""
    declared = operation["responses"]
    codes = {"500", "503", *(code for code in declared if code not in {"422"} and int(code) >= 400)}  # noqa: PLR2004
    if path not in PUBLIC_PATHS:
        # 404 also for what no route takes: an empty part of a path makes another path of it.
        codes |= {"401", "404", "422"}
    if once:
        codes |= {"409"}
    # A body is refused before the route, also by one that takes none.
    codes |= {"400", "413", "415"}
    successes = {code: response for code, response in declared.items() if int(code) < 400}  # noqa: PLR2004
    return successes | {code: _problem(declared.get(code, {}), code) for code in sorted(codes)}


def _problem(declared: dict[str, Any], code: str) -> dict[str, Any]:
    description = declared.get("description") if code not in {"422", "500"} else None
    schema = {"$ref": _REFERENCE.format(model="Problem")}
    # What a route itself answers with this status, beside the problem document.
    own = {media: value for media, value in declared.get("content", {}).items() if code == "503"}
    return {"description": description or ERRORS[code], "content": own | {CONTENT_TYPE: {"schema": schema}}}
