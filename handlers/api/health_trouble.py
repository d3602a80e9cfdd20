"""What is wrong, in words: errors of AWS, the database and deadlines become a diagnosis that names role and action."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from handlers.api.health_models import Code, Status
from handlers.api.health_threads import DeadlineError

# "Error handling" of each service; SQS says RequestThrottled, Lambda TooManyRequestsException, CloudWatch Throttling.
THROTTLED = frozenset(
    {
        "RequestThrottled",
        "RequestThrottledException",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "SlowDown",
    }
)
# "Forbidden" is what HeadBucket has: its answer has no body, so botocore takes the status, 403.
DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "Forbidden", "403"})
NO_SUCH_QUEUE = frozenset({"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"})
# "Troubleshoot access denied error messages", IAM user guide: who, what, on which resource.
_ACTION = re.compile(r"not authorized to perform: ([a-z0-9-]+:[A-Za-z]+)")
_ROLE = re.compile(r":assumed-role/([^/\s]+)/")


@dataclass(frozen=True)
class Trouble:
    """Something wrong: a code for programs, a sentence for people, how bad it is, and AWS's own words where it has."""

    code: Code
    words: str
    status: Status
    error: str | None = None


@dataclass(frozen=True)
class Asked:
    """What was asked: an action on a thing, named as people name it.

    `unknown` is how bad it is to get no answer, `forbidden` how bad to be told that one may not ask: then the thing may
    well work, and only the look at it does not.
    """

    action: str
    thing: str
    unknown: Status = "unhealthy"
    forbidden: Status = "degraded"


def role_of(arn: str) -> str | None:
    """Return the name of the role in the ARN of its session (``…:assumed-role/NAME/SESSION``)."""
    found = _ROLE.search(arn)
    return found.group(1) if found else None


def error_code(error: Exception) -> str:
    """Return AWS's code of an error, empty where it is none of AWS's."""
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, Mapping) else ""


def no_such_queue(error: Exception | None) -> bool:
    """Tell whether SQS says that a queue is not there, which it also says to whoever may not ask."""
    return error is not None and error_code(error) in NO_SUCH_QUEUE


def denied(error: Exception | None) -> bool:
    """Tell whether AWS says that the caller may not do this."""
    return error is not None and error_code(error) in DENIED


def trouble(error: Exception, asked: Asked, role: str) -> Trouble:
    """Say what an error means.

    Parameters
    ----------
    error
        What was raised instead of an answer.
    asked
        What was asked when it was raised.
    role
        Who asked, in words: ``the role bluemoxon-staging-api``.
    """
    raw, code = f"{asked.action}: {error}", error_code(error)
    if isinstance(error, DeadlineError) or type(error).__name__ in _NO_ANSWER:
        words = f"{asked.thing} is not known: {asked.action} did not answer in time ({error})."
        return Trouble("timed_out", words, asked.unknown, raw)
    if no_such_queue(error):
        words = f"{asked.thing} is not there, or {role} lacks {asked.action} on it; SQS gives both the same answer."
        return Trouble("not_there_or_not_permitted", words, "unhealthy", raw)
    if denied(error):
        return Trouble("not_permitted", _denied(error, asked, role), asked.forbidden, raw)
    if code in THROTTLED:
        words = f"{asked.thing} is not known: AWS throttles {asked.action} ({code}). Ask again later, and less often."
        return Trouble("throttled", words, "degraded", raw)
    return Trouble("error", f"{asked.thing} is not known: {asked.action} failed ({code or error}).", asked.unknown, raw)


# botocore's, by name: importing it costs more than the rest of a cold start, and who raised it has it already.
_NO_ANSWER = frozenset({"ReadTimeoutError", "ConnectTimeoutError", "EndpointConnectionError", "ConnectionClosedError"})


def _denied(error: Exception, asked: Asked, role: str) -> str:
    said, names = _ACTION.search(str(error)), role_of(str(error))
    # SQS writes its actions in lower case; and what is missing may be another action: kms:Decrypt behind a read.
    action = asked.action
    if said and said.group(1).lower() != action.lower():
        action = f"{said.group(1)}, which {action} needs,"
    who = f"the role {names}" if names else role
    return f"{asked.thing} is not known: {who} lacks {action} on it. Grant it in the program, by the function's needs."
