"""``/api/v1/books``: books, and the way of a photograph into one."""

from http import HTTPStatus
from typing import Annotated

import sqlalchemy as sa
from aws_lambda_powertools.event_handler import Response, content_types
from aws_lambda_powertools.event_handler.openapi.params import Body
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from handlers.api import images
from handlers.api.models import (
    Book,
    BookWithImages,
    Completion,
    Id,
    JobState,
    NewBook,
    NewImage,
    Reservation,
    Upload,
)
from handlers.api.parts import parts
from handlers.api.problems import not_found
from handlers.common.clock import now
from handlers.common.tables import books

router = APIGatewayHttpRouter()  # type: ignore[no-untyped-call]


@router.post("/", status_code=HTTPStatus.CREATED)
def create_book(book: Annotated[NewBook, Body()]) -> Book:
    """Create a book."""
    with parts().database.begin() as connection:
        book_id = connection.execute(sa.insert(books).values(title=book.title).returning(books.c.id)).scalar_one()
    return Book(id=book_id, title=book.title)


@router.get("/<book_id>")
def show_book(book_id: Id) -> BookWithImages:
    """Show a book and its pictures in their order."""
    with parts().database.begin() as connection:
        row = connection.execute(sa.select(books.c.id, books.c.title).where(books.c.id == book_id)).one_or_none()
        if row is None:
            raise not_found(f"There is no book {book_id}.")
        return BookWithImages(id=row.id, title=row.title, images=images.images_of(parts(), connection, book_id))


@router.post("/<book_id>/images", status_code=HTTPStatus.CREATED)
def reserve_image(book_id: Id, image: Annotated[NewImage, Body()]) -> Reservation:
    """Reserve an image's id and allow one upload to S3."""
    reserved = images.reserve(parts(), book_id, image, now=now())
    upload = Upload(url=reserved.upload.url, fields=reserved.upload.fields)
    return Reservation(image_id=reserved.image_id, upload=upload, expires_in=reserved.upload.expires_in)


@router.post("/<book_id>/images/<image_id>/complete")
def complete_image(book_id: Id, image_id: Id) -> Response[Completion]:
    """Take an uploaded photograph in; 202 while a job is at work on it, 200 otherwise."""
    job = images.complete(parts(), book_id, image_id, now=now())
    with parts().database.begin() as connection:
        pictures = images.images_of(parts(), connection, book_id)
    image = next((picture for picture in pictures if picture.id == image_id), None)
    if image is None:
        raise not_found(f"The image {image_id} was deleted.")
    active = job is not None and job.status in {"pending", "processing"}
    return Response(
        status_code=HTTPStatus.ACCEPTED if active else HTTPStatus.OK,
        content_type=content_types.APPLICATION_JSON,
        body=Completion(image=image, job=None if job is None else JobState(id=job.id, status=job.status)),
    )
