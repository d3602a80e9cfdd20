"""Steps: what can be done to one resource, how each is carried out and how it changes the recorded state."""

from __future__ import annotations

from typing import ClassVar

from local.engine import urns
from local.engine.context import Context
from local.engine.diffing import Diff, PropertyDiff, compare_inputs
from local.engine.errors import EngineError, ProviderError
from local.engine.provider import Made
from local.engine.state import ResourceState
from local.engine.values import PropertyMap, Secret, deep_equal, make_secret


class DeleteProtectedError(EngineError):
    """A protected resource is not deleted; the other deletions go on."""

    def __init__(self, urn: str) -> None:
        super().__init__(
            f'resource "{urn}" cannot be deleted\n'
            "because it is protected. To unprotect the resource, either remove the `protect` flag from the resource in "
            "your Pulumi program and run `pulumi up`, or use the command:\n"
            f"`pulumi state unprotect '{urn}'`"
        )


class Step:
    """One step.

    Attributes
    ----------
    op
        The operation, named as in the CLI's JSON.
    pending
        What to call it in the pending operations while it runs; empty if it calls no provider.
    logical
        False for the halves of a replacement, which the ``replace`` step stands for.
    keys, changed
        Property names that force the replacement, that differ.
    """

    op: str = ""
    pending: ClassVar[str] = ""
    logical: bool = True
    untargeted: bool = False
    skipped_create: bool = False

    def __init__(self, old: ResourceState | None, new: ResourceState | None, diff: Diff | None = None) -> None:
        self.old = old
        self.new = new
        self.keys: tuple[str, ...] = diff.replace_keys if diff else ()
        self.changed: tuple[str, ...] = diff.changed_keys if diff else ()
        self.detailed: dict[str, PropertyDiff] | None = diff.detailed if diff else None

    @property
    def state(self) -> ResourceState:
        """The state that the step is about: the new one, or the old one of a deletion."""
        state = self.new or self.old
        if state is None:
            raise ValueError("a step needs a resource")
        return state

    @property
    def urn(self) -> str:
        """The resource's URN."""
        return self.state.urn

    @property
    def internal(self) -> bool:
        """Whether the CLI hides the step: it is about a default provider, or only tidies the state."""
        return urns.is_default_provider(self.urn)

    def apply(self, ctx: Context) -> None:
        """Carry the step out.

        Raises
        ------
        EngineError
            If it is refused, by the engine, a hook or the provider.
        """

    def commit(self, ctx: Context) -> None:
        """Record what the step has changed."""

    def _after_hooks(self, ctx: Context, kind: str) -> None:
        try:
            ctx.callbacks.run_hooks(kind, self.old if kind != "after_create" else None, self.new)
        except EngineError as error:
            ctx.diagnostics.error(self.urn, str(error))
            ctx.post_step_failed.set()


class SameStep(Step):
    """Nothing changes at the provider; the recorded options may."""

    op = "same"

    def __init__(self, old: ResourceState, new: ResourceState, *, untargeted: bool = False) -> None:
        super().__init__(old, new)
        self.untargeted = untargeted

    def apply(self, ctx: Context) -> None:
        assert self.old is not None and self.new is not None  # noqa: S101  the constructor takes both
        self.new.id = self.old.id
        self.new.outputs = self.old.outputs
        self.new.init_errors = self.old.init_errors
        if self.new.is_provider and not self.untargeted:
            ctx.registry.same(self.new.copy(inputs=self.old.inputs))

    def commit(self, ctx: Context) -> None:
        ctx.snapshot.replace(self.old, self.new)


class SkippedCreateStep(Step):
    """A resource that is not among the targets and does not exist yet: nothing is made or recorded."""

    op = "same"
    skipped_create = True

    def __init__(self, new: ResourceState) -> None:
        super().__init__(new.copy(), new)


class CreateStep(Step):
    """A resource is made, for itself or in place of an old one."""

    pending = "creating"

    def __init__(
        self,
        new: ResourceState,
        old: ResourceState | None = None,
        diff: Diff | None = None,
        *,
        delete_later: bool = False,
    ) -> None:
        super().__init__(old, new, diff)
        self.op = "create" if old is None else "create-replacement"
        self.logical = old is None
        self._delete_later = delete_later

    def apply(self, ctx: Context) -> None:
        assert self.new is not None  # noqa: S101  the constructor takes it
        new = self.new
        ctx.callbacks.run_hooks("before_create", None, new)
        made = self._make(ctx, new)
        new.id, new.outputs, new.init_errors = made.id, made.outputs, made.reasons
        new.created = new.modified = ctx.now()
        if self.old is not None and self._delete_later:
            self.old.delete = True
        if made.reasons:
            raise ProviderError(_reasons(made.reasons), uncertain=True)
        if new.custom:
            self._after_hooks(ctx, "after_create")

    def _make(self, ctx: Context, new: ResourceState) -> Made:
        if not new.custom:
            return Made("", {})
        if new.is_provider:
            id_ = ctx.registry.create(new.urn, new.inputs, preview=ctx.dry_run)
            return Made(id_, ctx.registry.outputs(new.inputs))
        timeout = new.timeouts.get("create", 0)
        return ctx.registry.of(new, ctx.olds).create(new.urn, new.inputs, timeout=timeout, preview=ctx.dry_run)

    def commit(self, ctx: Context) -> None:
        ctx.snapshot.replace(self.old if self.old and self.old.pending_replacement else None, self.new)


class UpdateStep(Step):
    """A resource is changed in place."""

    op = "update"
    pending = "updating"

    def __init__(self, old: ResourceState, new: ResourceState, diff: Diff) -> None:
        super().__init__(old, new, diff)

    def apply(self, ctx: Context) -> None:
        assert self.old is not None and self.new is not None  # noqa: S101  the constructor takes both
        old, new = self.old, self.new
        new.id, new.created, new.modified = old.id, old.created, old.modified
        ctx.callbacks.run_hooks("before_update", old, new)
        made = self._change(ctx, old, new)
        new.outputs, new.init_errors = made.outputs, made.reasons
        if new.custom:
            new.modified = ctx.now()
        if made.reasons:
            raise ProviderError(_reasons(made.reasons), uncertain=True)
        if new.custom:
            self._after_hooks(ctx, "after_update")

    def _change(self, ctx: Context, old: ResourceState, new: ResourceState) -> Made:
        if not new.custom:
            return Made("", old.outputs)
        if new.is_provider:
            ctx.registry.update(new.urn, old.id, new.inputs)
            return Made(old.id, ctx.registry.outputs(new.inputs))
        client = ctx.registry.of(new, ctx.olds)
        timeout = new.timeouts.get("update", 0)
        return client.update(old, new.urn, new.inputs, new.ignore_changes, timeout=timeout, preview=ctx.dry_run)

    def commit(self, ctx: Context) -> None:
        ctx.snapshot.replace(self.old, self.new)


class ReplaceStep(Step):
    """Stands for a whole replacement, whose halves are a creation and a deletion."""

    op = "replace"


class DeleteStep(Step):
    """A resource is deleted, for itself or because another has taken (or will take) its place.

    Parameters
    ----------
    before_replacement
        The deletion comes first; the resource stays recorded as pending replacement until the new one is there.
    """

    pending = "deleting"

    def __init__(self, old: ResourceState, *, replacing: bool = False, before_replacement: bool = False) -> None:
        super().__init__(old, None)
        self._replacing = replacing
        self._before_replacement = before_replacement
        self.logical = not replacing
        if old.external:
            self.op = "discard-replaced" if replacing else "read-discard"
        else:
            self.op = "delete-replaced" if replacing else "delete"

    def apply(self, ctx: Context) -> None:
        assert self.old is not None  # noqa: S101  the constructor takes it
        old = self.old
        ctx.callbacks.run_hooks("before_delete", old, None)
        if old.protect and not self._replacing and not ctx.ignore_protect:
            raise DeleteProtectedError(old.urn)
        kept = old.external or old.retain_on_delete or not old.custom or old.is_provider
        if not ctx.dry_run and not kept:
            ctx.registry.of(old, ctx.olds).delete(old)
        if self._before_replacement:
            old.pending_replacement = True
        self._after_hooks(ctx, "after_delete")

    def commit(self, ctx: Context) -> None:
        assert self.old is not None  # noqa: S101  the constructor takes it
        if not self.old.pending_replacement:
            ctx.snapshot.replace(self.old, None)


class RemovePendingReplaceStep(Step):
    """A resource that was deleted to be replaced is no longer wanted: only its record goes."""

    op = "remove-pending-replace"
    logical = False
    internal = True  # type: ignore[assignment]

    def commit(self, ctx: Context) -> None:
        ctx.snapshot.replace(self.old, None)


class ReadStep(Step):
    """A resource that something else manages is looked up by its id."""

    op = "read"
    pending = "reading"

    def __init__(self, new: ResourceState, old: ResourceState | None, *, replacing: bool = False) -> None:
        super().__init__(old, new)
        self._replacing = replacing
        if replacing:
            self.op, self.logical = "read-replacement", False

    def apply(self, ctx: Context) -> None:
        assert self.new is not None  # noqa: S101  the constructor takes it
        made = ctx.registry.of(self.new, ctx.olds).read(self.new.urn, self.new.id, self.new.inputs, self.new.inputs)
        if not made.id:
            raise EngineError(f"resource '{self.new.id}' does not exist")
        self.new.id, self.new.outputs, self.new.init_errors = made.id, made.outputs, made.reasons
        if self._replacing and self.old is not None:
            self.old.delete = True

    def commit(self, ctx: Context) -> None:
        ctx.snapshot.replace(None if self._replacing else self.old, self.new)


class ImportStep(Step):
    """An existing resource is taken under management: read by id, then compared with what the program wants.

    Parameters
    ----------
    new
        The state to fill with what is read.
    original
        A resource of another id that held the URN; it is deleted later.

    Attributes
    ----------
    wanted
        The program's inputs, which tell what is secret of what is read.
    """

    op = "import"
    pending = "importing"

    def __init__(self, new: ResourceState, original: ResourceState | None) -> None:
        super().__init__(original, new)
        self.wanted = new.inputs
        if original is not None:
            self.op, self.logical = "import-replacement", False

    def apply(self, ctx: Context) -> None:
        assert self.new is not None  # noqa: S101  the constructor takes it
        new = self.new
        timeout = new.timeouts.get("read", 0)
        made = ctx.registry.of(new, ctx.olds).read(new.urn, new.import_id, None, {}, timeout=timeout)
        if not made.id:
            raise EngineError(f"resource '{new.import_id}' does not exist")
        if made.inputs is None:
            package = urns.package_of(new.type)
            raise EngineError(
                f"provider does not support importing resources; please try updating the '{package}' plugin"
            )
        new.id, new.inputs, new.outputs, new.init_errors = made.id, made.inputs, made.outputs, made.reasons
        new.created = new.modified = ctx.now()
        if self.old is not None:
            self.old.delete = True

    def commit(self, ctx: Context) -> None:
        ctx.snapshot.replace(None, self.new)


class RefreshStep(Step):
    """A resource is read again; ``op`` becomes what that found: ``same``, ``update`` or ``delete``."""

    op = "refresh"

    def __init__(self, old: ResourceState) -> None:
        super().__init__(old, old)

    def apply(self, ctx: Context) -> None:
        assert self.old is not None  # noqa: S101  the constructor takes it
        old = self.old
        if not old.custom or old.is_provider or old.pending_replacement:
            self.op = "same"
            return
        client = ctx.registry.of(old, ctx.olds)
        made = client.read(old.urn, old.id, old.inputs, old.outputs, timeout=old.timeouts.get("read", 0))
        if not made.id:
            self.op, self.new = "delete", None
            return
        if made.reasons:
            ctx.diagnostics.warning(
                old.urn, "Refreshed resource is in an unhealthy state:\n* " + "\n* ".join(made.reasons)
            )
        inputs = old.inputs if made.inputs is None else made.inputs
        new = old.copy(id=made.id, inputs=inputs, outputs=made.outputs, init_errors=made.reasons)
        if not deep_equal(inputs, old.inputs) or not deep_equal(made.outputs, old.outputs):
            new.modified = ctx.now()
        self.new = new
        self._compare(ctx, old, new)

    def _compare(self, ctx: Context, old: ResourceState, new: ResourceState) -> None:
        if old.external:
            self.op = "same" if deep_equal(old.outputs, new.outputs) else "update"
            return
        client = ctx.registry.of(old, ctx.olds)
        # The provider is asked what it would take to come back to the recorded inputs; the drift is the inverse.
        diff = client.diff(new, old.urn, old.inputs, old.ignore_changes, unknowns=ctx.dry_run)
        if diff.changes == "unknown":
            diff = compare_inputs(new.inputs, old.inputs)
        self.changed, self.detailed = diff.changed_keys, diff.inverted().detailed
        self.op = "same" if diff.changes == "none" else "update"

    def commit(self, ctx: Context) -> None:
        if self.new is not self.old:
            ctx.snapshot.replace(self.old, self.new)


def _reasons(reasons: list[str]) -> str:
    listed = "\n".join(f"\t* {reason}" for reason in reasons)
    return f"{len(reasons)} error{'s' if len(reasons) != 1 else ''} occurred:\n{listed}"


def with_additional_secrets(state: ResourceState) -> PropertyMap:
    """Give the outputs with those marked secret that the options name or whose input is secret."""

    def secret(key: str) -> bool:
        return key in state.additional_secret_outputs or isinstance(state.inputs.get(key), Secret)

    return {key: make_secret(value) if secret(key) else value for key, value in state.outputs.items()}
