"""Waiting for what the deployed stack does on its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

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


@contextmanager
def nobody_polls(stack: StackHandle, function: str) -> Iterator[None]:
    """While the mapping of a function is disabled, its messages are the test's own."""
    functions = stack.client("lambda")
    (mapping,) = functions.list_event_source_mappings(FunctionName=function)["EventSourceMappings"]
    functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    try:
        eventually(
            lambda: functions.get_event_source_mapping(UUID=mapping["UUID"])["State"] == "Disabled", "still polling"
        )
        yield
    finally:
        functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)
