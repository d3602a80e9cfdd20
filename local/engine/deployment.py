"""One deployment from start to end: what the program registers, then deletions, then the stack's outputs."""

from __future__ import annotations

import threading

from local.engine import urns
from local.engine.context import Context, Goal
from local.engine.errors import BailError, EngineError
from local.engine.executor import AbortedError, Executor
from local.engine.planner import Planner
from local.engine.policy import analyze_stack
from local.engine.removal import Remover, after_refresh, check_targets, refreshes
from local.engine.state import ResourceState
from local.engine.steps import CreateStep, SkippedCreateStep, Step, UpdateStep
from local.engine.values import PropertyMap


class Deployment:
    """Plans and executes.

    Planning is done for one resource at a time, under a lock; execution is not.
    """

    def __init__(self, ctx: Context, parallel: int) -> None:
        self.ctx = ctx
        self.planner = Planner(ctx)
        self.executor = Executor(ctx, parallel)
        self._planning = threading.Lock()
        self._default_lock = threading.Lock()
        self._defaults: dict[tuple[str, str], str] = {}
        self._last: dict[str, Step] = {}
        self._stack_outputs: PropertyMap | None = None

    @property
    def failed(self) -> bool:
        """Whether anything went wrong so far."""
        return self.executor.failed or self.planner.tracker.failed or self.ctx.post_step_failed.is_set()

    # --- what the program asks for --------------------------------------------------------------------------------

    def register(self, goal: Goal) -> tuple[ResourceState, bool]:
        """Bring a resource to what the program wants.

        Returns
        -------
        tuple
            The state, and whether its outputs are unknown because nothing was made.

        Raises
        ------
        AbortedError
            If the deployment has stopped, for this resource or another.
        """
        with self._reporting(goal):
            with self._planning:
                self._go_on()
                reg = self.planner.begin(goal)
                imports = self.planner.importing(reg)
            if imports:
                self.executor.run(imports)
                reg = self.planner.imported(reg)
            with self._planning:
                self._go_on()
                # Another resource's replacement may have deleted this one while it was being imported.
                reg.recreating = reg.urn in self.ctx.deletes
                steps = self.planner.plan(reg)
            self.executor.run(steps)
        if steps:
            self._last[reg.urn] = steps[-1]
        state = self._result(reg.urn, steps, reg.new)
        return state, bool(steps) and isinstance(steps[-1], SkippedCreateStep)

    def _result(self, urn: str, steps: list[Step], new: ResourceState) -> ResourceState:
        for step in steps:
            if step.untargeted and step.new is not None and step is steps[-1]:
                return step.new
        return self.ctx.news.get(urn, new)

    def read(self, goal: Goal, id_: str) -> ResourceState:
        """Look a resource up that is managed elsewhere."""
        with self._reporting(goal):
            with self._planning:
                self._go_on()
                steps = self.planner.read(goal, id_)
            self.executor.run(steps)
        return steps[0].state

    def default_provider(self, package: str, version: str) -> str:
        """Give the reference of a package's default provider, registered on first use."""
        with self._default_lock:
            key = (package, version)
            if key not in self._defaults:
                name = (
                    f"default_{version.replace('.', '_').replace('-', '_').replace('+', '_')}" if version else "default"
                )
                props = dict(self.ctx.provider_config(package))
                if version:
                    props["version"] = version
                goal = Goal(f"{urns.PROVIDER_PREFIX}{package}", name, custom=True, props=props)
                state, _ = self.register(goal)
                self._defaults[key] = f"{state.urn}::{state.id}"
            return self._defaults[key]

    def register_outputs(self, urn: str, outputs: PropertyMap) -> None:
        """Take the outputs of a component; those of the stack wait until the end."""
        if urns.qualified_type(urn) == urns.ROOT_STACK_TYPE:
            self._stack_outputs = outputs
            return
        step = self._last.get(urn)
        state = self.ctx.news.get(urn)
        if step is None or state is None:
            raise EngineError(f"cannot complete a resource '{urn}' whose registration isn't pending")
        if step.skipped_create:
            return
        state.outputs = outputs
        self._component_hooks(step)
        self.ctx.snapshot.save()

    def _component_hooks(self, step: Step) -> None:
        try:
            if isinstance(step, CreateStep):
                self.ctx.callbacks.run_hooks("after_create", None, step.new)
            elif isinstance(step, UpdateStep):
                self.ctx.callbacks.run_hooks("after_update", step.old, step.new)
        except EngineError as error:
            self.ctx.diagnostics.error(step.urn, str(error))
            self.ctx.post_step_failed.set()
            self.executor.stop()

    # --- the engine's own part ------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Read the recorded resources again; errors of single resources do not keep the others from being read."""
        if check_targets(self.ctx, self.ctx.targets, set()) or check_targets(self.ctx, self.ctx.excludes, set()):
            self.planner.tracker.failed = True
            return
        for step in refreshes(self.ctx):
            self._refresh_one(step)
        self._forget_interrupted()
        self.ctx.rebase(after_refresh(self.ctx.snapshot.resources()))
        self.ctx.snapshot.save()

    def _forget_interrupted(self) -> None:
        for operation in self.ctx.snapshot.forget_interrupted():
            self.ctx.diagnostics.info(
                operation.state.urn, "the interrupted creation is struck off; what it may have made is not managed"
            )

    def _refresh_one(self, step: Step) -> None:
        try:
            self.executor.run([step])
        except AbortedError:
            if not self.cancelled:
                self.executor.stopped = False

    cancelled = False

    def cancel(self) -> None:
        """Begin nothing new and tell the providers so, as the CLI does; what is under way is finished."""
        self.cancelled = True
        self.executor.stop()
        # In a thread of its own: a signal handler, which this may be, must not wait for a provider.
        threading.Thread(target=self.ctx.registry.cancel, name="cancel", daemon=True).start()

    def finish(self) -> None:
        """Delete what the program no longer wants, judge the stack, record its outputs."""
        unknown = check_targets(self.ctx, self.ctx.targets, self.planner.tracker.seen)
        self.planner.tracker.failed |= unknown
        try:
            self._delete()
        except AbortedError:
            pass
        except EngineError as error:
            self.report("", error)
        self.executor.drain()
        self.record_outputs()
        if not self.executor.failed and not self.executor.stopped:
            root = urns.make(self.ctx.stack, self.ctx.project, "", urns.ROOT_STACK_TYPE, self._root_name())
            self.planner.tracker.failed |= analyze_stack(self.ctx, self.planner.tracker, root)

    def _delete(self) -> None:
        with self._planning:
            self._go_on()
            remover = Remover(self.ctx, self.planner.tracker, self.planner.replacer)
            sames, waves = remover.plan()
        for step in sames:
            self.executor.run([step])
        self.executor.run_deletions(waves)

    def record_outputs(self) -> None:
        """Record the stack's outputs; after a failure, the old ones under those that are known."""
        if self._stack_outputs is None:
            return
        outputs, self._stack_outputs = self._stack_outputs, None
        urn = urns.make(self.ctx.stack, self.ctx.project, "", urns.ROOT_STACK_TYPE, self._root_name())
        state = self.ctx.news.get(urn)
        if state is None:
            return
        if self.failed and urn in self.ctx.olds:
            outputs = {**self.ctx.olds[urn].outputs, **outputs}
        state.outputs = outputs
        self.ctx.snapshot.save()

    def _root_name(self) -> str:
        return f"{self.ctx.project}-{self.ctx.stack}"

    def report(self, urn: str, error: EngineError) -> None:
        """Say what stopped the deployment, unless it has been said."""
        if not isinstance(error, BailError):
            self.ctx.diagnostics.error(urn, str(error))
        self.executor.failed = True
        self.executor.stop()

    def _go_on(self) -> None:
        if self.executor.stopped:
            raise AbortedError

    def _reporting(self, goal: Goal) -> _Reporting:
        return _Reporting(self, urns.make(self.ctx.stack, self.ctx.project, goal.parent, goal.type, goal.name))


class _Reporting:
    """Turns a refusal into a diagnostic and a stop."""

    def __init__(self, deployment: Deployment, urn: str) -> None:
        self._deployment = deployment
        self._urn = urn

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, EngineError):
            self._deployment.report(self._urn, error)
            raise AbortedError from error
