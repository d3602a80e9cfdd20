"""Decides, for each resource the program registers, which steps bring it to where the program wants it.

The decisions follow Pulumi's ``pkg/resource/deploy/step_generator.go``. One registration is decided at a time; the
caller holds the lock.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from local.engine import paths, urns
from local.engine.context import Context, Goal
from local.engine.diffing import Diff
from local.engine.errors import BailError, EngineError
from local.engine.policy import analyze
from local.engine.provider import Checked
from local.engine.replacing import Replacer
from local.engine.state import ResourceState
from local.engine.steps import CreateStep, ImportStep, ReadStep, ReplaceStep, SameStep, SkippedCreateStep, Step
from local.engine.tracker import Selection, Tracker, alias_urns
from local.engine.values import PropertyMap, mask

_SEED_BYTES = 32


@dataclass
class Registration:
    """One resource on its way from what the program wants to steps.

    Attributes
    ----------
    old
        The resource as recorded, or as just imported.
    new
        The state that the steps fill in.
    recreating
        The old one was deleted already, because something it depends on had to be deleted before its replacement.
    """

    goal: Goal
    urn: str
    old: ResourceState | None
    new: ResourceState
    recreating: bool = False
    imported: bool = False
    seed: bytes = field(default_factory=lambda: secrets.token_bytes(_SEED_BYTES))

    @property
    def afresh(self) -> bool:
        """Whether old inputs do not count."""
        return self.old is None or self.recreating or self.old.external


class Planner:
    """Makes the steps of registrations and reads."""

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.tracker = Tracker()
        self.selection = Selection(ctx)
        self.replacer = Replacer(ctx, self.tracker)
        self._untargeted: list[SameStep] = []
        self._untargeted_urns: set[str] = set()

    # --- registration ---------------------------------------------------------------------------------------------

    def begin(self, goal: Goal) -> Registration:
        """Find the resource that the goal is about.

        Raises
        ------
        EngineError
            If its URN is taken, its parent unknown, or two resources claim one alias.
        """
        urn = self._claim(goal.parent, goal.type, goal.name)
        old, alias = self._find_old(urn, goal)
        new = ResourceState(
            type=goal.type,
            urn=urn,
            custom=goal.custom,
            inputs=goal.props,
            parent=goal.parent,
            protect=bool(goal.protect),
            dependencies=sorted(goal.dependencies),
            property_dependencies={key: sorted(deps) for key, deps in sorted(goal.property_dependencies.items())},
            provider=goal.provider,
            additional_secret_outputs=goal.additional_secret_outputs,
            aliases=[alias] if alias else [],
            timeouts=goal.timeouts,
            import_id=goal.import_id,
            retain_on_delete=bool(goal.retain_on_delete),
            ignore_changes=goal.ignore_changes,
            replace_on_changes=goal.replace_on_changes,
            hooks=goal.hooks,
            created=old.created if old else "",
            modified=old.modified if old else "",
        )
        self.ctx.goals[urn] = goal
        if new.is_provider:
            self.tracker.providers[urn] = new
        return Registration(goal, urn, old, new, recreating=urn in self.ctx.deletes)

    def importing(self, reg: Registration) -> list[Step]:
        """Give the steps that import the resource first; none if it is not to be imported or already was."""
        goal, old = reg.goal, reg.old
        if not goal.custom or not goal.import_id or self.ctx.destroying:
            return []
        if old is not None and not old.external and goal.import_id == (old.import_id or old.id):
            return []
        self.tracker.imports.add(reg.urn)
        if old is not None and not reg.recreating:
            return [ImportStep(reg.new, old), ReplaceStep(old, reg.new)]
        return [ImportStep(reg.new, None)]

    def imported(self, reg: Registration) -> Registration:
        """Go on after an import: what was read is now the old state, what the program wants the new one."""
        read = reg.new
        new = read.copy(id="", inputs=reg.goal.props, outputs={}, init_errors=[])
        return Registration(reg.goal, reg.urn, read, new, imported=True, seed=reg.seed)

    def plan(self, reg: Registration) -> list[Step]:
        """Give the steps for a registration, in the order in which they are to be carried out.

        Raises
        ------
        EngineError
            If the provider, a policy or the engine refuses.
        """
        if self.ctx.destroying:
            steps = self._plan_destroy(reg)
            if steps is not None:
                return steps
        return self._validated(self._plan(reg))

    def _plan(self, reg: Registration) -> list[Step]:
        targeted = self.selection.includes(reg.new)
        invalid = self._check_inputs(reg, targeted=targeted)
        if targeted:
            self._keep_untargeted_dependencies(reg.new)
        violated = analyze(self.ctx, self.tracker, reg.new, reg.goal)
        if violated:
            self.tracker.failed = True
        if invalid or (violated and not self.ctx.dry_run):
            raise BailError(f"resource {reg.urn} is invalid")
        if reg.recreating and reg.old is not None:
            return self.replacer.recreate(reg.old, reg.new)
        if reg.old is not None and reg.old.external:
            self.tracker.creates.add(reg.urn)
            return [CreateStep(reg.new, reg.old, delete_later=True), ReplaceStep(reg.old, reg.new)]
        if targeted:
            self.selection.grow(reg.new)
        if reg.old is None:
            return [self._create(reg, targeted=targeted)]
        if not targeted:
            return self._untouched(reg.old, reg.urn)
        return self._compared(reg, reg.old)

    def _create(self, reg: Registration, *, targeted: bool) -> Step:
        if targeted:
            self.tracker.creates.add(reg.urn)
            return CreateStep(reg.new)
        self.tracker.sames.add(reg.urn)
        self.tracker.skipped_creates.add(reg.urn)
        return SkippedCreateStep(reg.new)

    def _compared(self, reg: Registration, old: ResourceState) -> list[Step]:
        diff = self._diff(reg, old)
        steps = self.replacer.steps(reg.goal, old, reg.new, diff, recheck=lambda: self._recheck(reg))
        if steps:
            return steps
        if reg.imported:
            self.ctx.news[reg.urn] = old
            return []
        self.tracker.sames.add(reg.urn)
        return [SameStep(old, reg.new)]

    def _diff(self, reg: Registration, old: ResourceState) -> Diff:
        return self.replacer.diff(reg.urn, old, reg.new, reg.goal.ignore_changes)

    # --- identity -------------------------------------------------------------------------------------------------

    def _claim(self, parent: str, type_: str, name: str) -> str:
        if parent and parent not in self.tracker.seen:
            raise EngineError(f"could not find parent resource {parent}")
        urn = urns.make(self.ctx.stack, self.ctx.project, parent, type_, name)
        if urn in self.tracker.seen:
            raise EngineError(f"Duplicate resource URN '{urn}'; try giving it a unique name")
        self.tracker.seen.add(urn)
        return urn

    def _find_old(self, urn: str, goal: Goal) -> tuple[ResourceState | None, str]:
        tracker = self.tracker
        if urn in tracker.aliased:
            raise EngineError(
                f"Duplicate resource URN '{urn}' conflicting with alias on resource with URN '{tracker.aliased[urn]}'"
            )
        if urn in self.ctx.olds:
            return self.ctx.olds[urn], ""
        for alias in alias_urns(self.ctx, tracker, goal):
            if alias not in self.ctx.olds:
                continue
            rival = alias if alias in tracker.seen else tracker.aliased.get(alias)
            if rival:
                raise EngineError(
                    f"Duplicate resource alias '{alias}' applied to resource with URN '{urn}' "
                    f"conflicting with resource with URN '{rival}'"
                )
            tracker.aliased[alias], tracker.aliases[urn] = urn, alias
            return self.ctx.olds[alias], alias
        return None, ""

    # --- inputs ---------------------------------------------------------------------------------------------------

    def _check_inputs(self, reg: Registration, *, targeted: bool) -> bool:
        """Let the provider check the inputs and fill in defaults; tell whether they are invalid."""
        if reg.old is not None:
            ignored = self.replacer.with_ignored(reg.urn, reg.new.inputs, reg.old.inputs, reg.goal.ignore_changes)
        else:
            ignored = reg.new.inputs
        if not reg.goal.custom:
            reg.new.inputs = ignored
            return False
        if not targeted:
            reg.new.inputs = reg.old.inputs if reg.old else {}
            return False
        if reg.old is None or reg.afresh or self.replacer.forced(reg.urn):
            checked = self._check(reg, None, reg.goal.props)
        else:
            checked = self._check(reg, reg.old.inputs, ignored)
        reg.new.inputs = checked.inputs
        return self._report_failures(reg, checked)

    def _check(self, reg: Registration, olds: PropertyMap | None, news: PropertyMap) -> Checked:
        if reg.new.is_provider:
            return self.ctx.registry.check(reg.urn, olds or {}, news)
        client = self.ctx.registry.of(reg.new, self.ctx.olds)
        return client.check(reg.urn, olds, news, reg.seed, preview=self.ctx.dry_run)

    def _recheck(self, reg: Registration) -> None:
        """Check once more without old inputs: a replacement gets fresh defaults, its generated name among them."""
        if not reg.goal.custom:
            return
        checked = self._check(reg, None, reg.goal.props)
        reg.new.inputs = checked.inputs
        if self._report_failures(reg, checked):
            raise BailError(f"resource {reg.urn} has check errors")

    def _report_failures(self, reg: Registration, checked: Checked) -> bool:
        for name, reason in checked.failures:
            what = f"{reg.new.type} resource '{reg.new.name}'"
            if name:
                value = _shown(reg.new.inputs, name)
                self.ctx.diagnostics.error(reg.urn, f"{what}: property {name} value {value} has a problem: {reason}")
            else:
                self.ctx.diagnostics.error(reg.urn, f"{what} has a problem: {reason}")
        return bool(checked.failures)

    # --- targets --------------------------------------------------------------------------------------------------

    def _untouched(self, old: ResourceState, urn: str) -> list[Step]:
        """Keep a resource outside the targets as it is, and what it depends on, which may not be registered yet."""
        if old.delete:
            return []
        self.tracker.seen.add(old.urn)
        self.tracker.sames.update((urn, old.urn))
        steps: list[Step] = []
        for dep in sorted(old.dependency_urns(with_parent=True)):
            if self.tracker.decided(self.ctx, dep):
                continue
            kept = self.ctx.olds.get(dep)
            if kept is None:
                raise EngineError(f"dependency {dep} of untargeted resource {urn} has no old state")
            steps.extend(self._untouched(kept, dep))
        steps.append(SameStep(old, old.copy(id=""), untargeted=True))
        return steps

    def _keep_untargeted_dependencies(self, new: ResourceState) -> None:
        if self.ctx.targets:
            for dep in sorted(new.dependency_urns(with_parent=True)):
                self._queue_untargeted(dep)

    def _queue_untargeted(self, urn: str) -> None:
        old = self.ctx.olds.get(urn)
        if old is None or self.tracker.decided(self.ctx, urn) or urn in self._untargeted_urns:
            return
        self._untargeted_urns.add(urn)
        for dep in sorted(old.dependency_urns(with_parent=True)):
            self._queue_untargeted(dep)
        self._untargeted.append(SameStep(old, old.copy(id=""), untargeted=True))

    def _validated(self, steps: list[Step]) -> list[Step]:
        """Put kept dependencies first, and refuse steps that depend on what the targets leave unmade."""
        queued, self._untargeted = self._untargeted, []
        kept: list[Step] = []
        for same in queued:
            if not self.tracker.decided(self.ctx, same.urn) and not self.tracker.operated_on(same.urn):
                self.tracker.seen.add(same.urn)
                self.tracker.sames.add(same.urn)
                kept.append(same)
        steps = [*kept, *steps]
        if not self.ctx.targets and not self.ctx.replace_targets:
            return steps
        for step in steps:
            if step.new is not None and not step.skipped_create:
                self._refuse_missing(step.new)
        return steps

    def _refuse_missing(self, new: ResourceState) -> None:
        for urn in sorted(new.dependency_urns(with_parent=True) & self.tracker.skipped_creates):
            self.ctx.diagnostics.error(
                new.urn, f"Resource '{new.urn}' depends on '{urn}' which was was not specified in --target list."
            )
            self.tracker.failed = True
            if not self.ctx.dry_run:
                raise BailError("untargeted create")
            # Said once for each missing resource, as the CLI does.
            self.tracker.skipped_creates.discard(urn)

    # --- destroy and read -----------------------------------------------------------------------------------------

    def _plan_destroy(self, reg: Registration) -> list[Step] | None:
        """Plan a registration during a destroy that runs the program; None to go on as in an update."""
        missing = reg.new.dependency_urns(with_parent=True) & self.tracker.skipped_creates
        managed = reg.goal.custom and not reg.new.is_provider
        if missing or (managed and reg.old is None):
            self.tracker.skipped_creates.add(reg.urn)
            if reg.old is not None:
                reg.new.outputs = reg.old.outputs
            return [SkippedCreateStep(reg.new)]
        self.tracker.to_delete.append(reg.new)
        if not managed or reg.old is None:
            return None
        self.tracker.sames.add(reg.urn)
        reg.new.inputs = reg.old.inputs
        return [SameStep(reg.old, reg.new)]

    def read(self, goal: Goal, id_: str) -> list[Step]:
        """Give the steps that look up a resource managed elsewhere."""
        urn = self._claim(goal.parent, goal.type, goal.name)
        old, _ = self._find_old(urn, goal)
        new = ResourceState(
            type=goal.type,
            urn=urn,
            custom=True,
            id=id_,
            inputs=goal.props,
            parent=goal.parent,
            external=True,
            dependencies=sorted(goal.dependencies),
            provider=goal.provider,
            additional_secret_outputs=goal.additional_secret_outputs,
        )
        if old is not None and not old.external and old.id != id_:
            self.tracker.replaces.add(urn)
            return [ReadStep(new, old, replacing=True), ReplaceStep(old, new)]
        if self.ctx.destroying:
            self.tracker.to_delete.append(new)
        self.tracker.reads.add(urn)
        return [ReadStep(new, old)]


def _shown(inputs: PropertyMap, name: str) -> str:
    try:
        first = paths.parse(name)[0]
    except (ValueError, IndexError):
        return "<unset>"
    return "{" + str(mask(inputs[str(first)])) + "}" if str(first) in inputs else "{<nil>}"
