"""Requests and answers of the API."""

import unicodedata
from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StringConstraints,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import core_schema

from handlers.common.storage import MAX_KEY_LENGTH, MAX_UPLOAD_BYTES, PREFIX, stored_key

MAX_ID = 2**31 - 1  # PostgreSQL's integer
MAX_PAGE = 100
PAGE = 50
# Each is read whole, up to 30 MB, within the 29 s that API Gateway waits.
MAX_IMPORTED = 20
MAX_IMAGES = 1000  # in one order

Id = Annotated[int, Path(ge=1, le=MAX_ID)]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="Most entries of a page.")]


class _Documented:
    """Adds to a type's schema what a validator of ours holds it to."""

    def __init__(self, **schema: Any) -> None:
        self._schema = schema

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return dict(handler(schema)) | self._schema


def _decodable(value: Any) -> Any:
    if isinstance(value, str) and value.lower().startswith(("image/heic", "image/heif", "image/avif")):
        raise ValueError("HEIC and AVIF cannot be read here; convert the picture to JPEG, PNG or WebP")
    return value


ContentType = Annotated[Literal["image/jpeg", "image/png", "image/webp"], BeforeValidator(_decodable)]


# Unicode's general categories (UAX 44, 5.7.1). PostgreSQL cannot store U+0000, and nobody means the other controls, or
# the end of a line, in a title or a file name.
CONTROLS = frozenset({"Cc", "Cs", "Zl", "Zp"})
INVISIBLE = CONTROLS | {"Cf", "Zs"}


def _stripped(text: str) -> str:
    categories = {unicodedata.category(character) for character in text}
    if categories & CONTROLS:
        raise ValueError("control characters and ends of lines are not allowed")
    if categories <= INVISIBLE:
        raise ValueError("it holds nothing that can be seen")
    return text.strip()


def _line(length: int) -> Any:
    # What is sent is what the document's lengths are about; only then the blanks at both ends are taken off.
    return Annotated[
        str,
        StringConstraints(min_length=1, max_length=length),
        AfterValidator(_stripped),
        _Documented(pattern=r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]+$"),
    ]


def _number(value: Any) -> Any:
    # Otherwise pydantic reads true as 1 and "10" as 10. 10.0 is an integer to JSON Schema, and stays one.
    if isinstance(value, bool | str):
        raise ValueError("a number is wanted, without quotes")
    return value


WholeNumber = Annotated[int, BeforeValidator(_number)]


ImageType = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,49}$")]
ObjectKey = Annotated[
    str, StringConstraints(min_length=1, max_length=len(PREFIX) + MAX_KEY_LENGTH), AfterValidator(stored_key)
]
RowId = Annotated[WholeNumber, Field(ge=1, le=MAX_ID)]


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
    image_type: ImageType | None = None
    size: Annotated[WholeNumber, Field(ge=1, le=MAX_UPLOAD_BYTES)] | None = None


class Upload(BaseModel):
    """A form to post to S3: these fields first, then the photograph as ``file``."""

    url: str
    fields: dict[str, str]


class _GivenOrAbsent:
    """Marks a field that may be left out, but not be null; else `X | None` would let null stand for absence."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_before_validator_function(self._refuse_null, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return dict(handler(schema)["anyOf"][0])

    @staticmethod
    def _refuse_null(value: Any) -> Any:
        if value is None:
            raise ValueError("null is no value; leave the field out")
        return value


_OPTIONAL = _GivenOrAbsent()


def _exactly_one(one: str, other: str) -> ConfigDict:
    return ConfigDict(json_schema_extra={"oneOf": [{"required": [one]}, {"required": [other]}]})


class ImportedImage(Request):
    """A photograph in the bucket: by its object's key, with or without `books/`, or by a reserved upload's id.

    What is said of an upload was said when it was reserved, so only a key takes a filename and an image type.
    """

    model_config = _exactly_one("key", "image_id")

    key: Annotated[ObjectKey | None, _OPTIONAL] = None
    image_id: Annotated[RowId | None, _OPTIONAL] = None
    filename: _line(255) | None = None  # type: ignore[valid-type]
    image_type: ImageType | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.key is None) == (self.image_id is None):
            raise ValueError("give either key or image_id")
        if self.image_id is not None and (self.filename is not None or self.image_type is not None):
            raise ValueError("filename and image_type of an upload were given when it was reserved; leave them out")
        return self


class Import(Request):
    """A book to import: a new one by its title, or one that is there by its id; and its photographs in their order."""

    model_config = _exactly_one("title", "book_id")

    title: Annotated[_line(500) | None, _OPTIONAL] = None  # type: ignore[valid-type]
    book_id: Annotated[RowId | None, _OPTIONAL] = None
    images: Annotated[list[ImportedImage], Field(min_length=1, max_length=MAX_IMPORTED)]

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.title is None) == (self.book_id is None):
            raise ValueError("give either title (a new book) or book_id (a book that is there)")
        return self

    @model_validator(mode="after")
    def _no_image_twice(self) -> Self:
        named = [(image.key, image.image_id) for image in self.images]
        if twice := [place for place, name in enumerate(named) if name in named[:place]]:
            raise ValueError(f"images.{twice[0]} is named twice")
        if self.book_id is None and any(image.image_id is not None for image in self.images):
            raise ValueError("an upload belongs to its book; give that book's book_id instead of a title")
        return self


class Order(Request):
    """Every picture of a book once, in the order that is wanted; the first becomes primary."""

    image_ids: Annotated[list[RowId], Field(min_length=1, max_length=MAX_IMAGES)]


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


class Imported(BaseModel):
    """An imported book, and the job that its import caused."""

    book: BookWithImages
    job: JobState | None


class Arrangement(BaseModel):
    """A book's pictures in their new order, and the job of its primary that this caused."""

    images: list[Image]
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


class BookPage(BaseModel):
    """Some books, by id; `next` goes into `after` for the next page and is null on the last."""

    books: list[Book]
    next: int | None


class JobPage(BaseModel):
    """Some image jobs, newest first; `next` goes into `after` for the next page and is null on the last."""

    jobs: list[ImageJob]
    next: UUID | None


class Problem(BaseModel):
    """What went wrong (RFC 9457); `errors` names the fields at fault, where there are any."""

    type: str
    title: str
    status: int
    detail: str
    errors: list["FieldError"] = []


class FieldError(BaseModel):
    """One field at fault, as a dotted path: `body.title`."""

    field: str
    message: str


class Health(BaseModel):
    """Whether the function runs."""

    status: Literal["ok"] = "ok"


class Version(BaseModel):
    """What runs where."""

    version: str
    environment: str
