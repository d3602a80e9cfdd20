"""From a difference to steps: update, replace in either order, and what has to be replaced along with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from local.engine import paths, urns
from local.engine.context import Context, Goal
from local.engine.diffing import Diff, apply_replace_on_changes, compare_inputs, replacement
from local.engine.errors import BailError, EngineError
from local.engine.graph import dependents
from local.engine.state import ResourceState
from local.engine.steps import CreateStep, DeleteStep, ReplaceStep, Step, UpdateStep
from local.engine.tracker import Tracker
from local.engine.values import PropertyMap, deep_equal, mask
from local.wire import UNKNOWN


class Replacer:
    """Makes the steps for a resource that exists."""

    def __init__(self, ctx: Context, tracker: Tracker) -> None:
        self._ctx = ctx
        self._tracker = tracker

    def forced(self, urn: str) -> bool:
        """Tell whether ``--replace`` names the resource."""
        return bool(self._ctx.replace_targets) and urn in self._ctx.replace_targets

    def with_ignored(self, urn: str, news: PropertyMap, olds: PropertyMap, ignore: Sequence[str]) -> PropertyMap:
        """Give the new inputs with the old values back where changes are to be ignored."""
        if not ignore:
            return news
        inputs = ResourceState("", urn, custom=True, inputs=news).copy().inputs
        stuck = [text for text in ignore if not paths.reset(paths.parse(text), olds, inputs)]
        if stuck:
            listed = ", ".join(stuck)
            self._ctx.diagnostics.info(
                urn, f'cannot ignore changes in added or removed elements of the path: "{listed}"'
            )
        return inputs

    def diff(self, urn: str, old: ResourceState, new: ResourceState, ignore: Sequence[str]) -> Diff:
        """Compare the recorded resource with its new inputs; the provider decides."""
        if self.forced(urn):
            return replacement("id")
        if self._provider_changed(old, new):
            return replacement("provider")
        if new.is_provider:
            return self._ctx.registry.diff(old, urn, new.inputs)
        if not new.custom:
            return Diff("none" if deep_equal(old.inputs, new.inputs) else "some")
        return self._provider_diff(urn, old, new.inputs, new, ignore, unknowns=self._ctx.dry_run)

    def _provider_diff(
        self,
        urn: str,
        old: ResourceState,
        news: PropertyMap,
        by: ResourceState,
        ignore: Sequence[str],
        *,
        unknowns: bool,
    ) -> Diff:
        client = self._ctx.registry.of(by, self._ctx.olds)
        diff = client.diff(old, urn, news, ignore, unknowns=unknowns)
        if diff.changes == "unknown":
            return compare_inputs(old.inputs, self.with_ignored(urn, news, old.inputs, ignore))
        return diff

    def _provider_changed(self, old: ResourceState, new: ResourceState) -> bool:
        if old.provider == new.provider:
            return False
        if not old.provider or not new.provider:
            return True
        old_urn, new_urn = urns.split_reference(old.provider)[0], urns.split_reference(new.provider)[0]
        if self._tracker.aliased.get(old_urn) == new_urn:
            return False
        before, after = self._ctx.olds.get(old_urn), self._tracker.providers.get(new_urn)
        if before is None or after is None:
            return True
        return self._ctx.registry.diff(before, new_urn, after.inputs).replaces

    # --- steps ----------------------------------------------------------------------------------------------------

    def steps(
        self, goal: Goal, old: ResourceState, new: ResourceState, diff: Diff, recheck: Callable[[], None]
    ) -> list[Step]:
        """Give the steps that a difference asks for; none if the resource stays the same.

        Parameters
        ----------
        recheck
            Checks the inputs again without the old ones, for a replacement.
        """
        unhealthy = bool(old.init_errors)
        diff = apply_replace_on_changes(diff, goal.replace_on_changes, unhealthy=unhealthy)
        if old.pending_replacement or (diff.changes == "some" and diff.replaces):
            return self._replace(goal, old, new, diff, recheck)
        if diff.changes == "some" or unhealthy:
            self._tracker.updates.add(new.urn)
            return [UpdateStep(old, new, diff)]
        return []

    def recreate(self, old: ResourceState, new: ResourceState) -> list[Step]:
        """Make a resource again that was deleted because of what it depends on."""
        self._ctx.deletes.discard(new.urn)
        self._tracker.replaces.add(new.urn)
        create = CreateStep(new, old)
        create.keys = self._tracker.replace_keys.get(new.urn, ())
        return [ReplaceStep(old, new), create]

    def _replace(
        self, goal: Goal, old: ResourceState, new: ResourceState, diff: Diff, recheck: Callable[[], None]
    ) -> list[Step]:
        self._refuse_protected(old, new)
        self._refuse_imported(goal, old, new, diff)
        self._tracker.replaces.add(new.urn)
        if not self.forced(new.urn):
            recheck()
        first = diff.delete_before_replace if goal.delete_before_replace is None else goal.delete_before_replace
        if not first:
            return [CreateStep(new, old, diff, delete_later=True), ReplaceStep(old, new, diff)]
        steps = self._delete_dependents(old, new)
        if not old.pending_replacement:
            self._ctx.deletes.add(old.urn)
            self._tracker.pending_deletes.add(id(old))
            steps.append(DeleteStep(old, replacing=True, before_replacement=True))
        return [*steps, ReplaceStep(old, new, diff), CreateStep(new, old, diff)]

    def _refuse_protected(self, old: ResourceState, new: ResourceState) -> None:
        if not (new.protect and old.protect) or self._ctx.ignore_protect:
            return
        message = (
            f'unable to replace resource "{new.urn}"\n'
            "as it is currently marked for protection. To unprotect the resource, remove the `protect` flag from the "
            "resource in your Pulumi program and run `pulumi up`"
        )
        self._ctx.diagnostics.error(new.urn, message)
        self._tracker.failed = True
        if not self._ctx.dry_run:
            raise BailError(message)

    def _refuse_imported(self, goal: Goal, old: ResourceState, new: ResourceState, diff: Diff) -> None:
        if not goal.import_id:
            return
        changes = "\n".join(
            f"{key}: {mask(old.inputs.get(key))} => {mask(new.inputs.get(key))}" for key in diff.replace_keys
        )
        message = (
            "previously-imported resources that still specify an ID may not be replaced; "
            f"please remove the `import` declaration from your program;\n{changes}"
        )
        if not self._ctx.dry_run:
            raise EngineError(message)
        self._ctx.diagnostics.warning(new.urn, message)

    # --- dependents -----------------------------------------------------------------------------------------------

    def _delete_dependents(self, old: ResourceState, new: ResourceState) -> list[Step]:
        """Delete, last first, what cannot outlive the resource that is deleted before its replacement."""
        steps: list[Step] = []
        for state, keys in reversed(self.dependent_replacements(old)):
            if id(state) in self._tracker.pending_deletes:
                continue
            self._tracker.replace_keys[state.urn] = keys
            if state.pending_replacement:
                # An interrupted run has deleted it already.
                pass
            elif state.delete:
                steps.append(DeleteStep(state))
            else:
                self._refuse_protected_dependent(state, new)
                steps.append(DeleteStep(state, replacing=True, before_replacement=True))
            self._ctx.deletes.add(state.urn)
            self._tracker.pending_deletes.add(id(state))
        return steps

    def _refuse_protected_dependent(self, state: ResourceState, new: ResourceState) -> None:
        if not state.protect or self._ctx.ignore_protect:
            return
        message = (
            f'unable to replace resource "{state.urn}" as part of replacing "{new.urn}" as it is currently marked for '
            "protection. To unprotect the resource, remove the `protect` flag from the resource in your Pulumi program "
            f"and run `pulumi up`, or use the command:\n`pulumi state unprotect '{state.urn}'`"
        )
        self._ctx.diagnostics.error(new.urn, message)
        self._tracker.failed = True
        raise BailError(message)

    def dependent_replacements(self, root: ResourceState) -> list[tuple[ResourceState, tuple[str, ...]]]:
        """List what has to be replaced if ``root`` is deleted first, with the properties that force it.

        A dependent has to go if its provider says that it would be replaced once the properties that come from the
        condemned resources are unknown.
        """
        tracker, found = self._tracker, []
        condemned = {root.urn}
        settled = set().union(
            tracker.reads, tracker.creates, tracker.sames, tracker.updates, self._ctx.deletes, tracker.replaces
        )
        for state in dependents(root, self._ctx.all_olds, settled - {root.urn}, with_children=False):
            keys = self._goes_with(state, condemned)
            if keys is not None:
                condemned.add(state.urn)
                found.append((state, keys))
        return found

    def _goes_with(self, state: ResourceState, condemned: set[str]) -> tuple[str, ...] | None:
        if not state.custom or state.external:
            return None
        if state.provider and urns.split_reference(state.provider)[0] in condemned:
            return ()
        unknown = {key for key, deps in state.property_dependencies.items() if condemned.intersection(deps)}
        if not unknown & state.inputs.keys():
            return None
        inputs = {key: UNKNOWN if key in unknown else value for key, value in state.inputs.items()}
        if state.is_provider:
            diff = self._ctx.registry.diff(state, state.urn, inputs)
        else:
            diff = self._provider_diff(state.urn, state, inputs, state, state.ignore_changes, unknowns=True)
        diff = apply_replace_on_changes(diff, state.replace_on_changes, unhealthy=False)
        return diff.replace_keys if diff.replaces else None
