"""Dead letters of every flow: listed, sent back, thrown away. The API and `./bmx dlq` share it.

It knows SQS and the queues' names. Why a job failed is told by `reasons` (see `dead_letter_reasons`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from handlers.common.dead_letter_ends import EndJob, JobNotEndedError
from handlers.common.dead_letter_reasons import NO_REASONS, Reason, Reasons, reason_of
from handlers.common.dead_letter_sending import NotVerifiedError, largest_message, objection, send
from handlers.common.dead_letter_walk import BATCH, FlowQueues, Letter, Walk
from handlers.common.registry import log_group

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

LOOK_SECONDS = 10
"""How long a message that was looked at stays hidden if nobody can give it back."""
WORK_SECONDS = 60
"""The same for a walk that sends back or discards: sending, verifying and deleting ten letters fits in many times."""
WAIT_SECONDS = 1
MOST_FAILURES = 3
"""Failures in a row that end the work: what SQS refuses three times it refuses the next thousand times too."""

Verdict = Literal["redriven", "would_redrive", "discarded", "would_discard", "refused", "not_found", "failed"]


class UnknownFlowError(LookupError):
    """No flow has this key."""

    def __init__(self, key: str, known: Collection[str]) -> None:
        super().__init__(f"there is no flow {key!r}; the flows are {', '.join(sorted(known))}")


class DeadLettersError(RuntimeError):
    """A queue could not be read; says which and what AWS answered."""


@dataclass(frozen=True)
class Shown:
    """A letter with what is known of its job."""

    letter: Letter
    reason: Reason


@dataclass(frozen=True)
class Trouble:
    """A flow whose dead letters could not be read, or not all of them."""

    flow: str
    error: str


@dataclass(frozen=True)
class Listing:
    """Dead letters, oldest first; `complete` says that there are no others."""

    letters: tuple[Shown, ...]
    problems: tuple[Trouble, ...]
    complete: bool


@dataclass(frozen=True)
class Result:
    """What became of one letter, and why."""

    id: str
    outcome: Verdict
    detail: str = ""


@dataclass(frozen=True)
class Selection:
    """Which letters of a queue are meant: those with these ids, those whose reason holds this text, or both's overlap.

    With neither all are meant.
    """

    ids: frozenset[str] | None = None
    error: str | None = None

    def takes_id(self, letter: Letter) -> bool:
        """Whether a letter is meant as far as its id goes."""
        return self.ids is None or letter.id in self.ids

    def takes_reason(self, reason: Reason) -> bool:
        """Whether a letter is meant as far as its reason goes; text is compared without regard to case."""
        return self.error is None or self.error.casefold() in (reason.text or reason.guess or "").casefold()


@dataclass(frozen=True)
class Work:
    """How letters are worked on.

    Parameters
    ----------
    announce
        Told what is about to be done with which letters, before it is; what it raises stops the work, so that nothing
        happens that could not be logged.
    report
        Told each result at once.
    end_job
        Ends the job of a letter that is discarded, before it is; where it raises, the letter stays, unless forced.
    pace
        Called before each letter; waits as long as the wanted rate asks for.
    dry_run, force
        Change nothing; do also what is refused otherwise.
    seconds
        Time for all of it; None: without limit.
    """

    announce: Callable[[Mapping[str, Any]], None]
    report: Callable[[Result], None] = lambda result: None
    end_job: EndJob = lambda flow, letter: None
    pace: Callable[[], None] = lambda: None
    dry_run: bool = False
    force: bool = False
    seconds: float | None = None
    batch: int = BATCH


class DeadLetters:
    """The dead letters of a deployment.

    Parameters
    ----------
    sqs
        Client of SQS.
    flows
        The queues' names; from the registry, or the stack's outputs.
    reasons
        Tells by flow and job ids why the jobs failed.
    wait_seconds
        How long an empty answer may wait for messages, 0 to 20.
    """

    def __init__(
        self,
        sqs: SQSClient,
        flows: Sequence[FlowQueues],
        reasons: Reasons = NO_REASONS,
        *,
        wait_seconds: int = WAIT_SECONDS,
    ) -> None:
        self._sqs, self._reasons, self._wait = sqs, reasons, wait_seconds
        self.flows = {flow.key: flow for flow in flows}

    def flow(self, key: str) -> FlowQueues:
        """Return a flow's names.

        Raises
        ------
        UnknownFlowError
            With the known ones.
        """
        if key not in self.flows:
            raise UnknownFlowError(key, self.flows)
        return self.flows[key]

    def listing(self, keys: Sequence[str] | None = None, *, limit: int, seconds: float) -> Listing:
        """Look into the dead-letter queues of all flows, or of some, side by side.

        Parameters
        ----------
        keys
            Flows; None for all.
        limit
            Most letters of one flow.
        seconds
            Time for it; a call that is under way then is waited for.

        Raises
        ------
        UnknownFlowError
            One of the keys is none.
        """
        flows = [self.flow(key) for key in (self.flows if keys is None else keys)]
        if not flows:
            return Listing((), (), complete=True)
        with ThreadPoolExecutor(len(flows)) as threads:
            parts = list(threads.map(lambda flow: self._look(flow, limit, seconds), flows))
        letters = sorted(
            (each for part in parts for each in part.letters), key=lambda each: (each.letter.sent_at, each.letter.id)
        )
        problems = tuple(each for part in parts for each in part.problems)
        return Listing(tuple(letters), problems, all(part.complete for part in parts))

    def redrive(self, key: str, selection: Selection, work: Work) -> list[Result]:
        """Send letters back to their queue, one after another: send, verify, delete.

        Raises
        ------
        UnknownFlowError, DeadLettersError
            There is no such flow, or its queues cannot be read.
        """
        flow = self.flow(key)
        target = self._url(flow, flow.queue_name)
        try:
            largest = largest_message(self._sqs, target)
        except _aws_errors() as error:
            raise DeadLettersError(_words(flow, flow.queue_name, error)) from error

        def one(url: str, letter: Letter) -> Result:
            if refusal := objection(letter, largest=largest, force=work.force):
                return Result(letter.id, "refused", refusal)
            if work.dry_run:
                return Result(letter.id, "would_redrive", f"redrive {letter.redrives + 1}")
            return self._send_back(url, target, letter, largest)

        return self._work("redrive", flow, selection, work, one)

    def discard(self, key: str, selection: Selection, work: Work) -> list[Result]:
        """End the letters' jobs and delete the letters for good.

        Raises
        ------
        UnknownFlowError, DeadLettersError
            There is no such flow, or its queue cannot be read.
        """

        def one(url: str, letter: Letter) -> Result:
            if work.dry_run:
                return Result(letter.id, "would_discard")
            try:
                work.end_job(key, letter)
            except JobNotEndedError as error:
                if not work.force:
                    return Result(letter.id, "failed", f"its job could not be ended, so it was not deleted: {error}")
            try:
                self._sqs.delete_message(QueueUrl=url, ReceiptHandle=letter.receipt)
            except _aws_errors() as error:
                return Result(letter.id, "failed", f"it was not deleted: {error}")
            return Result(letter.id, "discarded")

        return self._work("discard", self.flow(key), selection, work, one)

    def _look(self, flow: FlowQueues, limit: int, seconds: float) -> Listing:
        letters: list[Letter] = []
        try:
            with self._walk(flow, LOOK_SECONDS, seconds) as (walk, _):
                for batch in walk.batches():
                    letters += batch
                    if len(letters) >= limit:
                        break
                complete = len(letters) <= limit and walk.complete()
        except DeadLettersError as error:
            return Listing(tuple(self._shown(flow, letters[:limit])), (Trouble(flow.key, str(error)),), complete=False)
        return Listing(tuple(self._shown(flow, letters[:limit])), (), complete)

    def _work(
        self,
        what: str,
        flow: FlowQueues,
        selection: Selection,
        work: Work,
        one: Callable[[str, Letter], Result],
    ) -> list[Result]:
        results: list[Result] = []
        failures = 0

        def note(result: Result) -> None:
            results.append(result)
            work.report(result)

        with self._walk(flow, WORK_SECONDS, work.seconds, work.batch) as (walk, url):
            for batch in walk.batches():
                chosen = self._chosen(flow, batch, selection)
                if chosen and not work.dry_run:
                    work.announce(_announcement(what, flow, chosen, work))
                for letter in chosen:
                    work.pace()
                    result = one(url, letter)
                    if result.outcome in {"redriven", "discarded"}:
                        walk.settle(letter)
                    failures = failures + 1 if result.outcome == "failed" else 0
                    note(result)
                    if failures >= MOST_FAILURES or not walk.in_time:
                        break
                found = {result.id for result in results}
                if failures >= MOST_FAILURES or (selection.ids is not None and selection.ids <= found):
                    break
            missing = sorted((selection.ids or frozenset()) - {result.id for result in results})
            detail = _why_missing(walk, stopped=failures >= MOST_FAILURES)
        for each in missing:
            note(Result(each, "failed" if failures >= MOST_FAILURES else "not_found", detail))
        return results

    def _chosen(self, flow: FlowQueues, batch: Sequence[Letter], selection: Selection) -> list[Letter]:
        letters = [letter for letter in batch if selection.takes_id(letter)]
        if selection.error is None:
            return letters  # without asking for reasons: sending back must work while the database does not
        return [each.letter for each in self._shown(flow, letters) if selection.takes_reason(each.reason)]

    def _send_back(self, source: str, target: str, letter: Letter, largest: int) -> Result:
        try:
            send(self._sqs, target, letter, largest=largest)
        except NotVerifiedError as error:
            return Result(letter.id, "failed", f"the dead letter stays, a copy may be worked on as well: {error}")
        except _aws_errors() as error:
            return Result(letter.id, "failed", f"it was not sent, the dead letter stays: {error}")
        try:
            self._sqs.delete_message(QueueUrl=source, ReceiptHandle=letter.receipt)
        except _aws_errors() as error:
            detail = f"sent, but still among the dead letters too; discard that one once the job has ended: {error}"
            return Result(letter.id, "redriven", detail)
        return Result(letter.id, "redriven", f"redrive {letter.redrives + 1}")

    def _shown(self, flow: FlowQueues, letters: Sequence[Letter]) -> list[Shown]:
        ids = {letter.job_id for letter in letters}
        known = self._reasons(flow.key, {each for each in ids if each is not None}) if letters else {}
        return [Shown(letter, reason_of(letter, known, log_group(flow.function_name))) for letter in letters]

    def _walk(self, flow: FlowQueues, hide: int, seconds: float | None, size: int = BATCH) -> _Opened:
        return _Opened(self, flow, hide, seconds, size)

    def _url(self, flow: FlowQueues, name: str) -> str:
        try:
            return self._sqs.get_queue_url(QueueName=name)["QueueUrl"]
        except _aws_errors() as error:
            raise DeadLettersError(_words(flow, name, error)) from error


class _Opened:
    """A walk and its queue's address; what AWS refuses meanwhile becomes a `DeadLettersError` in words."""

    def __init__(self, owner: DeadLetters, flow: FlowQueues, hide: int, seconds: float | None, size: int) -> None:
        self._owner, self._flow = owner, flow
        self._hide, self._seconds, self._size = hide, seconds, size

    def __enter__(self) -> tuple[Walk, str]:
        owner = self._owner
        url = owner._url(self._flow, self._flow.dead_letter_queue_name)
        self._walk = Walk(
            owner._sqs,
            url,
            self._flow.key,
            hide=self._hide,
            wait=owner._wait,
            seconds=self._seconds,
            size=self._size,
        )
        return self._walk, url

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        self._walk.__exit__(kind, error, trace)
        if isinstance(error, _aws_errors()):
            raise DeadLettersError(_words(self._flow, self._flow.dead_letter_queue_name, error)) from error


def _announcement(what: str, flow: FlowQueues, letters: Sequence[Letter], work: Work) -> dict[str, Any]:
    return {
        "what": f"dead_letters.{what}",
        "flow": flow.key,
        "dead_letter_queue": flow.dead_letter_queue_name,
        "force": work.force,
        # The digest tells later which message it was; the body itself may hold what does not belong in a log.
        "messages": [
            {"id": letter.id, "redrives": letter.redrives, "sha256": hashlib.sha256(letter.body.encode()).hexdigest()}
            for letter in letters
        ],
    }


def _why_missing(walk: Walk, *, stopped: bool) -> str:
    if stopped:
        return f"not tried: {MOST_FAILURES} letters in a row failed"
    if not walk.in_time:
        return "the time was up before it was found; try again"
    return "not in the dead-letter queue now: moved, discarded, or hidden by another reader for some seconds"


def _words(flow: FlowQueues, name: str, error: BaseException) -> str:
    code = str(getattr(error, "response", {}).get("Error", {}).get("Code", ""))
    hint = ""
    if "NonExistentQueue" in code or "QueueDoesNotExist" in code:
        # SQS gives the same answer to a caller that may not ask.
        hint = " (it is not there, or the caller lacks sqs:GetQueueUrl on it)"
    return f"the queue {name} of the flow {flow.key} cannot be read: {error}{hint}"


def _aws_errors() -> tuple[type[BaseException], ...]:
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  loaded with the client already

    return ClientError, BotoCoreError
