"""Requests and answers of the API."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from aws_lambda_powertools.event_handler.openapi.params import Path
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from handlers.common.storage import MAX_UPLOAD_BYTES

MAX_ID = 2**31 - 1  # PostgreSQL's integer

Id = Annotated[int, Path(ge=1, le=MAX_ID)]
ContentType = Literal["image/jpeg", "image/png", "image/webp"]


def _printable(text: str) -> str:
    # PostgreSQL cannot store U+0000, and nobody means the other control characters in a title or a file name.
    if any(ord(character) < ord(" ") or ord(character) == 0x7F for character in text):  # noqa: PLR2004  DEL
        raise ValueError("control characters are not allowed")
    return text


def _line(length: int) -> Any:
    return Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=1, max_length=length),
        AfterValidator(_printable),
    ]


class Request(BaseModel):
    """A body in which every field must be known: a misspelt optional field would otherwise be dropped in silence."""

    model_config = ConfigDict(extra="forbid")


class NewBook(Request):
    """A book to create."""

    title: _line(500)  # type: ignore[valid-type]


class Book(BaseModel):
    """A book."""

    id: int
    title: str


class NewImage(Request):
    """A photograph that the caller is about to upload; with `size` (bytes) the upload must have exactly that."""

    filename: _line(255)  # type: ignore[valid-type]
    content_type: ContentType
    image_type: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,49}$")] | None = None
    size: Annotated[int, Field(ge=1, le=MAX_UPLOAD_BYTES)] | None = None


class Upload(BaseModel):
    """A form to post to S3: these fields first, then the photograph as ``file``."""

    url: str
    fields: dict[str, str]


class Reservation(BaseModel):
    """An image's id and its upload; `expires_in` in seconds."""

    image_id: int
    upload: Upload
    expires_in: int


class Image(BaseModel):
    """A picture of a book; `url` is null where the row's key can be no object's."""

    id: int
    position: int
    is_primary: bool
    is_background_processed: bool
    image_type: str | None
    original_filename: str | None
    url: str | None
    thumbnail_url: str | None
    matte_url: str | None


class BookWithImages(Book):
    """A book with its pictures in their order."""

    images: list[Image]


class JobState(BaseModel):
    """An image job in short."""

    id: UUID
    status: str


class Completion(BaseModel):
    """An uploaded picture, and the job that it caused."""

    image: Image
    job: JobState | None


class ImageJob(BaseModel):
    """An image job."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    book_id: int
    status: str
    attempt_count: int
    failure_reason: str | None
    source_image_id: int | None
    processed_image_id: int | None
    model_used: str | None
    result: dict[str, Any] | None
    created_at: datetime | None
    updated_at: datetime | None
    completed_at: datetime | None


class Health(BaseModel):
    """Whether the function runs."""

    status: Literal["ok"] = "ok"


class Version(BaseModel):
    """What runs where."""

    version: str
    environment: str
