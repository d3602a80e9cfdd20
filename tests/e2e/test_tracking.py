"""The tracking flow: its schedule fires, and every book's message is worked through."""

from __future__ import annotations

import time

import pytest

from tests.deployed import Deployed


@pytest.mark.slow
def test_the_schedule_sends_one_message_a_book_and_the_worker_takes_each(deployed: Deployed) -> None:
    api, logs = deployed.api("tracking"), deployed.cloud.client("logs")
    for number in range(12):
        api.create_book(f"Tracked {number}")
    sqs = deployed.cloud.client("sqs")
    url = sqs.get_queue_url(QueueName="bluemoxon-local-tracking-jobs")["QueueUrl"]
    dispatched, worked = "/aws/lambda/bluemoxon-local-tracking-dispatcher", "/aws/lambda/bluemoxon-local-tracking"

    def lines(group: str) -> list[str]:
        return [event["message"] for event in logs.filter_log_events(logGroupName=group)["events"]]

    before = sum("is acknowledged" in line for line in lines(worked))
    deployed.cloud.clock.advance(60 * 60 + 1)
    deadline = time.monotonic() + 90
    names = ["ApproximateNumberOfMessages"]

    def waiting() -> bool:
        return bool(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"][names[0]] != "0")

    while sum("is acknowledged" in line for line in lines(worked)) < before + 12 or waiting():
        assert time.monotonic() < deadline, (lines(dispatched)[-3:], lines(worked)[-3:])
        time.sleep(0.3)
    assert any('"message":"dispatched"' in line for line in lines(dispatched))
