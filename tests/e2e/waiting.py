"""Waiting for what the deployed stack does on its own."""

from __future__ import annotations

import time
from typing import Any

from ops import run as runs
from ops.client import ApiClient


def finished(api: ApiClient, job_id: str, seconds: float = 60.0) -> dict[str, Any]:
    """The job once it has ended."""
    deadline = time.monotonic() + seconds
    while (job := api.job(job_id))["status"] not in runs.ENDED:
        assert time.monotonic() < deadline, job
        time.sleep(0.1)
    return job
