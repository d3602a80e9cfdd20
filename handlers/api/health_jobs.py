"""What the tables of image jobs say of the flow's health: jobs that wait in vain, and whether the sweeper ran."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from handlers.api.health_trouble import Trouble
from handlers.common.tables import IMAGE_JOBS_SWEEP, sweeps
from handlers.common.tables import image_processing_jobs as table

SWEEP_EVERY = timedelta(minutes=5)
SWEEP_LATE = 3 * SWEEP_EVERY
"""Two runs may fail, or the clocks of two functions differ, before somebody is told."""


@dataclass(frozen=True)
class JobsSight:
    """What one look at the tables found.

    Parameters
    ----------
    last_success
        When the newest completed job ended.
    waiting, abandoned
        Jobs that wait for their message, or whose worker died, for longer than the flow's threshold.
    queue_failed, permanently_failed
        Jobs in these states.
    swept_at, left_undone
        When the sweeper last ended a run, and how many jobs it could not send or free in it.
    """

    last_success: datetime | None
    waiting: int
    abandoned: int
    queue_failed: int
    permanently_failed: int
    swept_at: datetime | None
    left_undone: int


def look(connection: sa.Connection, *, now: datetime, threshold: timedelta) -> JobsSight:
    """Look at the tables once; `threshold` is how long a job may wait."""
    status = table.c.status
    # Rows of the old system may lack every time: such a job has waited for longer than anybody knows.
    touched = sa.func.coalesce(table.c.updated_at, table.c.created_at, now - threshold)
    expiry = sa.func.coalesce(table.c.lease_expires_at, touched)

    def count(*where: sa.ColumnElement[bool]) -> Any:
        return sa.func.count().filter(*where)

    unfinished = connection.execute(
        sa.select(
            count(status == "pending", touched <= now - threshold).label("waiting"),
            count(status == "processing", expiry <= now - threshold).label("abandoned"),
            count(status == "queue_failed").label("queue_failed"),
            count(status == "permanently_failed").label("permanently_failed"),
        ).where(status.not_in(("completed", "failed")))
    ).one()
    last = connection.scalar(sa.select(sa.func.max(table.c.completed_at)).where(status == "completed"))
    run = connection.execute(sa.select(sweeps).where(sweeps.c.name == IMAGE_JOBS_SWEEP)).one_or_none()
    return JobsSight(
        last_success=last,
        swept_at=run.finished_at if run else None,
        left_undone=run.left_undone if run else 0,
        **unfinished._mapping,
    )


def troubles(sight: JobsSight, *, now: datetime, threshold: timedelta) -> Iterator[Trouble]:
    """Say what is wrong with the jobs, each with what to do."""
    seconds = f"{threshold.total_seconds():,.0f} s"
    if sight.waiting:
        yield Trouble(
            "jobs_waiting",
            f"{sight.waiting:,} image jobs have waited for their message for more than {seconds}: try them again, or "
            "look for dead letters; a retry sends a job whose message is gone once the queue is empty.",
            "degraded",
        )
    if sight.abandoned:
        yield Trouble(
            "jobs_waiting",
            f"Workers died at {sight.abandoned:,} image jobs more than {seconds} ago, and no message has come since: "
            "try them again, or look for dead letters.",
            "degraded",
        )
    if sight.queue_failed:
        yield Trouble(
            "jobs_not_sent",
            f"{sight.queue_failed:,} image jobs could not be queued; sending is tried again every hour. Look at the "
            "queue and at the sweeper's log.",
            "degraded",
        )
    if sight.permanently_failed:
        yield Trouble(
            "jobs_given_up",
            f"{sight.permanently_failed:,} image jobs were given up: redrive or discard their dead letters, or try "
            "them again.",
            "degraded",
        )
    yield from _sweeper(sight, now)


def _sweeper(sight: JobsSight, now: datetime) -> Iterator[Trouble]:
    if sight.swept_at is None:
        # A new deployment has not swept yet; the alarm on the sweeper's invocations tells of one that never does.
        return
    if sight.swept_at <= now - SWEEP_LATE:
        minutes = (now - sight.swept_at).total_seconds() / 60
        words = f"The job sweeper last ended a run {minutes:,.0f} minutes ago: look at its schedule and its log."
        yield Trouble("sweeper_late", words, "degraded")
    elif sight.left_undone:
        words = f"The job sweeper could not send or free {sight.left_undone:,} image jobs: look at its log."
        yield Trouble("sweeper_late", words, "degraded")
