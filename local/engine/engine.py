"""The embedded engine's face: options in, outcome out."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any, Final, Literal

import yaml

from local.engine.callbacks import Callbacks
from local.engine.context import Context
from local.engine.deployment import Deployment
from local.engine.diagnostics import Diagnostics, Event
from local.engine.errors import EngineError, UnsupportedError
from local.engine.monitor import Monitor
from local.engine.outcome import Outcome, count, masked_config, records
from local.engine.policy import Analyzer
from local.engine.properties import Marshal
from local.engine.registry import ProviderRegistry
from local.engine.runner import ProgramRun
from local.engine.snapshot import Snapshot
from local.engine.store import PendingOperation, StateStore
from local.engine.targets import UrnTargets
from local.engine.urns import ROOT_STACK_TYPE
from local.engine.values import mask

_GRACE: Final = 5.0
"""Seconds that a program has to exit once its deployment was stopped; then it is killed."""
_SLOW_EXIT: Final = 10.0
"""Seconds after which a person is told that the deployment is done and its program is still running."""
_POLL: Final = 0.005


@dataclass(frozen=True)
class Options:
    """What to do.

    Attributes
    ----------
    kind
        ``preview`` shows what ``up`` would do; ``refresh`` and ``destroy`` as in the CLI.
    targets, excludes, replace
        URNs, with ``*`` (within one part) and ``**`` (anything).
    target_dependents
        What depends on a target may be touched too.
    ignore_protect
        Protected resources may be deleted and replaced.
    skip_preview
        ``up``, ``destroy`` and ``refresh`` do not look first whether the preview fails.
    run_program
        ``destroy`` runs the program, which it needs if a resource has delete hooks.
    refresh
        ``preview`` and ``up`` read the recorded resources again first.
    dry_run
        ``destroy`` and ``refresh`` only show what they would do.
    on_event
        Called with every `Event` as it happens, from several threads.
    """

    kind: Literal["preview", "up", "refresh", "destroy"]
    targets: Sequence[str] = ()
    excludes: Sequence[str] = ()
    replace: Sequence[str] = ()
    target_dependents: bool = False
    ignore_protect: bool = False
    skip_preview: bool = False
    run_program: bool = False
    refresh: bool = False
    dry_run: bool = False
    on_event: Callable[[Event], Any] | None = None

    @property
    def previews(self) -> bool:
        """Whether nothing is carried out."""
        return self.kind == "preview" or self.dry_run

    @property
    def runs_program(self) -> bool:
        """Whether the program is run."""
        return self.kind in {"preview", "up"} or (self.kind == "destroy" and self.run_program)


class Engine:
    """Previews, updates, refreshes and destroys one stack of one Pulumi program.

    Parameters
    ----------
    project
        The folder with ``Pulumi.yaml`` and ``__main__.py``.
    stack
        The stack's name.
    state
        Where its state is kept.
    providers
        Where each package's ResourceProvider listens: ``{"aws": "127.0.0.1:4567"}``.
    analyzers
        Where policy packs listen.
    parallel
        How many resources may be worked on at once.
    environment
        Variables for the program beyond PATH, HOME and the locale.
    """

    def __init__(
        self,
        project: Path,
        stack: str,
        state: StateStore,
        providers: Mapping[str, str],
        analyzers: Sequence[str] = (),
        *,
        parallel: int = 8,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._folder = project.resolve()
        self._project = _project_name(self._folder)
        self._stack = stack
        self._state = state
        self._providers = dict(providers)
        self._analyzers = list(analyzers)
        self._parallel = parallel
        self._environment = dict(environment or {})
        self._cancelled = False
        self._running: Deployment | None = None

    def cancel(self) -> None:
        """Stop the run: what is under way is finished and recorded, nothing new is begun.

        A signal handler may call it.
        """
        self._cancelled = True
        if self._running is not None:
            self._running.cancel()

    def run(self, options: Options, config: Mapping[str, str], secret_keys: frozenset[str] = frozenset()) -> Outcome:
        """Do what the options say.

        Parameters
        ----------
        config
            Full keys (``project:key``) to values; objects as JSON text, as under the CLI.
        secret_keys
            The keys whose values are secret.

        Returns
        -------
        Outcome
            Also of a run that was refused or failed; see its ``ok`` and ``diagnostics``.

        Raises
        ------
        EngineError
            If the stack is locked or its state cannot be read.
        """
        if options.targets and options.excludes:
            raise EngineError("--target and --exclude cannot be used together")
        if options.kind == "refresh" and options.run_program:
            raise UnsupportedError("refresh with --run-program")
        self._cancelled = False
        # A preview reads the state as it is and takes no lock, like the CLI's.
        with nullcontext() if options.previews else self._state, _interruptible(self.cancel):
            outcome = self._with_preview(options, config, secret_keys)
        if self._cancelled and not outcome.cancelled:
            # It came when all was done: too late to leave anything out, not too late to be heard.
            return replace(outcome, ok=False, cancelled=True)
        return outcome

    def _with_preview(self, options: Options, config: Mapping[str, str], secret_keys: frozenset[str]) -> Outcome:
        if not options.previews and not options.skip_preview:
            preview = self._once(replace(options, dry_run=True), config, secret_keys)
            if not preview.ok:
                return preview
        return self._once(options, config, secret_keys)

    def _once(self, options: Options, config: Mapping[str, str], secret_keys: frozenset[str]) -> Outcome:
        begun = time.monotonic()
        diagnostics = Diagnostics(options.on_event)
        base, pending = self._state.load()
        with ExitStack() as stack:
            snapshot = Snapshot(None if options.previews else self._state, base, pending)
            deployment = self._deployment(stack, options, diagnostics, snapshot)
            deployment.ctx.config, deployment.ctx.secret_keys = dict(config), secret_keys
            self._running = deployment
            if self._cancelled:
                deployment.cancel()
            try:
                self._configure_analyzers(deployment.ctx)
                if _ready(deployment, options, pending):
                    self._execute(deployment, options)
            except EngineError as error:
                deployment.report("", error)
            deployment.executor.drain()
            # Resources that stayed the same are written with the next change, or here.
            snapshot.save()
            if deployment.failed or self._cancelled:
                ended = "canceled" if self._cancelled else "failed"
                diagnostics.error("", f"{_noun(options)} {ended}")
            return self._outcome(deployment, options, time.monotonic() - begun)

    def _deployment(
        self,
        stack: ExitStack,
        options: Options,
        diagnostics: Diagnostics,
        snapshot: Snapshot,
    ) -> Deployment:
        registry = ProviderRegistry(self._providers, self._folder)
        callbacks = Callbacks(diagnostics, dry_run=options.previews)
        analyzers = [Analyzer(address) for address in self._analyzers]
        for close in (registry.close, callbacks.close, *(analyzer.close for analyzer in analyzers)):
            stack.callback(close)
        ctx = Context(
            project=self._project,
            stack=self._stack,
            folder=self._folder,
            dry_run=options.previews,
            destroying=options.kind == "destroy" and options.run_program,
            ignore_protect=options.ignore_protect,
            target_dependents=options.target_dependents,
            targets=UrnTargets(options.targets),
            excludes=UrnTargets(options.excludes),
            replace_targets=UrnTargets(options.replace),
            registry=registry,
            callbacks=callbacks,
            diagnostics=diagnostics,
            snapshot=snapshot,
            all_olds=snapshot.resources(),
            analyzers=analyzers if options.runs_program and options.kind != "destroy" else (),
        )
        return Deployment(ctx, self._parallel)

    def _configure_analyzers(self, ctx: Context) -> None:
        plain = {key: value for key, value in ctx.config.items() if key not in ctx.secret_keys}
        for analyzer in ctx.analyzers:
            analyzer.configure(self._project, self._stack, plain, dry_run=ctx.dry_run)

    def _execute(self, deployment: Deployment, options: Options) -> None:
        if options.kind == "refresh" or options.refresh:
            deployment.refresh()
            if options.kind == "refresh" or deployment.failed:
                return
        if options.runs_program:
            self._run_program(deployment)
        else:
            deployment.finish()

    def _run_program(self, deployment: Deployment) -> None:
        ctx = deployment.ctx
        monitor = Monitor(deployment)
        try:
            program = ProgramRun(
                {
                    "folder": str(self._folder),
                    "project": self._project,
                    "stack": self._stack,
                    "monitor": monitor.address,
                    "config": dict(ctx.config),
                    "secret_keys": sorted(ctx.secret_keys),
                    "dry_run": ctx.dry_run,
                    "parallel": self._parallel,
                },
                self._environment,
                deployment.ctx.diagnostics,
            )
            try:
                self._wait(deployment, monitor, program)
                if monitor.registered.is_set() and not deployment.executor.stopped:
                    deployment.finish()
            finally:
                deployment.executor.drain()
                ctx.callbacks.close()
                monitor.finished.set()
                self._wait_for_exit(deployment, program)
                code = program.end(grace=_GRACE)
                if not deployment.executor.stopped and code != 0:
                    self._program_failed(deployment, program, code)
                deployment.record_outputs()
        finally:
            monitor.stop()

    def _wait(self, deployment: Deployment, monitor: Monitor, program: ProgramRun) -> None:
        """Wait until the program has registered everything, has ended, or the deployment has stopped."""
        while not monitor.registered.wait(_POLL):
            if deployment.executor.stopped or program.poll() is not None:
                return

    def _wait_for_exit(self, deployment: Deployment, program: ProgramRun) -> None:
        """Wait until the program has exited or the deployment is stopped.

        The CLI waits for its language host for as long as that takes, so a slow exit is no failure.
        """
        slow_at = time.monotonic() + _SLOW_EXIT
        told = False
        while program.wait(_POLL) is None and not deployment.executor.stopped:
            if not told and time.monotonic() >= slow_at:
                told = True
                deployment.ctx.diagnostics.info("", "every resource is done; waiting for the program to exit")

    def _program_failed(self, deployment: Deployment, program: ProgramRun, code: int) -> None:
        if not deployment.ctx.diagnostics.failed:
            words = program.last_words()
            deployment.ctx.diagnostics.error(
                "", f"the program ended with code {code}" + (f":\n{words}" if words else "")
            )
        deployment.executor.failed = True

    def _outcome(self, deployment: Deployment, options: Options, duration: float) -> Outcome:
        steps = records(deployment.executor.done)
        cancelled = self._cancelled
        return Outcome(
            ok=not deployment.failed and not cancelled,
            steps=steps,
            outputs=_outputs(deployment.ctx),
            diagnostics=deployment.ctx.diagnostics.messages,
            changes=count(steps),
            config=masked_config(deployment.ctx.config, deployment.ctx.secret_keys),
            dry_run=options.previews,
            cancelled=cancelled,
            maybe_corrupt=deployment.executor.uncertain,
            duration=duration,
        )


def _noun(options: Options) -> str:
    return "preview" if options.previews else {"up": "update"}.get(options.kind, options.kind)


def _project_name(folder: Path) -> str:
    file = folder / "Pulumi.yaml"
    if not file.exists():
        raise EngineError(f"{file} does not exist: {folder} is not a Pulumi project")
    project = yaml.safe_load(file.read_text()) or {}
    if "name" not in project:
        raise EngineError(f"{file} has no `name`")
    return str(project["name"])


def _outputs(ctx: Context) -> dict[str, Any]:
    for state in ctx.snapshot.resources():
        if state.type == ROOT_STACK_TYPE:
            return Marshal().plain(mask(state.outputs))
    return {}


def _ready(deployment: Deployment, options: Options, pending: Sequence[PendingOperation]) -> bool:
    """Look at what an interrupted run left, and at what a destroy would need; tell whether to go on."""
    ctx = deployment.ctx
    if pending and not options.previews:
        listed = "\n".join(f"  * {op.state.urn}, interrupted while {op.type}" for op in pending)
        ctx.diagnostics.warning(
            "",
            f"Attempting to deploy or update resources with {len(pending)} pending operations from previous deployment."
            f"\n{listed}\n"
            "It is not known whether these operations took effect. Changes and deletions among them are done again; a "
            "resource interrupted while creating is created again, so look whether there are two now, and if it is "
            "refused because it exists, import it or delete it. A refresh strikes interrupted creations off this list.",
        )
    if ctx.replace_targets and any(urn not in ctx.olds for urn in ctx.replace_targets.literals):
        unknown = [urn for urn in ctx.replace_targets.literals if urn not in ctx.olds]
        raise EngineError(f"Target '{unknown[0]}' could not be found in the stack.")
    if options.kind == "destroy" and not options.run_program:
        return _without_delete_hooks(ctx)
    return True


def _without_delete_hooks(ctx: Context) -> bool:
    found = False
    for state in ctx.all_olds:
        names = state.hooks.get("BeforeDelete", []) + state.hooks.get("AfterDelete", [])
        if names:
            found = True
            ctx.diagnostics.error(
                state.urn,
                f"Resource has delete hooks registered, but the program is not running. Hooks: {', '.join(names)}",
            )
    if found:
        raise EngineError("You must run with the `--run-program` flag to use delete hooks during destroy.")
    return True


class _interruptible:  # noqa: N801  used as a function
    """While it holds, the first Ctrl-C or SIGTERM cancels; the second one interrupts as ever."""

    def __init__(self, cancel: Callable[[], None]) -> None:
        self._cancel = cancel
        self._before: dict[int, Any] = {}

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._on_signal)

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        signal.signal(number, self._before[number])
        self._cancel()
