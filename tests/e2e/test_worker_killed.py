"""A worker that dies in the middle of a job."""

from __future__ import annotations

import time
from pathlib import Path

import psutil

from flows import catalogue
from ops.client import ApiClient
from tests.e2e.conftest import Deployed
from tests.e2e.pictures import photo_of
from tests.e2e.waiting import finished

FLOW = catalogue("bluemoxon-local")[0]


def workers(function: str) -> list[psutil.Process]:
    """The processes of a function that run now."""
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            if child.environ().get("AWS_LAMBDA_FUNCTION_NAME") == function:
                found.append(child)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def wait_until_processing(api: ApiClient, job_id: str) -> None:
    deadline = time.monotonic() + 60
    while (status := api.job(job_id)["status"]) != "processing":
        assert status == "pending", status
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_after_redelivery_the_job_completes_and_there_is_one_processed_picture(
    deployed: Deployed, tmp_path: Path
) -> None:
    api = deployed.api("killed")
    book = api.create_book("Killed")
    photo = photo_of(tmp_path, (4000, 3000))  # large enough to be caught at work
    job_id = api.upload(book["id"], photo.path, photo.content_type)["job"]["id"]
    wait_until_processing(api, job_id)
    killed = workers(FLOW.function_name("bluemoxon-local"))
    assert killed
    for process in killed:
        process.kill()
    time.sleep(1)
    assert api.job(job_id)["status"] == "processing"  # the row does not know that its worker is gone

    deployed.cloud.clock.advance(FLOW.visibility_timeout + 1)
    job = finished(api, job_id)
    assert job["status"] == "completed"
    assert job["attempt_count"] == 2
    images = api.book(book["id"])["images"]
    assert [image["is_background_processed"] for image in images] == [True, False]
