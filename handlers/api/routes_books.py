"""``/api/v1/books``: books, their pictures, and the way of a photograph into one."""

from http import HTTPStatus
from typing import Annotated

import sqlalchemy as sa
from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Query
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from handlers.api import arrangement, images
from handlers.api.answers import CONFLICT, TOO_LARGE, answer, at_work, state_of
from handlers.api.models import (
    MAX_ID,
    PAGE,
    Arrangement,
    Book,
    BookPage,
    BookWithImages,
    Completion,
    Id,
    Limit,
    NewBook,
    NewImage,
    Order,
    Reservation,
    Upload,
)
from handlers.api.parts import parts
from handlers.api.problems import not_found
from handlers.common import jobs
from handlers.common.clock import now
from handlers.common.tables import books

router = APIGatewayHttpRouter()  # type: ignore[no-untyped-call]


@router.get("/", summary="List books")
def list_books(
    limit: Limit = PAGE,
    after: Annotated[int, Query(ge=0, le=MAX_ID, description="`next` of the page before.")] = 0,
) -> BookPage:
    """List books by their ids."""
    query = sa.select(books.c.id, books.c.title).where(books.c.id > after).order_by(books.c.id).limit(limit + 1)
    with parts().database.begin() as connection:
        rows = connection.execute(query).all()
    found = [Book(id=row.id, title=row.title) for row in rows]
    return BookPage(books=found[:limit], next=found[limit - 1].id if len(found) > limit else None)


@router.post("/", status_code=HTTPStatus.CREATED, summary="Create a book")
def create_book(book: Annotated[NewBook, Body()]) -> Book:
    """Create a book."""
    with parts().database.begin() as connection:
        book_id = connection.execute(sa.insert(books).values(title=book.title).returning(books.c.id)).scalar_one()
    return Book(id=book_id, title=book.title)


@router.get("/<book_id>", summary="Show a book and its pictures")
def show_book(book_id: Id) -> BookWithImages:
    """Show a book and its pictures in their order."""
    return images.book(parts(), book_id)


@router.post("/<book_id>/images", status_code=HTTPStatus.CREATED, summary="Reserve an upload")
def reserve_image(book_id: Id, image: Annotated[NewImage, Body()]) -> Reservation:
    """Reserve an image's id and allow one upload to S3."""
    reserved = images.reserve(parts(), book_id, image, now=now())
    upload = Upload(url=reserved.upload.url, fields=reserved.upload.fields)
    return Reservation(image_id=reserved.image_id, upload=upload, expires_in=reserved.upload.expires_in)


@router.post(
    "/<book_id>/images/<image_id>/complete",
    summary="Take an uploaded photograph in",
    responses=at_work(Completion) | CONFLICT | TOO_LARGE,
)
def complete_image(book_id: Id, image_id: Id) -> Response[Completion]:
    """Take an uploaded photograph in; 202 while a job is at work on it, 200 otherwise."""
    job = images.complete(parts(), book_id, image_id, now=now())
    with parts().database.begin() as connection:
        pictures = images.images_of(parts(), connection, book_id)
    image = next((picture for picture in pictures if picture.id == image_id), None)
    if image is None:
        raise not_found(f"The image {image_id} was deleted.")
    return answer(Completion(image=image, job=state_of(job)), job)


@router.post(
    "/<book_id>/images/<image_id>/primary", summary="Make a picture the primary", responses=at_work(Arrangement)
)
def make_primary(book_id: Id, image_id: Id) -> Response[Arrangement]:
    """Put a picture first; a photograph gets its job by this."""
    return _arranged(book_id, arrangement.make_primary(parts(), book_id, image_id, now=now()))


@router.post("/<book_id>/images/reorder", summary="Put a book's pictures in order", responses=at_work(Arrangement))
def reorder_images(book_id: Id, order: Annotated[Order, Body()]) -> Response[Arrangement]:
    """Put a book's pictures in order; the first becomes primary."""
    return _arranged(book_id, arrangement.reorder(parts(), book_id, order.image_ids, now=now()))


@router.delete("/<book_id>/images/<image_id>", summary="Take a picture out of its book", responses=at_work(Arrangement))
def delete_image(book_id: Id, image_id: Id) -> Response[Arrangement]:
    """Take a picture out of its book; where it was primary, the next one is."""
    return _arranged(book_id, arrangement.delete(parts(), book_id, image_id, now=now()))


def _arranged(book_id: int, job: jobs.Job | None) -> Response[Arrangement]:
    with parts().database.begin() as connection:
        pictures = images.images_of(parts(), connection, book_id)
    return answer(Arrangement(images=pictures, job=state_of(job)), job)
