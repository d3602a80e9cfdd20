"""What the embedded cloud does beside the requests: it goes on when it fails, and says so where a person looks.

A thread that ends with its first error takes its schedules or its mapping with it, and nobody is told. So every such
thread and task runs through here: its error is logged, counted, and shown by `./bmx health`; the thread begins again.
"""

from __future__ import annotations

import json
import logging
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from local.log_file import LogFile
from local.patching import Patches

LOG: Final = "background.log"
_RECORD: Final = "troubles.json"
# Long enough not to keep the machine busy with what fails at once, short enough that a schedule's minute is not missed.
_PAUSE_SECONDS: Final = 1.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trouble:
    """What failed in the background: how often since the cloud started, when last (UTC) and in which words."""

    what: str
    count: int
    last: str
    error: str

    def __str__(self) -> str:
        times = "once" if self.count == 1 else f"{self.count} times"
        return f"{self.what} failed {times}, last at {self.last}: {self.error}"


class Background:
    """The threads and tasks of one embedded cloud.

    Parameters
    ----------
    home : pathlib.Path
        The cloud's folder: what failed stands in `troubles.json` while the cloud lives, with each traceback in
        `logs/background.log`.
    now : callable
        Seconds since the epoch, by the cloud's clock.
    """

    def __init__(self, home: Path, now: Callable[[], float]) -> None:
        self._record = home / _RECORD
        self._tracebacks = LogFile(home / "logs" / LOG)
        self._now = now
        self._lock = threading.Lock()
        self._troubles: dict[str, Trouble] = {}

    @property
    def troubles(self) -> list[Trouble]:
        """What has failed so far, in the order of the first time."""
        with self._lock:
            return list(self._troubles.values())

    def thread(self, name: str, work: Callable[[], None], stop: threading.Event) -> threading.Thread:
        """A thread, not started, that runs `work` until that returns; after an error it begins again, until `stop`."""

        def keep() -> None:
            done = False
            while not done and not stop.is_set():
                with self.guarded(name):
                    work()
                    done = True
                if not done:
                    stop.wait(_PAUSE_SECONDS)

        return threading.Thread(target=keep, name=name, daemon=True)

    def run(self, what: str, work: Callable[..., Any], *args: Any) -> None:
        """Run `work`, as a task whose result nobody asks for."""
        with self.guarded(what):
            work(*args)

    @contextmanager
    def guarded(self, what: str) -> Iterator[None]:
        """Tell of an error inside, and go on after it."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  told: whatever it is, the rest must go on
            self.failed(what, error)

    def failed(self, what: str, error: BaseException) -> None:
        """Log that `what` failed, and keep it for `./bmx health`; the same failure again is only counted."""
        words = " ".join(f"{type(error).__name__}: {error}".split())
        last = datetime.fromtimestamp(self._now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        with self._lock:
            before = self._troubles.get(what)
            self._troubles[what] = Trouble(what, before.count + 1 if before else 1, last, words)
            # A full disk must not end what this is here to keep going.
            with suppress(OSError):
                fresh = self._record.with_suffix(".new")
                fresh.write_text(json.dumps([asdict(each) for each in self._troubles.values()]))
                fresh.replace(self._record)
        if before is None or before.error != words:
            _log.error("%s failed and goes on: %s (logs/%s has the traceback)", what, words, LOG)
            self._tracebacks.write(f"{last} {what}\n{''.join(traceback.format_exception(error)).rstrip()}")

    def install(self) -> Patches:
        """Tell of every other thread that ends with an error as well, until undone."""
        patches = Patches()
        usual = threading.excepthook

        def died(args: threading.ExceptHookArgs) -> None:
            name = args.thread.name if args.thread else "a thread"
            if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
                self.failed(f"thread {name}", args.exc_value)
            usual(args)

        patches.set(threading, "excepthook", died)
        return patches

    def close(self) -> None:
        """Write no more tracebacks."""
        self._tracebacks.close()


def troubles(home: Path) -> list[Trouble]:
    """What has failed in the background of the cloud that another process keeps in `home`."""
    try:
        return [Trouble(**each) for each in json.loads((home / _RECORD).read_text())]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError) as error:
        return [Trouble("reading what failed", 1, "an unknown time", f"{home / _RECORD}: {error}")]
