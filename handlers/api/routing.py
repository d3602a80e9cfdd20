"""What a request asks of the routes, before one is called: 405 with `Allow`, and no query parameter that means nothing.

Powertools answers 404 where only the method is wrong, and drops query parameters that a route does not declare: a
misspelt `limit` would be the default, in silence.
"""

from collections import Counter
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver

from handlers.api.edge import PUBLIC_PATHS
from handlers.api.problems import ProblemError


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
        405 with `Allow`; 422 that names an unknown query parameter, or one that is given twice.
    """
    path, method = str(event.get("rawPath")), event["requestContext"]["http"]["method"].upper()
    # Powertools has no public list of what a path leads to.
    routes = {route.method: route for route in app._static_routes + app._dynamic_routes if route.rule.match(path)}
    if routes and method not in routes:
        raise method_not_allowed(sorted(routes))
    if routes and path not in PUBLIC_PATHS:
        known = {field.alias for field in routes[method].dependant.query_params}
        _check_query(str(event.get("rawQueryString") or ""), known)


def method_not_allowed(allowed: list[str]) -> ProblemError:
    """Say which methods a path takes (RFC 9110 15.5.6)."""
    takes = ", ".join(allowed)
    return ProblemError(HTTPStatus.METHOD_NOT_ALLOWED, f"This path takes {takes}.", headers={"Allow": takes})


def _check_query(query: str, known: set[str]) -> None:
    errors = []
    for name, count in Counter(name for name, _ in parse_qsl(query, keep_blank_values=True)).items():
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
