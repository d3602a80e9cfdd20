"""What discarding a dead letter does to the job that it was for: the job ends, before the letter is deleted."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa

from handlers.common import jobs
from handlers.common.database import Database, DatabaseUnavailableError
from handlers.common.dead_letter_reasons import IMAGE_FLOW
from handlers.common.dead_letter_walk import Letter
from handlers.common.secrets import SecretError

log = logging.getLogger(__name__)


class JobNotEndedError(RuntimeError):
    """The job of a letter could not be ended; the letter must stay, or the job would wait for it for ever."""


EndJob = Callable[[str, Letter], None]
"""Ends the job of a flow's letter; raises `JobNotEndedError`."""


def in_database(database: Database, who: str, now: Callable[[], datetime]) -> EndJob:
    """End jobs in the table of image jobs; the jobs of other flows are kept by their own backend.

    Parameters
    ----------
    database
        The stack's.
    who
        Who discards, for the job's reason.
    now
        The time.
    """

    def end(flow: str, letter: Letter) -> None:
        if flow == IMAGE_FLOW and letter.job_id is not None:
            end_image_job(database, letter.job_id, letter.number, letter.redrives, who=who, now=now())

    return end


def end_image_job(database: Database, job_id: UUID, number: int, redrives: int, *, who: str, now: datetime) -> None:
    """End the job of one discarded letter; without effect where another message counts, or the job has ended.

    Raises
    ------
    JobNotEndedError
        The database cannot be reached.
    """
    try:
        with database.begin() as connection:
            ended = jobs.discard(connection, job_id, jobs.Message(number, redrives), who=who, now=now)
    except (DatabaseUnavailableError, SecretError, sa.exc.SQLAlchemyError) as error:
        log.exception("image job %s was not ended", job_id)
        raise JobNotEndedError("the table of jobs cannot be reached at the moment") from error
    log.info("image job %s: %s", job_id, "ended, its dead letter is discarded" if ended else "nothing to end")
