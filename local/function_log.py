"""Where a function's output goes: a file, the invocation's tail, and CloudWatch Logs under the function's role."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.background import Background
from local.log_file import LogFile

TAIL_LIMIT = 4096
"""Bytes of log that an invocation answers with (LogType Tail)."""

_log = logging.getLogger(__name__)


class LogStream:
    """The lines of one function process, as CloudWatch's log stream of that process.

    Parameters
    ----------
    log : LogFile
        Where each line goes as it comes; shared by all processes of the function.
    now : callable
        Seconds since the epoch.
    deliver : callable
        Takes the stream's name and the lines (milliseconds, text) of an invocation when that has ended.
    """

    def __init__(
        self, log: LogFile, now: Callable[[], float], deliver: Callable[[str, list[tuple[int, str]]], None]
    ) -> None:
        day = datetime.fromtimestamp(now(), UTC).strftime("%Y/%m/%d")
        self.name = f"{day}/[$LATEST]{uuid.uuid4().hex}"
        self._log, self._now = log, now
        self._deliver = deliver
        self._lines: list[tuple[int, str]] = []

    def write(self, text: str) -> None:
        """Take one line of output."""
        # awslambdaric keeps a stack trace in one record by separating its lines with carriage returns
        line = text.rstrip("\n").replace("\r", "\n")
        self._lines.append((int(self._now() * 1000), line))
        self._log.write(line)

    def flush(self) -> bytes:
        """End an invocation: deliver its lines and answer with their last 4 KB."""
        lines, self._lines = self._lines, []
        if lines:
            self._deliver(self.name, lines)
        return "".join(line + "\n" for _, line in lines).encode()[-TAIL_LIMIT:]


class Delivery:
    """Brings log lines to CloudWatch Logs with the role's own permissions, behind the invocations."""

    def __init__(self, background: Background) -> None:
        self._background = background
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="function-logs")
        self._streams: set[tuple[str, str]] = set()
        self._refused: set[str] = set()

    def put(self, client: Any, group: str, stream: str, lines: list[tuple[int, str]]) -> None:
        """Queue `lines` for the log group `group`; nothing is delivered to a group that does not exist."""
        self._thread.submit(self._background.run, f"log lines of {group}", self._put, client, group, stream, lines)

    def close(self) -> None:
        """Drop what is not delivered yet."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _put(self, client: Any, group: str, stream: str, lines: list[tuple[int, str]]) -> None:
        try:
            if (group, stream) not in self._streams:
                client.create_log_stream(logGroupName=group, logStreamName=stream)
                self._streams.add((group, stream))
            events = [{"timestamp": at, "message": text} for at, text in lines if text]
            if events:
                client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)
        except (ClientError, BotoCoreError) as error:
            # As on AWS a function without permission to log runs, and simply has no log there; the file has the lines.
            if group not in self._refused and "ResourceNotFoundException" not in str(error):
                self._refused.add(group)
                _log.warning("no lines reach log group %s: %s", group, error)
