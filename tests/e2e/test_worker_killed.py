"""A worker that dies in the middle of a job."""

from __future__ import annotations

import time
from pathlib import Path

from flows import catalogue
from tests.e2e.conftest import Deployed
from tests.e2e.pictures import photo_of
from tests.e2e.waiting import finished, kill, wait_until_processing

FLOW = catalogue("bluemoxon-local")[0]


def test_after_redelivery_the_job_completes_and_there_is_one_processed_picture(
    deployed: Deployed, tmp_path: Path
) -> None:
    api = deployed.api("killed")
    book = api.create_book("Killed")
    photo = photo_of(tmp_path, (4000, 3000))  # large enough to be caught at work
    job_id = api.upload(book["id"], photo.path, photo.content_type)["job"]["id"]
    wait_until_processing(api, job_id)
    assert kill(deployed.cloud, FLOW.function_name("bluemoxon-local"))
    time.sleep(1)
    assert api.job(job_id)["status"] == "processing"  # the row does not know that its worker is gone

    deployed.cloud.clock.advance(FLOW.visibility_timeout + 1)
    job = finished(api, job_id)
    assert job["status"] == "completed"
    assert job["attempt_count"] == 2
    images = api.book(book["id"])["images"]
    assert [image["is_background_processed"] for image in images] == [True, False]
