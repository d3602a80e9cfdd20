"""Why a dead letter's job failed, or why nobody can say."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from handlers.common.database import Database, DatabaseUnavailableError
from handlers.common.dead_letter_walk import Letter
from handlers.common.secrets import SecretError
from handlers.common.tables import image_processing_jobs as table

log = logging.getLogger(__name__)

IMAGE_FLOW = "image_processing"
"""The flow whose jobs this program's own tables keep."""


@dataclass(frozen=True)
class Reason:
    """What is known of a letter's job: a reason, or (`unknown`) why there is none; and the job.

    `guess` is what we see in the body of another flow's letter: its function may have given it up for something else.
    """

    text: str | None = None
    unknown: str | None = None
    guess: str | None = None
    job_id: UUID | None = None
    job_status: str | None = None


Reasons = Callable[[str, Collection[UUID]], Mapping[UUID, Reason] | str]
"""Tells, for a flow and job ids, what is known of these jobs; or, in words, why nothing is."""


def nothing_known(flow: str, ids: Collection[UUID]) -> str:
    """Know nothing of any job."""
    return "no table of jobs was asked"


NO_REASONS: Reasons = nothing_known


def from_jobs(database: Database) -> Reasons:
    """Ask the table of image jobs.

    Parameters
    ----------
    database
        The stack's; a login that fails is said in words and hides no letter.
    """

    def reasons(flow: str, ids: Collection[UUID]) -> Mapping[UUID, Reason] | str:
        if flow != IMAGE_FLOW:
            return "this flow's jobs are kept by its own backend"
        if not ids:
            return {}
        query = sa.select(table.c.id, table.c.status, table.c.failure_reason).where(table.c.id.in_(ids))
        try:
            with database.begin() as connection:
                rows = connection.execute(query).all()
        except (DatabaseUnavailableError, SecretError, sa.exc.SQLAlchemyError) as error:
            log.warning("the jobs of dead letters cannot be looked up: %s", error)
            return "the table of jobs cannot be reached from here at the moment"
        return {row.id: _of(row) for row in rows}

    return reasons


def _of(row: Any) -> Reason:
    unknown = None if row.failure_reason else f"the job is {row.status} and its row holds no reason"
    return Reason(row.failure_reason, unknown, job_id=row.id, job_status=row.status)


def reason_of(letter: Letter, known: Mapping[UUID, Reason] | str, log_group: str) -> Reason:
    """Return what is known of a letter's job; where that is nothing, where and from when on its function's log is."""
    fault = _fault(letter.body)
    if letter.flow == IMAGE_FLOW and fault:
        return Reason(text=fault)
    where = f"what its function said is in {log_group}, from {letter.sent_at:%Y-%m-%d %H:%M} UTC on"
    if isinstance(known, str):
        guessed = f"; a guess: {fault}" if fault else ""
        return Reason(unknown=f"{known}; {where}{guessed}", guess=fault, job_id=letter.job_id)
    if letter.job_id is None:
        return Reason(unknown=f"the body names no job_id; {where}", guess=fault)
    found = known.get(letter.job_id) or Reason(
        unknown="there is no such job: its book was deleted, or the body is wrong", job_id=letter.job_id
    )
    return replace(found, unknown=f"{found.unknown}; {where}") if found.unknown else found


def _fault(body: str) -> str | None:
    """Say what the image worker cannot read; the bodies of all flows are JSON objects by contract."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return "the body is not JSON"
    return None if isinstance(value, dict) else "the body is no JSON object"
