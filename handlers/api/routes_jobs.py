"""``/api/v1/image-jobs``: how far an image job is, and why it failed."""

from typing import Annotated
from uuid import UUID

from aws_lambda_powertools.event_handler.openapi.params import Path
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from handlers.api.models import ImageJob
from handlers.api.parts import parts
from handlers.api.problems import not_found
from handlers.common import jobs

router = APIGatewayHttpRouter()  # type: ignore[no-untyped-call]


@router.get("/<job_id>")
def show_job(job_id: Annotated[UUID, Path()]) -> ImageJob:
    """Show an image job."""
    with parts().database.begin() as connection:
        job = jobs.find(connection, job_id)
    if job is None:
        raise not_found(f"There is no image job {job_id}.")
    return ImageJob.model_validate(job)
