"""``/api/v1/import``: a book with photographs that are in the bucket already."""

from http import HTTPStatus
from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Body
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from handlers.api import images, imports
from handlers.api.answers import CONFLICT, TOO_LARGE, created, state_of
from handlers.api.models import Import, Imported
from handlers.api.parts import parts
from handlers.common.clock import now

router = APIGatewayHttpRouter()  # type: ignore[no-untyped-call]


@router.post(
    "/",
    status_code=HTTPStatus.CREATED,
    summary="Import a book",
    responses=created(Imported) | CONFLICT | TOO_LARGE,
)
def import_book(book: Annotated[Import, Body()]) -> Imported:
    """Take photographs into a new book or one that is there: all of them, or none."""
    book_id, job = imports.run(parts(), book, now=now())
    return Imported(book=images.book(parts(), book_id), job=state_of(job))
