"""Requests and answers about dead letters."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field, StrictBool, StringConstraints

from handlers.api.models import Request
from handlers.common.dead_letters import Verdict

MOST_IDS = 100

MessageId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,100}$")]


class DeadLetter(BaseModel):
    """A message that its worker could not do, with what is known of its job.

    `body` is as it was sent, and cut where `body_bytes` is more than its bytes. Where there is no `reason`,
    `reason_unknown` says why.
    """

    id: str
    flow: str
    body: str
    body_bytes: int
    reason: str | None
    reason_unknown: str | None
    job_id: UUID | None
    job_status: str | None
    sent_at: datetime
    age_seconds: int
    receives: int
    redrives: int


class FlowProblem(BaseModel):
    """A flow whose dead letters could not be read."""

    flow: str
    error: str


class DeadLetterPage(BaseModel):
    """Dead letters, oldest first; `complete` says that there are no others."""

    dead_letters: list[DeadLetter]
    problems: list[FlowProblem]
    complete: bool


class _Chosen(Request):
    flow: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    ids: Annotated[list[MessageId], Field(min_length=1, max_length=MOST_IDS)]
    dry_run: StrictBool = False


class Redrive(_Chosen):
    """Dead letters to send back; with `force` also those that were sent back three times."""

    force: StrictBool = False


class Discard(_Chosen):
    """Dead letters to delete for good; `confirm` is `discard <n>`, n the number of ids. A dry run needs none."""

    confirm: Annotated[str, StringConstraints(max_length=100)] = ""


class DeadLetterResult(BaseModel):
    """What became of one dead letter."""

    id: str
    outcome: Verdict
    detail: str


class DeadLetterResults(BaseModel):
    """What became of each dead letter that was named."""

    results: list[DeadLetterResult]
