"""What a run has decided so far about each URN, and which resources `--target` and `--exclude` let it touch."""

from __future__ import annotations

from dataclasses import dataclass, field

from local.engine import urns
from local.engine.context import Alias, Context, Goal
from local.engine.state import ResourceState


@dataclass
class Tracker:
    """Decisions so far, each a set of URNs.

    Attributes
    ----------
    seen
        Every URN registered.
    skipped_creates
        Resources outside the targets that do not exist.
    aliased, aliases
        Old URN to the URN that has taken it over, and the other way round.
    pending_deletes
        Identities of states deleted before their replacement.
    to_delete
        What a destroy that runs the program deletes.
    replace_keys
        Why a dependent of a resource deleted before replacement is replaced too.
    failed
        Set when something was refused that only a preview may go past.
    """

    seen: set[str] = field(default_factory=set)
    creates: set[str] = field(default_factory=set)
    sames: set[str] = field(default_factory=set)
    updates: set[str] = field(default_factory=set)
    replaces: set[str] = field(default_factory=set)
    reads: set[str] = field(default_factory=set)
    imports: set[str] = field(default_factory=set)
    skipped_creates: set[str] = field(default_factory=set)
    aliased: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    pending_deletes: set[int] = field(default_factory=set)
    to_delete: list[ResourceState] = field(default_factory=list)
    replace_keys: dict[str, tuple[str, ...]] = field(default_factory=dict)
    providers: dict[str, ResourceState] = field(default_factory=dict)
    failed: bool = False

    def decided(self, ctx: Context, urn: str) -> bool:
        """Tell whether a step was made for the URN."""
        sets = (self.creates, self.sames, self.updates, self.replaces, self.reads, ctx.deletes)
        return any(urn in chosen for chosen in sets)

    def operated_on(self, urn: str) -> bool:
        """Tell whether the old resource of this URN (or of an alias) is still wanted."""
        urn = self.aliased.get(urn, urn)
        return any(urn in chosen for chosen in (self.sames, self.updates, self.replaces, self.reads))


class Selection:
    """Which resources the run may touch."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        # With --target-dependents, what is touched grows with each resource that depends on a target.
        self._grown = ctx.targets.copy()

    def includes(self, state: ResourceState) -> bool:
        """Tell whether the resource may be touched; providers and the stack itself always may."""
        if state.is_provider or urns.qualified_type(state.urn) == urns.ROOT_STACK_TYPE:
            return True
        if self._ctx.targets:
            return self._targeted(state)
        return not (self._ctx.excludes and state.urn in self._ctx.excludes)

    def _targeted(self, state: ResourceState) -> bool:
        if state.urn in self._ctx.targets:
            return True
        if not self._ctx.target_dependents:
            return False
        return any(urn in self._grown for urn in state.dependency_urns(with_parent=True))

    def grow(self, state: ResourceState) -> None:
        """Note that the resource is touched, so that its dependents may be."""
        if self._ctx.targets and self._targeted(state):
            self._grown.add(state.urn)


def alias_urns(ctx: Context, tracker: Tracker, goal: Goal) -> list[str]:
    """List the URNs that a resource may have had, its parent's earlier names included."""
    found = {_collapse(ctx, tracker, goal, alias): None for alias in goal.aliases}
    if goal.parent in tracker.aliases:
        names = [(goal.type, goal.name), *((urns.type_of(alias), urns.name_of(alias)) for alias in found)]
        for type_, name in names:
            found[_inherited(ctx, type_, name, goal.parent, tracker.aliases[goal.parent])] = None
    return list(found)


def _collapse(ctx: Context, tracker: Tracker, goal: Goal, alias: Alias) -> str:
    if alias.urn:
        return alias.urn
    parent = goal.parent
    if alias.no_parent:
        parent = ""
    elif alias.parent:
        parent = tracker.aliases.get(alias.parent, alias.parent)
    return urns.make(
        alias.stack or ctx.stack, alias.project or ctx.project, parent, alias.type or goal.type, alias.name or goal.name
    )


def _inherited(ctx: Context, type_: str, name: str, parent: str, parent_alias: str) -> str:
    # A child named after its parent is taken to have been named after the parent's old name.
    if name.startswith(urns.name_of(parent)):
        name = urns.name_of(parent_alias) + name.removeprefix(urns.name_of(parent))
    return urns.make(ctx.stack, ctx.project, parent_alias, type_, name)
