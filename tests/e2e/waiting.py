"""Waiting for what the deployed stack does on its own."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from components.flow import Flow
from local.cloud import Cloud
from ops import run as runs
from ops.client import ApiClient
from ops.stacks import StackHandle


def finished(api: ApiClient, job_id: str, seconds: float = 60.0) -> dict[str, Any]:
    """The job once it has ended."""
    deadline = time.monotonic() + seconds
    while (job := api.job(job_id))["status"] not in runs.ENDED:
        assert time.monotonic() < deadline, job
        time.sleep(0.1)
    return job


def eventually(condition: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
    """Wait until it holds; `what` says that it does not."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def lines(cloud: Cloud, group: str) -> list[str]:
    """Every line of a log group."""
    pages = cloud.client("logs").get_paginator("filter_log_events").paginate(logGroupName=group)
    return [event["message"] for page in pages for event in page["events"]]


def wait_until_processing(api: ApiClient, job_id: str) -> None:
    deadline = time.monotonic() + 60
    while (status := api.job(job_id)["status"]) != "processing":
        assert status == "pending", status
        assert time.monotonic() < deadline
        time.sleep(0.02)


def kill(cloud: Cloud, function: str) -> list[int]:
    """Kill the processes of a function; their ids."""
    killed = cloud.runtime.processes(function)
    for process in killed:
        os.kill(process, signal.SIGKILL)
    return killed


@contextmanager
def failing(cloud: Cloud, flow: Flow, prefix: str) -> Iterator[None]:
    """Let a delivery fail, and the time pass after which it must have ended; afterwards the queue is empty."""
    sqs, group = cloud.client("sqs"), f"/aws/lambda/{flow.function_name(prefix)}"
    url = sqs.get_queue_url(QueueName=flow.queue_name(prefix))["QueueUrl"]

    def reports() -> int:
        return sum(line.startswith("REPORT") for line in lines(cloud, group))

    before = reports()
    sqs.send_message(QueueUrl=url, MessageBody="no message of this flow")
    try:
        eventually(lambda: reports() > before, "nothing was delivered", 60)
        cloud.clock.advance(flow.timeout + 180)
        yield
    finally:
        with suppress(sqs.exceptions.PurgeQueueInProgress):
            sqs.purge_queue(QueueUrl=url)


@contextmanager
def nobody_polls(stack: StackHandle, function: str) -> Iterator[None]:
    """While the mapping of a function is disabled, its messages are the test's own.

    A mapping that is taken away meanwhile, or whose queue is, stays as it is then.
    """
    functions = stack.client("lambda")
    (mapping,) = functions.list_event_source_mappings(FunctionName=function)["EventSourceMappings"]
    functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    try:
        eventually(
            lambda: functions.get_event_source_mapping(UUID=mapping["UUID"])["State"] == "Disabled", "still polling"
        )
        yield
    finally:
        gone = functions.exceptions
        with suppress(gone.ResourceNotFoundException, gone.InvalidParameterValueException):
            functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)
