"""``/api/v1/admin/dead-letters``: messages that no worker could do, shown, sent back, thrown away."""

import logging
from collections.abc import Iterator, Sequence
from functools import cache
from http import HTTPStatus
from typing import Annotated, Any

from aws_lambda_powertools.event_handler.openapi.params import Body, Query
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from handlers.api import edge
from handlers.api.dead_letter_models import (
    DeadLetter,
    DeadLetterPage,
    DeadLetterResult,
    DeadLetterResults,
    Discard,
    FlowProblem,
    Redrive,
)
from handlers.api.problems import ProblemError, invalid
from handlers.common import registry, services
from handlers.common.aws import quick_client
from handlers.common.clock import now
from handlers.common.dead_letter_ends import in_database
from handlers.common.dead_letter_reasons import from_jobs
from handlers.common.dead_letter_walk import FlowQueues
from handlers.common.dead_letters import (
    DeadLetters,
    DeadLettersError,
    Result,
    Selection,
    Shown,
    UnknownFlowError,
    Work,
)

log = logging.getLogger(__name__)
router = APIGatewayHttpRouter()  # type: ignore[no-untyped-call]

MOST_SHOWN = 100
"""Letters of one flow in one answer."""
SECONDS = 8
"""For walking through queues. API Gateway waits 29 s, and a call under way at the end may take 10 s to give up."""
BODY_CHARACTERS = 10_000
# Lambda's answer holds 6 MB, and one character may become twelve bytes of JSON.
ALL_BODIES_CHARACTERS = 300_000
SHORT_BODY_CHARACTERS = 200

FlowKey = Annotated[str | None, Query(description="Only this flow's.", max_length=100)]


@cache
def _flows() -> tuple[FlowQueues, ...]:
    flows = registry.load().flows
    return tuple(
        FlowQueues(each.key, each.queue_name, each.dead_letter_queue_name, each.function_name) for each in flows
    )


def dead_letters() -> DeadLetters:
    """Return the dead letters of this deployment."""
    return DeadLetters(quick_client("sqs"), _flows(), from_jobs(services.database()))


@router.get("/", summary="List dead letters")
def list_dead_letters(flow: FlowKey = None) -> DeadLetterPage:
    """List dead letters, oldest first. Looking hides them from others for a moment and counts as a receive."""
    try:
        found = dead_letters().listing(None if flow is None else [flow], limit=MOST_SHOWN, seconds=SECONDS)
    except UnknownFlowError as error:
        raise invalid("query.flow", str(error)) from None
    return DeadLetterPage(
        dead_letters=list(_bounded(found.letters)),
        problems=[FlowProblem(flow=each.flow, error=each.error) for each in found.problems],
        complete=found.complete,
    )


@router.post("/redrive", summary="Send dead letters back to their queue")
def redrive(body: Annotated[Redrive, Body()]) -> DeadLetterResults:
    """Send dead letters back: each is sent, verified, then deleted, so that none can be lost."""
    work = Work(_announce, dry_run=body.dry_run, force=body.force, seconds=SECONDS)
    return _done(body.flow, lambda: dead_letters().redrive(body.flow, Selection(frozenset(body.ids)), work))


@router.post("/discard", summary="Delete dead letters for good")
def discard(body: Annotated[Discard, Body()]) -> DeadLetterResults:
    """End the jobs of dead letters and delete the letters for good."""
    ids = frozenset(body.ids)
    if not body.dry_run and body.confirm != f"discard {len(ids)}":
        raise invalid("body.confirm", f"this deletes messages for good; confirm it with 'discard {len(ids)}'")
    ends = in_database(services.database(), _who(), now)
    work = Work(_announce, end_job=ends, dry_run=body.dry_run, seconds=SECONDS)
    return _done(body.flow, lambda: dead_letters().discard(body.flow, Selection(ids), work))


def _done(flow: str, act: Any) -> DeadLetterResults:
    try:
        results: list[Result] = act()
    except UnknownFlowError as error:
        raise invalid("body.flow", str(error)) from None
    except DeadLettersError as error:
        raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, f"{str(error)[0].upper()}{str(error)[1:]}.") from error
    outcomes = {result.id: result.outcome for result in results}
    log.info("dead letters: done", extra={"who": _who(), "flow": flow, "outcomes": outcomes})
    return DeadLetterResults(
        results=[DeadLetterResult(id=each.id, outcome=each.outcome, detail=each.detail) for each in results]
    )


def _announce(what: Any) -> None:
    log.info("dead letters: %s", what["what"], extra={"who": _who(), **what})


def _who() -> str:
    return f"key:{edge.owner(router.current_event.raw_event)}"


def _bounded(letters: Sequence[Shown]) -> Iterator[DeadLetter]:
    left = ALL_BODIES_CHARACTERS
    for each in letters:
        letter, reason = each.letter, each.reason
        body = letter.body[: BODY_CHARACTERS if left > 0 else SHORT_BODY_CHARACTERS]
        left -= len(body)
        yield DeadLetter(
            id=letter.id,
            flow=letter.flow,
            body=body,
            body_bytes=len(letter.body.encode()),
            reason=reason.text,
            reason_unknown=reason.unknown,
            job_id=reason.job_id,
            job_status=reason.job_status,
            sent_at=letter.sent_at,
            # A queue's clock and this one's may differ by a little.
            age_seconds=max(0, int((now() - letter.sent_at).total_seconds())),
            receives=letter.receives,
            redrives=letter.redrives,
        )
