"""What a request asks of the routes, before one is called: 405 with `Allow`, and parameters as the document has them.

Powertools answers 404 where only the method is wrong, and drops query parameters that a route does not declare: a
misspelt `limit` would be the default, in silence. pydantic reads more spellings of a number than JSON has: `+1`, `1_0`.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, get_args
from urllib.parse import parse_qsl
from uuid import UUID

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver

from handlers.api.edge import PUBLIC_PATHS
from handlers.api.problems import ProblemError, invalid

SPELLINGS: Mapping[type, tuple[re.Pattern[str], str]] = {
    int: (re.compile(r"-?(0|[1-9][0-9]*)"), "a whole number is wanted, in decimal digits"),
    # RFC 9562, 4.
    UUID: (re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"), "a UUID is wanted, 8-4-4-4-12 digits"),
}


def check(app: APIGatewayHttpResolver, event: Mapping[str, Any]) -> None:
    """Refuse a request whose path is there, but not so.

    Parameters
    ----------
    app
        The resolver with its routes.
    event
        An admitted request, payload format 2.0.

    Raises
    ------
    ProblemError
        405 with `Allow`; 422 that names a query parameter that is unknown or given twice, or a number or UUID that is
        spelt otherwise than one.
    """
    path, method = str(event.get("rawPath")), event["requestContext"]["http"]["method"].upper()
    # Powertools has no public list of what a path leads to.
    found = [route for route in app._static_routes + app._dynamic_routes if route.rule.match(path)]
    if not found:
        return
    # The path that says most of itself: to `…/images/reorder` `reorder` is no image's id.
    own = min((route.path for route in found), key=lambda template: template.count("<"))
    routes = {route.method: route for route in found if route.path == own}
    if method not in routes:
        raise method_not_allowed(sorted(routes))
    if path not in PUBLIC_PATHS:
        route = routes[method]
        query = parse_qsl(str(event.get("rawQueryString") or ""), keep_blank_values=True)
        _check_query(query, {field.alias for field in route.dependant.query_params})
        matched = route.rule.match(path)
        _check_spelling("path", matched.groupdict() if matched else {}, route.dependant.path_params)
        _check_spelling("query", dict(query), route.dependant.query_params)


def method_not_allowed(allowed: list[str]) -> ProblemError:
    """Say which methods a path takes (RFC 9110 15.5.6)."""
    takes = ", ".join(allowed)
    return ProblemError(HTTPStatus.METHOD_NOT_ALLOWED, f"This path takes {takes}.", headers={"Allow": takes})


def _check_spelling(where: str, given: Mapping[str, str], fields: Iterable[Any]) -> None:
    for field in fields:
        kinds = {field.field_info.annotation, *get_args(field.field_info.annotation)}
        for kind, (pattern, message) in SPELLINGS.items():
            if kind in kinds and field.alias in given and not pattern.fullmatch(given[field.alias]):
                raise invalid(f"{where}.{field.alias}", message)


def _check_query(query: list[tuple[str, str]], known: set[str]) -> None:
    errors = []
    for name, count in Counter(name for name, _ in query).items():
        if name not in known:
            message = f"is no parameter of this path, which takes {', '.join(sorted(known)) or 'none'}"
        elif count > 1:
            message = "is given more than once"
        else:
            continue
        errors.append({"field": f"query.{name[:100]}", "message": message})
    if errors:
        detail = f"The request is not valid. {errors[0]['field']} {errors[0]['message']}."
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors[:10])
