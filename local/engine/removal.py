"""What is done once the program has registered everything: deletions, and refreshes of the recorded state."""

from __future__ import annotations

from local.engine.context import Context
from local.engine.errors import BailError
from local.engine.graph import deletion_waves, dependents, sort_states
from local.engine.replacing import Replacer
from local.engine.state import ResourceState
from local.engine.steps import DeleteStep, RefreshStep, RemovePendingReplaceStep, SameStep, Step
from local.engine.targets import UrnTargets
from local.engine.tracker import Tracker


class Remover:
    """Finds what is left over and arranges its deletion."""

    def __init__(self, ctx: Context, tracker: Tracker, replacer: Replacer) -> None:
        self._ctx = ctx
        self._tracker = tracker
        self._replacer = replacer

    def plan(self) -> tuple[list[Step], list[list[Step]]]:
        """Give the steps that keep untouched resources, and the deletions in waves.

        Raises
        ------
        BailError
            If something would be deleted that ``--target`` does not name; in a preview that is only said.
        """
        sames: list[Step] = []
        deletes: list[Step] = []
        selected = self._selected()
        for old in self._ctx.all_olds:
            if selected is not None and old.urn not in selected:
                if not self._tracker.operated_on(old.urn):
                    sames.append(SameStep(old, old.copy(id=""), untargeted=True))
                continue
            deletes.extend(self._deletion(old))
        for state in self._tracker.to_delete:
            if selected is None or state.urn in selected:
                self._ctx.deletes.add(state.urn)
                deletes.append(DeleteStep(state))
        self._refuse_untargeted(deletes)
        steps = {id(step.state): step for step in deletes}
        waves = deletion_waves([step.state for step in deletes])
        return sames, [[steps[id(state)] for state in wave] for wave in waves]

    def _deletion(self, old: ResourceState) -> list[Step]:
        if old.delete:
            if id(old) in self._tracker.pending_deletes:
                return []
            self._ctx.deletes.add(old.urn)
            return [DeleteStep(old, replacing=True)]
        if self._tracker.operated_on(old.urn):
            return []
        self._ctx.deletes.add(old.urn)
        return [RemovePendingReplaceStep(old, None)] if old.pending_replacement else [DeleteStep(old)]

    def _refuse_untargeted(self, deletes: list[Step]) -> None:
        refused = False
        for step in deletes:
            if step.urn in self._ctx.targets or self._ctx.target_dependents:
                continue
            self._ctx.diagnostics.error(
                step.urn,
                f"Resource '{step.urn}' will be destroyed but was not specified in --target list.\n"
                "Either include resource in --target list or pass --target-dependents to proceed.",
            )
            self._tracker.failed = refused = True
        if refused and not self._ctx.dry_run:
            raise BailError("delete untargeted resource")

    def _selected(self) -> set[str] | None:
        """Give the URNs that may be deleted; None if all may."""
        if self._ctx.targets:
            return self._with_dependents()
        if self._ctx.excludes:
            return {state.urn for state in self._everything()} - self._excluded()
        return None

    def _everything(self) -> list[ResourceState]:
        return [*self._tracker.to_delete, *self._ctx.all_olds]

    def _with_dependents(self) -> set[str]:
        everything = self._everything()
        found: set[str] = set()
        for state in everything:
            if state.urn in self._ctx.targets and state.urn not in found:
                found.add(state.urn)
                found.update(other.urn for other in dependents(state, everything, with_children=True))
        for state in self._ctx.all_olds:
            if state.urn in found:
                found.update(other.urn for other, _ in self._replacer.dependent_replacements(state))
        return found

    def _excluded(self) -> set[str]:
        """Give the excluded URNs with all that they need: those stay too."""
        by_urn = {state.urn: state for state in self._everything()}
        kept: set[str] = set()
        frontier = [urn for urn in by_urn if urn in self._ctx.excludes]
        while frontier:
            urn = frontier.pop()
            if urn in by_urn and urn not in kept:
                kept.add(urn)
                frontier.extend(by_urn[urn].dependency_urns(with_parent=True))
        return kept


def refreshes(ctx: Context) -> list[RefreshStep]:
    """Give the steps that read the selected resources again."""
    if ctx.excludes:
        return [RefreshStep(state) for state in ctx.all_olds if state.urn not in ctx.excludes]
    chosen = ctx.targets.copy()
    steps = []
    for state in ctx.all_olds:
        if state.urn in chosen:
            steps.append(RefreshStep(state))
        elif ctx.target_dependents and any(urn in chosen for urn in state.dependency_urns(with_parent=True)):
            chosen.add(state.urn)
            steps.append(RefreshStep(state))
    return steps


def after_refresh(states: list[ResourceState]) -> list[ResourceState]:
    """Take references to resources that are gone out of the rest; children of a gone parent move up to its parent."""
    present = {state.urn for state in states}
    above = {state.urn: state.parent for state in states}
    result = []
    for state in sort_states(states):
        parent = state.parent
        while parent and parent not in present:
            parent = above.get(parent, "")
        state.parent = parent
        state.dependencies = [urn for urn in state.dependencies if urn in present]
        state.property_dependencies = {
            key: [urn for urn in deps if urn in present] for key, deps in state.property_dependencies.items()
        }
        result.append(state)
    return result


def check_targets(ctx: Context, targets: UrnTargets, seen: set[str]) -> bool:
    """Say which of the fully written targets exist nowhere; tell whether there are any."""
    known = {state.urn for state in ctx.all_olds} | seen
    unknown = [urn for urn in targets.literals if urn not in known]
    for urn in unknown:
        hint = "" if "$" in urn else " Did you forget to escape $ in your shell?"
        ctx.diagnostics.error("", f"Target '{urn}' could not be found in the stack.{hint}")
    return bool(unknown)
