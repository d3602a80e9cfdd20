"""What operators did, written before they do it: who, what, when, into the stack's own log group."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from botocore.exceptions import BotoCoreError, ClientError

from ops.errors import UserError
from ops.stacks import StackHandle


class Audit:
    """The operations log of a stack.

    Parameters
    ----------
    stack
        Where it lies.

    Raises
    ------
    UserError
        The stack has no such log, or AWS does not say who is acting: then nothing may be done.
    """

    def __init__(self, stack: StackHandle) -> None:
        self._group = str(stack.output("operations_log_group"))
        self._client = stack.client("logs")
        self._stack = stack.name
        self.who = stack.caller()
        self._stream: str | None = None

    def record(self, entry: Mapping[str, Any]) -> None:
        """Write one entry (`what` and its details) with who and when.

        Raises
        ------
        UserError
            It could not be written; what it announces must not be done.
        """
        moment = time.time()
        when = datetime.fromtimestamp(moment, UTC).isoformat()
        text = json.dumps({"who": self.who, "when": when, "stack": self._stack, **entry})
        try:
            answer = self._client.put_log_events(
                logGroupName=self._group,
                logStreamName=self._named_stream(when),
                logEvents=[{"timestamp": int(moment * 1000), "message": text}],
            )
        except (ClientError, BotoCoreError) as error:
            raise UserError(
                f"Nothing is done, because it cannot be logged in {self._group}: {error}", exit_code=1
            ) from error
        if answer.get("rejectedLogEventsInfo"):
            raise UserError(
                f"Nothing is done, because {self._group} refused the entry.", "Check this machine's clock.", exit_code=1
            )

    def _named_stream(self, when: str) -> str:
        if self._stream is None:
            name = f"{when[:10]}/{uuid4()}"
            self._client.create_log_stream(logGroupName=self._group, logStreamName=name)
            self._stream = name
        return self._stream
