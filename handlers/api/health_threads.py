"""Questions asked side by side, each with its own deadline."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

Name = TypeVar("Name", bound=Hashable)
T = TypeVar("T")


class DeadlineError(RuntimeError):
    """There was no answer in time.

    Parameters
    ----------
    seconds
        How long one waited.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no answer within {seconds:g} s")
        self.seconds = seconds


@dataclass(frozen=True)
class Question(Generic[T]):
    """Something to ask, and how many seconds one waits for it."""

    ask: Callable[[], T]
    seconds: float


@dataclass(frozen=True)
class Answer(Generic[T]):
    """What came of a question: a value or an error, after so many milliseconds."""

    latency_ms: float
    value: T | None = None
    error: Exception | None = None


def side_by_side(questions: Mapping[Name, Question[T]]) -> dict[Name, Answer[T]]:
    """Ask everything at once and return when all have answered or run out of time.

    Each question has a thread of its own, so none waits behind another that hangs. The threads are daemons and no
    executor's: an executor joins its threads when the process ends, and one that hangs would keep it.

    Returns
    -------
    dict
        An `Answer` for each question, in the order of the questions; `DeadlineError` where none came in time.
    """
    began = time.monotonic()
    arrived: SimpleQueue[tuple[Name, Answer[T]]] = SimpleQueue()

    def work(name: Name, question: Question[T]) -> None:
        try:
            value, error = question.ask(), None
        except Exception as caught:  # noqa: BLE001  whatever it is, it is this question's answer
            value, error = None, caught
        arrived.put((name, Answer(_since(began), value, error)))

    for name, question in questions.items():
        threading.Thread(target=work, args=(name, question), name=f"ask {name}", daemon=True).start()
    answers: dict[Name, Answer[T]] = {}
    waiting = dict(questions)
    while waiting:
        left = began + min(question.seconds for question in waiting.values()) - time.monotonic()
        try:
            name, answer = arrived.get(timeout=max(left, 0.0))
        except Empty:
            for late in [name for name, question in waiting.items() if _since(began) >= question.seconds * 1000]:
                answers[late] = Answer(_since(began), error=DeadlineError(waiting.pop(late).seconds))
        else:
            # An answer that comes while others are waited for, after its own deadline, is too late all the same.
            if waiting.pop(name, None) is not None:
                answers[name] = answer
    return {name: answers[name] for name in questions}


def _since(began: float) -> float:
    return (time.monotonic() - began) * 1000
