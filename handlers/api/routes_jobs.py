"""``/api/v1/image-jobs``: how far image jobs are, why they failed, and another try."""

from typing import Annotated
from uuid import UUID

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from handlers.api import image_jobs
from handlers.api.answers import CONFLICT, answer, at_work
from handlers.api.models import PAGE, ImageJob, JobPage, Limit
from handlers.api.parts import parts
from handlers.api.problems import not_found
from handlers.common import jobs
from handlers.common.clock import now
from handlers.common.job_states import Status

router = APIGatewayHttpRouter()  # type: ignore[no-untyped-call]

JobId = Annotated[UUID, Path()]


@router.get("/", summary="List image jobs")
def list_jobs(
    limit: Limit = PAGE,
    status: Annotated[Status | None, Query(description="Only jobs in this state.")] = None,
    after: Annotated[UUID | None, Query(description="`next` of the page before.")] = None,
) -> JobPage:
    """List image jobs, newest first."""
    with parts().database.begin() as connection:
        found, following = image_jobs.page(connection, status=status, after=after, limit=limit)
    return JobPage(jobs=[ImageJob.model_validate(job) for job in found], next=following)


@router.get("/<job_id>", summary="Show an image job")
def show_job(job_id: JobId) -> ImageJob:
    """Show an image job."""
    with parts().database.begin() as connection:
        job = jobs.find(connection, job_id)
    if job is None:
        raise not_found(f"There is no image job {job_id}.")
    return ImageJob.model_validate(job)


@router.post("/<job_id>/retry", summary="Try an image job again", responses=at_work(ImageJob) | CONFLICT)
def retry_job(job_id: JobId) -> Response[ImageJob]:
    """Let a job that failed begin anew; one that is under way stays as it is."""
    job = image_jobs.retry(parts(), job_id, now=now())
    return answer(ImageJob.model_validate(job), job)
