"""The tracking flow: its schedule fires, and every book's message is worked through."""

from __future__ import annotations

import time

import pytest

from tests.deployed import Deployed
from tests.e2e.waiting import lines


@pytest.mark.slow
def test_the_schedule_sends_one_message_a_book_and_the_worker_takes_each(deployed: Deployed) -> None:
    api, cloud = deployed.api("tracking"), deployed.cloud
    for number in range(12):
        api.create_book(f"Tracked {number}")
    sqs = cloud.client("sqs")
    url = sqs.get_queue_url(QueueName="bluemoxon-local-tracking-jobs")["QueueUrl"]
    dispatched, worked = "/aws/lambda/bluemoxon-local-tracking-dispatcher", "/aws/lambda/bluemoxon-local-tracking"

    before = sum("is acknowledged" in line for line in lines(cloud, worked))
    cloud.clock.advance(60 * 60 + 1)
    deadline = time.monotonic() + 300  # earlier tests leave books, each of which is a message
    names = ["ApproximateNumberOfMessages"]

    def waiting() -> bool:
        return bool(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"][names[0]] != "0")

    while sum("is acknowledged" in line for line in lines(cloud, worked)) < before + 12 or waiting():
        assert time.monotonic() < deadline, (lines(cloud, dispatched)[-3:], lines(cloud, worked)[-3:])
        time.sleep(0.3)
    assert any('"message":"dispatched"' in line for line in lines(cloud, dispatched))
