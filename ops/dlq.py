"""`./bmx dlq`: dead letters of a stack, listed, shown, sent back, discarded; the work is the API's own."""

from __future__ import annotations

import json
import math
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from handlers.common.clock import now
from handlers.common.database import Database
from handlers.common.dead_letter_ends import EndJob, JobNotEndedError
from handlers.common.dead_letter_reasons import IMAGE_FLOW, from_jobs
from handlers.common.dead_letter_walk import BATCH, FlowQueues, Letter, message_count
from handlers.common.dead_letters import (
    DeadLetters,
    DeadLettersError,
    Listing,
    Result,
    Selection,
    Shown,
    UnknownFlowError,
    Work,
)
from handlers.common.settings import DatabaseSettings
from ops.audit import Audit
from ops.display import console_for
from ops.errors import UserError
from ops.health import invoke
from ops.stacks import StackHandle, stack

DATABASE_SECONDS = 3
"""The database of a stack on AWS lies in private subnets: from an operator's machine it mostly cannot be reached."""
LIST_SECONDS = 600
LIST_LIMIT = 10_000
NONE = " of 0"
HIGHEST_MANAGED_RATE = 500
"""MaxNumberOfMessagesPerSecond of "StartMessageMoveTask", SQS API reference."""


@dataclass(frozen=True)
class Request:
    """What the command line asks for; `ids` and `error` choose letters, together or alone."""

    stack: str = "local"
    flow: str | None = None
    ids: Sequence[str] = ()
    error: str | None = None
    dry_run: bool = False
    force: bool = False
    rate: float = 10.0
    yes: bool = False
    confirm: str = ""
    as_json: bool = False

    @property
    def selection(self) -> Selection:
        """The letters that are meant."""
        return Selection(frozenset(self.ids) or None, self.error)


def listing(request: Request) -> int:
    """Print the dead letters; 0, or 1 where a queue could not be read."""
    found = _find(_letters(stack(request.stack)), request)
    if request.as_json:
        print(json.dumps(_document(found), indent=2))  # noqa: T201
    else:
        _print_listing(console_for(), found)
    return 1 if found.problems else 0


def show(request: Request) -> int:
    """Print letters whole; 0, or 1 where one of the ids is not found."""
    found = _find(_letters(stack(request.stack)), request)
    if request.as_json:
        print(json.dumps(_document(found), indent=2))  # noqa: T201
    else:
        console = console_for()
        for each in found.letters:
            for name, value in _record(each).items():
                console.print(Text(f"{name}: {visible(str(value), keep_lines=name == 'body')}"), soft_wrap=True)
            console.print()
    missing = sorted(set(request.ids) - {each.letter.id for each in found.letters})
    for gone in missing:
        console_for(stderr=True).print(Text(f"{gone}: not among the dead letters now"))
    return 1 if missing or found.problems else 0


def redrive(request: Request) -> int:
    """Send letters back; 0 when all of them went, or there are none."""
    handle = stack(request.stack)
    letters = _letters(handle)
    flow = _one_flow(letters, request)
    selection, of = _looked_for(handle, letters, flow, request)
    asked = not (request.ids or request.yes or request.dry_run)
    if asked and of == NONE:
        console_for(stderr=request.as_json).print(Text(f"no dead letter of {flow} fits; nothing is sent back"))
        if request.as_json:
            print(json.dumps({"results": []}, indent=2))  # noqa: T201
        return 0
    if asked:
        _ask(f"{_letters_of(of.removeprefix(' of '), flow)}{_reason_words(request)}")
    return _act(handle, request, of, lambda work: letters.redrive(flow, selection, work))


def discard(request: Request) -> int:
    """Delete letters for good, after `discard N` was typed or given; 0 when all of them went."""
    handle = stack(request.stack)
    letters = _letters(handle)
    flow = _one_flow(letters, request)
    if request.dry_run:
        selection, of = _looked_for(handle, letters, flow, request)
        return _act(handle, request, of, lambda work: letters.discard(flow, selection, work))
    ids = frozenset(each.letter.id for each in _find(letters, request).letters)
    if not ids:
        raise UserError(f"No dead letter of {flow} fits; nothing is discarded.", exit_code=1)
    wanted = f"discard {len(ids)}"
    given = request.confirm or _typed(f"This deletes {len(ids)} messages for good. Type '{wanted}': ")
    if given != wanted:
        raise UserError(f"Not confirmed: {len(ids)} messages fit, so the words are '{wanted}'. Nothing was deleted.")
    return _act(handle, request, f" of {len(ids)}", lambda work: letters.discard(flow, Selection(ids), work))


def managed(request: Request) -> int:
    """Let SQS itself move a whole dead-letter queue back; it counts no redrives. 0 when the task has started.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html
    """
    handle = stack(request.stack)
    if handle.is_local:
        raise UserError("--managed is SQS's own move task; the embedded cloud has none.", "Leave --managed away.")
    if request.ids or request.error or request.dry_run or request.force:
        raise UserError("--managed moves a whole queue: --id, --error, --dry-run and --force do not go with it.")
    letters = _letters(handle)
    flow = letters.flow(_one_flow(letters, request))
    if not request.yes:
        count = f"about {_count(handle, flow)}"
        _ask(f"{_letters_of(count, flow.key)}, by SQS itself, which notes no redrive")
    rate = min(HIGHEST_MANAGED_RATE, max(1, math.ceil(request.rate)))
    audit, sqs = Audit(handle), handle.client("sqs")
    try:
        arns = [_arn(sqs, name) for name in (flow.dead_letter_queue_name, flow.queue_name)]
        audit.record({"what": "dead_letters.managed_redrive", "flow": flow.key, "source": arns[0], "rate": rate})
        started = sqs.start_message_move_task(
            SourceArn=arns[0], DestinationArn=arns[1], MaxNumberOfMessagesPerSecond=rate
        )
    except (ClientError, BotoCoreError) as error:
        raise UserError(f"SQS did not start the move: {error}", exit_code=1) from error
    if request.as_json:
        print(json.dumps({"task": started["TaskHandle"], "source": arns[0], "rate": rate}))  # noqa: T201
    else:
        console_for().print(Text(f"SQS moves {arns[0]} back at {rate} a second. It goes on without this command."))
    return 0


def visible(text: str, *, keep_lines: bool = False) -> str:
    """Return text whose control, formatting and unassigned characters are written as escapes, for terminals."""
    return "".join(
        character
        if (keep_lines and character == "\n")
        or (unicodedata.category(character)[0] not in "C" and unicodedata.category(character) not in {"Zl", "Zp"})
        else character.encode("unicode_escape").decode()
        for character in text
    )


def _letters(handle: StackHandle) -> DeadLetters:
    flows = [
        FlowQueues(each["key"], each["queue_name"], each["dead_letter_queue_name"], each["function_name"])
        for each in handle.output("flows")
    ]
    settings = DatabaseSettings(handle.output("database_secret_arn"), "disable" if handle.is_local else "require")
    database = Database(
        settings,
        handle.client("secretsmanager"),
        connect_seconds=DATABASE_SECONDS,
        statement_seconds=DATABASE_SECONDS,
    )
    return DeadLetters(handle.client("sqs"), flows, from_jobs(database))


def _find(letters: DeadLetters, request: Request) -> Listing:
    try:
        keys = None if request.flow is None else [request.flow]
        found = letters.listing(keys, limit=LIST_LIMIT, seconds=LIST_SECONDS)
    except UnknownFlowError as error:
        raise UserError(f"{str(error)[0].upper()}{str(error)[1:]}.") from error
    chosen = request.selection
    kept = tuple(each for each in found.letters if chosen.takes_id(each.letter) and chosen.takes_reason(each.reason))
    return Listing(kept, found.problems, found.complete)


def _one_flow(letters: DeadLetters, request: Request) -> str:
    if request.flow is None:
        raise UserError("Say which flow: --flow.", f"Flows: {', '.join(sorted(letters.flows))}.")
    try:
        return letters.flow(request.flow).key
    except UnknownFlowError as error:
        raise UserError(f"{str(error)[0].upper()}{str(error)[1:]}.") from error


def _looked_for(handle: StackHandle, letters: DeadLetters, key: str, request: Request) -> tuple[Selection, str]:
    """Say which letters are meant and how many they are, in words that follow a number: " of 3".

    Reasons are known only by looking; of a whole queue SQS's own count is told, for looking takes a receive of each.
    """
    if request.ids:
        return request.selection, f" of {len(set(request.ids))}"
    if request.error is None:
        count = _count(handle, letters.flow(key))
        return request.selection, f" of about {count}" if count else NONE
    found = _find(letters, request)
    ids = frozenset(each.letter.id for each in found.letters)
    if not found.complete:
        return request.selection, f" of at least {len(ids)}"
    return Selection(ids), f" of {len(ids)}" if ids else NONE


def _count(handle: StackHandle, flow: FlowQueues) -> int:
    sqs = handle.client("sqs")
    try:
        return message_count(sqs, sqs.get_queue_url(QueueName=flow.dead_letter_queue_name)["QueueUrl"])
    except (ClientError, BotoCoreError) as error:
        raise UserError(f"{flow.dead_letter_queue_name} cannot be read: {error}", exit_code=1) from error


def _letters_of(count: str, flow: str) -> str:
    return f"{count} dead {'letter' if count.rpartition(' ')[2] == '1' else 'letters'} of {flow}"


def _reason_words(request: Request) -> str:
    return f" whose reason holds {request.error!r}" if request.error else ""


def _act(handle: StackHandle, request: Request, of: str, act: Callable[[Work], list[Result]]) -> int:
    console = console_for(stderr=request.as_json)
    done: list[Result] = []

    def report(result: Result) -> None:
        done.append(result)
        console.print(Text(f"{len(done)}{of}: {result.id} {result.outcome} {visible(result.detail)}"), soft_wrap=True)

    # No more are taken at once than go out in half of the time for which they are hidden.
    audit = None if request.dry_run else Audit(handle)
    work = Work(
        announce=audit.record if audit else _nothing,
        report=report,
        end_job=_end_job(handle, audit.who) if audit else _end_nothing,
        pace=_pace(request.rate),
        dry_run=request.dry_run,
        force=request.force,
        batch=max(1, min(BATCH, int(request.rate * 30))),
    )
    try:
        act(work)
    except DeadLettersError as error:
        raise UserError(str(error), exit_code=1) from error
    finally:
        counts = Counter(result.outcome for result in done)
        console.print(Text(", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())) or "nothing"))
    if request.as_json:
        print(json.dumps({"results": [vars(each) for each in done]}, indent=2))  # noqa: T201
    return 1 if {"failed", "refused", "not_found"} & set(counts) else 0


def _nothing(entry: Any) -> None:
    """Announce nothing: a dry run does nothing."""


def _end_nothing(flow: str, letter: Letter) -> None:
    """End nothing: a dry run does nothing."""


def _end_job(handle: StackHandle, who: str) -> EndJob:
    """End jobs by way of the API's function: the database of a stack on AWS cannot be reached from here."""

    def end(flow: str, letter: Letter) -> None:
        if flow != IMAGE_FLOW or letter.job_id is None:
            return
        asked = {"job_id": str(letter.job_id), "number": letter.number, "redrives": letter.redrives, "who": who[:300]}
        try:
            answer = invoke(handle, str(handle.output("api_function")), {"end_job": asked})
        except UserError as error:
            raise JobNotEndedError(str(error)) from error
        if not isinstance(answer, dict) or answer.get("ended") is not True:
            why = answer.get("error") if isinstance(answer, dict) else None
            raise JobNotEndedError(str(why or "the API's function does not know how; deploy this version first"))

    return end


def _pace(rate: float) -> Callable[[], None]:
    """Return a wait that lets `rate` letters a second through."""
    due = [time.monotonic()]

    def wait() -> None:
        time.sleep(max(0.0, due[0] - time.monotonic()))
        due[0] = max(due[0], time.monotonic()) + 1 / rate

    return wait


def _arn(sqs: Any, name: str) -> str:
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    return str(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"])


def _ask(what: str) -> None:
    if _typed(f"Send back {what}? Type 'yes': ") != "yes":
        raise UserError("Not confirmed. Nothing was sent back.", "Name letters with --id, or pass --yes.")


def _typed(prompt: str) -> str:
    try:
        return input(prompt).strip()
    except EOFError:
        return ""


def _record(shown: Shown) -> dict[str, Any]:
    letter, reason = shown.letter, shown.reason
    return {
        "id": letter.id,
        "flow": letter.flow,
        "reason": reason.text,
        "reason_unknown": reason.unknown,
        "job_id": str(reason.job_id) if reason.job_id else None,
        "job_status": reason.job_status,
        "sent_at": letter.sent_at.isoformat(),
        "age_seconds": max(0, int((now() - letter.sent_at).total_seconds())),
        "receives": letter.receives,
        "redrives": letter.redrives,
        "body": letter.body,
    }


def _document(found: Listing) -> dict[str, Any]:
    return {
        "dead_letters": [_record(each) for each in found.letters],
        "problems": [vars(each) for each in found.problems],
        "complete": found.complete,
    }


def _print_listing(console: Console, found: Listing) -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("flow", "id", "age s", "redrives", "reason", "body"):
        table.add_column(column, overflow="fold")
    for each in found.letters:
        row = _record(each)
        reason = (row["reason"] or "")[:200] or f"unknown: {row['reason_unknown']}"
        cells = (row["flow"], row["id"], row["age_seconds"], row["redrives"], reason, row["body"][:80])
        table.add_row(*(Text(visible(str(cell))) for cell in cells))
    console.print(table if found.letters else "no dead letters", markup=False)
    for problem in found.problems:
        console.print(Text(f"{problem.flow}: {visible(problem.error)}", style="red"), soft_wrap=True)
    if not found.complete:
        console.print("There may be more: some could not be read, or another reader hides them for some seconds.")
