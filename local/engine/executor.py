"""Carries steps out, several resources at a time, and keeps state, diagnostics and counts exact when one fails."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from local.engine.context import Context
from local.engine.diagnostics import Event
from local.engine.errors import BailError, EngineError, ProviderError
from local.engine.graph import transitive_needs
from local.engine.steps import (
    DeleteProtectedError,
    RefreshStep,
    ReplaceStep,
    SameStep,
    Step,
    with_additional_secrets,
)


class AbortedError(Exception):
    """The deployment has stopped; nothing new is begun."""


@dataclass(frozen=True)
class Done:
    """A step that was carried out.

    Attributes
    ----------
    chain
        Steps of one resource share it; it is the URN that orders them among the others.
    wave
        0 for what the program registered, then one for each wave of deletions.
    """

    step: Step
    wave: int
    chain: str
    position: int


class Executor:
    """Runs chains of steps.

    Parameters
    ----------
    ctx
        The deployment.
    parallel
        How many chains may be under way at once.
    """

    def __init__(self, ctx: Context, parallel: int) -> None:
        self._ctx = ctx
        self._parallel = parallel
        self._slots = threading.Semaphore(parallel)
        self._lock = threading.Lock()
        self._active = 0
        self._idle = threading.Condition(self._lock)
        # A plain flag, because a signal handler sets it.
        self.stopped = False
        self.failed = False
        self.uncertain = False
        self.done: list[Done] = []

    def stop(self) -> None:
        """Begin nothing new."""
        self.stopped = True

    def drain(self) -> None:
        """Wait until everything that is under way has ended."""
        with self._idle:
            while self._active:
                self._idle.wait(0.1)

    def run(self, steps: Sequence[Step], wave: int = 0) -> None:
        """Carry out the steps of one resource, one after the other.

        Raises
        ------
        AbortedError
            If a step fails or the deployment has stopped.
        """
        with self._slots:
            with self._lock:
                self._active += 1
            try:
                for position, step in enumerate(steps):
                    if self.stopped:
                        raise AbortedError
                    self._run(step)
                    with self._lock:
                        self.done.append(Done(step, wave, steps[-1].urn, position))
            except AbortedError:
                self.stop()
                raise
            finally:
                with self._idle:
                    self._active -= 1
                    self._idle.notify_all()

    def run_all(self, steps: Sequence[Step], wave: int) -> list[Step]:
        """Carry out steps of several resources at once and give those that failed."""
        if not steps:
            return []
        with ThreadPoolExecutor(min(self._parallel, len(steps))) as pool:
            return [step for step in pool.map(lambda step: self._run_one(step, wave), steps) if step is not None]

    def run_deletions(self, waves: Sequence[Sequence[Step]]) -> None:
        """Carry out deletions wave by wave; what a protected resource needs is left alone, the rest goes on."""
        everything = [step.state for wave in waves for step in wave]
        spared: set[int] = set()
        for number, wave in enumerate(waves, start=1):
            failed = self.run_all([step for step in wave if id(step.state) not in spared], number)
            for step in failed:
                spared |= transitive_needs(step.state, everything)
            if self.stopped:
                return

    def _run_one(self, step: Step, wave: int) -> Step | None:
        try:
            self.run([step], wave)
        except AbortedError:
            return step
        except DeleteProtectedError:
            return step
        return None

    def _run(self, step: Step) -> None:
        ctx = self._ctx
        ctx.diagnostics.emit(Event("step", step.op, step.urn))
        recorded = bool(step.pending) and step.state.custom
        if recorded:
            ctx.snapshot.begin(step.pending, step.state)
        try:
            step.apply(ctx)
        except EngineError as error:
            self._fail(step, error)
        else:
            self._settle(step)
            step.commit(ctx)
            ctx.diagnostics.emit(Event("done", step.op, step.urn))
        finally:
            if recorded:
                ctx.snapshot.end(step.state)
        if not recorded and not isinstance(step, ReplaceStep | SameStep):
            ctx.snapshot.save()
        if ctx.post_step_failed.is_set():
            self.failed = True
            self.stop()

    def _fail(self, step: Step, error: EngineError) -> None:
        ctx = self._ctx
        self.failed = True
        if isinstance(error, ProviderError):
            self.uncertain |= error.uncertain
        if step.new is not None and step.new.init_errors and step.new.id:
            # The resource exists, only unhealthy: it is recorded, so that the next run repairs it.
            self._settle(step)
            step.commit(ctx)
        if not isinstance(error, BailError):
            prefix = "Preview failed: " if ctx.dry_run else ""
            ctx.diagnostics.error(step.urn, f"{prefix}{error}")
        ctx.diagnostics.emit(Event("failed", step.op, step.urn, str(error), "error"))
        if isinstance(error, DeleteProtectedError):
            raise error
        self.stop()
        raise AbortedError from error

    def _settle(self, step: Step) -> None:
        if step.new is None or isinstance(step, ReplaceStep):
            return
        step.new.outputs = with_additional_secrets(step.new)
        if not isinstance(step, RefreshStep):
            self._ctx.news[step.new.urn] = step.new
