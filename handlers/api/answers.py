"""Answers that several routes give: 202 while a job is at work; and how the OpenAPI document tells of them."""

from http import HTTPStatus
from typing import Any, TypeVar

from aws_lambda_powertools.event_handler import Response, content_types
from pydantic import BaseModel

from handlers.api.models import JobState
from handlers.common import jobs
from handlers.common.tables import ACTIVE_STATES

Model = TypeVar("Model", bound=BaseModel)

CONFLICT: dict[int, Any] = {409: {"description": "Not in this state; the detail says why and what to do"}}
TOO_LARGE: dict[int, Any] = {413: {"description": "The body, or the uploaded object, has too many bytes"}}


def state_of(job: jobs.Job | None) -> JobState | None:
    """Return a job in short."""
    return None if job is None else JobState(id=job.id, status=job.status)


def answer(body: Model, job: jobs.Job | None) -> Response[Model]:
    """Answer 202 while a job is at work on what was asked for, 200 otherwise."""
    active = job is not None and job.status in ACTIVE_STATES
    return Response(
        status_code=HTTPStatus.ACCEPTED if active else HTTPStatus.OK,
        content_type=content_types.APPLICATION_JSON,
        body=body,
    )


def at_work(model: type[BaseModel]) -> dict[int, Any]:
    """Describe what `answer` gives."""
    return _success(200, "Done", model) | _success(202, "Done; a job is at work on it", model)


def created(model: type[BaseModel]) -> dict[int, Any]:
    """Describe a 201, where other answers are described too."""
    return _success(201, "Created", model)


def _success(status: int, description: str, model: type[BaseModel]) -> dict[int, Any]:
    return {status: {"description": description, "content": {content_types.APPLICATION_JSON: {"model": model}}}}
