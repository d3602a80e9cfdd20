"""What really runs in a stack: each function's code as Lambda says it, dead letters, the deep health check."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from handlers.common.dead_letter_walk import FlowQueues, message_count
from handlers.common.dead_letters import DeadLetters
from ops import health as deep
from ops.errors import UserError
from ops.promotion.manifest import Code, Health, Letters
from ops.stacks import StackHandle

NO_CODE = "no_code_deployed"
_WALK_SECONDS = 300
_WALK_LIMIT = 100_000


def functions(handle: StackHandle) -> dict[str, Code]:
    """Ask Lambda what every function of the stack runs.

    Raises
    ------
    UserError
        Lambda does not say, or what it runs is not what the stack's configuration names.
    """
    artefacts = handle.output("artefacts")
    found = {}
    for entry in handle.output("functions"):
        name, artefact = str(entry["name"]), entry["artefact"]
        code = _code(handle, name, artefact)
        if artefact is not None and code.sha256 != _declared(artefacts[artefact]):
            raise UserError(
                f"The function {name} runs {code.kind} {code.sha256[:12]}…, and artefacts.{artefact} names another.",
                "Somebody changed it past the program: deploy the stack again.",
                exit_code=1,
            )
        found[name] = code
    return found


def _code(handle: StackHandle, name: str, artefact: str | None) -> Code:
    try:
        answer = handle.client("lambda").get_function(FunctionName=name)
    except (BotoCoreError, ClientError) as error:
        raise UserError(f"Lambda does not say what {name} runs: {error}", exit_code=1) from error
    if answer["Configuration"].get("PackageType") == "Image":
        # Written as the program wrote it; by digest, so it is what was resolved.
        uri = str(answer["Code"]["ImageUri"])
        _, by_digest, digest = uri.partition("@sha256:")
        if not by_digest:
            raise UserError(f"The function {name} runs an image by tag: {uri}.", "Deploy it by digest.", exit_code=1)
        return Code(kind="image", sha256=digest, artefact=artefact)
    sha256 = base64.b64decode(answer["Configuration"]["CodeSha256"]).hex()
    return Code(kind="zip", sha256=sha256, artefact=artefact)


def _declared(artefact: Mapping[str, Any]) -> str:
    image = artefact.get("image")
    return str(image).rpartition("@sha256:")[2] if image else str(artefact["zip"]["sha256"])


def dead_letters(handle: StackHandle) -> dict[str, Letters]:
    """Count every flow's dead letters, and say when the newest was sent.

    Where there are any they are looked at one by one, which hides them for seconds.

    Raises
    ------
    UserError
        A queue cannot be read, or has more than can be looked at.
    """
    sqs = handle.client("sqs")
    queues = [
        FlowQueues(e["key"], e["queue_name"], e["dead_letter_queue_name"], e["function_name"])
        for e in handle.output("flows")
    ]
    counts = {flow.key: _count(sqs, flow.dead_letter_queue_name) for flow in queues}
    filled = [key for key, count in counts.items() if count]
    newest: dict[str, datetime] = {}
    if filled:
        listing = DeadLetters(sqs, queues).listing(filled, limit=_WALK_LIMIT, seconds=_WALK_SECONDS)
        for problem in listing.problems:
            raise UserError(f"The dead letters of {problem.flow} cannot be read: {problem.error}", exit_code=1)
        if not listing.complete:
            raise UserError("There are more dead letters than could be looked at.", "./bmx dlq list", exit_code=1)
        for shown in listing.letters:
            flow, sent = shown.letter.flow, shown.letter.sent_at
            newest[flow] = max(sent, newest.get(flow, sent))
    return {key: Letters(count=count, newest=newest.get(key)) for key, count in counts.items()}


def _count(sqs: Any, name: str) -> int:
    try:
        return message_count(sqs, sqs.get_queue_url(QueueName=name)["QueueUrl"])
    except (BotoCoreError, ClientError) as error:
        raise UserError(f"The queue {name} cannot be counted: {error}", exit_code=1) from error


def health(handle: StackHandle) -> Health:
    """Let the API look at everything now.

    Raises
    ------
    UserError
        It cannot be asked.
    """
    found = deep.ask(handle)
    return Health(status=found["status"], troubles=dict(sorted(_troubles(found["checks"]))))


def _troubles(checks: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Tell what is not healthy by name and code; the words of the check hold names and errors, which stay there."""
    for key, queue in checks["sqs"]["queues"].items():
        if queue["status"] not in {"healthy", "skipped"}:
            yield f"flow {key}", str(queue["diagnosis_code"])
    without_code = {
        key for key, queue in checks["sqs"]["queues"].items() if queue["diagnosis_code"] == NO_CODE
    }  # its function is not there either
    for key, function in checks["lambdas"]["lambdas"].items():
        if function["status"] not in {"healthy", "skipped"}:
            yield f"function {key}", NO_CODE if key in without_code else str(function["status"])
    for name in ("database", "s3", "config"):
        if checks[name]["status"] not in {"healthy", "skipped"}:
            yield name, str(checks[name]["status"])


def promotable(found: Health) -> bool:
    """Whether everything that has code is healthy; a flow that has none yet is degraded by that alone."""
    return found.status == "healthy" or (
        found.status == "degraded" and bool(found.troubles) and set(found.troubles.values()) == {NO_CODE}
    )
