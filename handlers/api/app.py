"""The ``api`` function: API Gateway events in, JSON out."""

from functools import cache
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.api import (
    admin_page,
    edge,
    invocations,
    once,
    openapi,
    page,
    problems,
    routes_admin,
    routes_books,
    routes_dead_letters,
    routes_health,
    routes_import,
    routes_jobs,
    routing,
)
from handlers.common.entry import entry
from handlers.common.settings import Deployment

app = APIGatewayHttpResolver(
    enable_validation=True,
    # Otherwise an answer that does not fit its model is reported as the caller's mistake.
    response_validation_error_http_code=500,
    json_body_deserializer=edge.parse_json,
)
app.include_router(admin_page.router)
app.include_router(routes_health.router, prefix="/api/v1/health")
app.include_router(routes_admin.router, prefix="/api/v1/admin")
app.include_router(routes_dead_letters.router, prefix="/api/v1/admin/dead-letters")
app.include_router(routes_books.router, prefix="/api/v1/books")
app.include_router(routes_import.router, prefix="/api/v1/import")
app.include_router(routes_jobs.router, prefix="/api/v1/image-jobs")
problems.register(app)


@app.get("/api/v1/openapi.json", include_in_schema=False)
def openapi_document() -> dict[str, Any]:
    """Describe every route."""
    return _document()


@cache
def _document() -> dict[str, Any]:
    return openapi.document(app, Deployment.from_environment().version)


@app.get(edge.PAGE_PATH, include_in_schema=False)
def documentation_page() -> Response[str]:
    """Show the document to people; the page is the same for everybody and asks for the key."""
    return Response(200, "text/html; charset=utf-8", page.text(), headers=dict(page.headers()))


@entry(correlation_id="requestContext.requestId")
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one request."""
    if answered := invocations.answer(event):
        return answered
    try:
        admitted = edge.admit(event)
        routing.check(app, admitted)
        return once.answer(admitted, lambda: app.resolve(admitted, context))
    except Exception as error:  # noqa: BLE001  every one of them becomes an answer, as in the routes
        return problems.problem_of(error).as_event()
