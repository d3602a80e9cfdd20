"""The dependency graph over resource states: who depends on whom, and in which order to create and delete."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping

from local.engine.state import ResourceState


def sort_keys(edges: Mapping[str, Iterable[str]]) -> list[str]:
    """Sort keys so that each comes after what it depends on, and alphabetically where that leaves a choice.

    Registrations arrive in a different order each run; state and plan must not.
    """
    waiting = {key: {dep for dep in deps if dep in edges and dep != key} for key, deps in edges.items()}
    dependents: dict[str, list[str]] = {key: [] for key in edges}
    for key, deps in waiting.items():
        for dep in deps:
            dependents[dep].append(key)
    ready = [key for key, deps in waiting.items() if not deps]
    heapq.heapify(ready)
    order: list[str] = []
    while ready:
        key = heapq.heappop(ready)
        order.append(key)
        for dependent in dependents[key]:
            waiting[dependent].discard(key)
            if not waiting[dependent]:
                heapq.heappush(ready, dependent)
    # A cycle cannot come from a program; a hand-edited state must still not lose resources.
    return order + sorted(edges.keys() - set(order))


def sort_states(states: Iterable[ResourceState]) -> list[ResourceState]:
    """Sort states topologically; those that only wait for deletion come last."""
    given = list(states)
    result: list[ResourceState] = []
    for condemned in (False, True):
        group: dict[str, list[ResourceState]] = {}
        for state in given:
            if state.delete is condemned:
                group.setdefault(state.urn, []).append(state)
        edges = {urn: set().union(*(s.dependency_urns(with_parent=True) for s in same)) for urn, same in group.items()}
        for urn in sort_keys(edges):
            result.extend(group[urn])
    return result


def dependents(
    root: ResourceState, states: Iterable[ResourceState], ignore: Collection[str] = (), *, with_children: bool
) -> list[ResourceState]:
    """List everything that depends on ``root``, directly or not, in topological order.

    Parameters
    ----------
    root
        Where to start; not part of the result.
    states
        All states.
    ignore
        URNs that are left out and not followed.
    with_children
        Whether being a child counts as depending.
    """
    reached = {root.urn}
    found: list[ResourceState] = []
    for state in sort_states(states):
        if state is root or state.urn in ignore:
            continue
        if state.dependency_urns(with_parent=with_children) & reached:
            reached.add(state.urn)
            found.append(state)
    return found


def _needs(state: ResourceState, states: Iterable[ResourceState]) -> list[ResourceState]:
    """List the states that must outlive this one: what it depends on, and all children of a component it depends on."""
    wanted = state.dependency_urns(with_parent=False)
    everything = list(states)
    components = {other.urn for other in everything if other.urn in wanted and not other.custom}
    while True:
        children = {o.urn for o in everything if o.parent in components and o.urn not in components}
        children -= {state.urn, state.parent}
        if not children:
            break
        components |= children
    wanted = (wanted | components | {state.parent}) - {state.urn, ""}
    return [other for other in everything if other.urn in wanted]


def deletion_waves(condemned: Collection[ResourceState]) -> list[list[ResourceState]]:
    """Arrange deletions in waves: a resource goes before what it depends on, and within a wave all may go at once."""
    left = {id(state): state for state in condemned}
    needed_by: dict[int, set[int]] = {key: set() for key in left}
    for key, state in left.items():
        for other in _needs(state, left.values()):
            needed_by[id(other)].add(key)
    waves: list[list[ResourceState]] = []
    while left:
        free = [key for key in left if not needed_by[key] & left.keys()]
        # As in sort_keys: a hand-made cycle is broken in URN order rather than looped over for ever.
        free = free or [min(left, key=lambda key: left[key].urn)]
        waves.append(sorted((left[key] for key in free), key=lambda state: state.urn))
        for key in free:
            del left[key]
    return waves


def transitive_needs(state: ResourceState, condemned: Iterable[ResourceState]) -> set[int]:
    """Collect the identities of everything that must stay because ``state`` could not be deleted."""
    everything = list(condemned)
    reached: set[int] = set()
    frontier = [state]
    while frontier:
        for other in _needs(frontier.pop(), everything):
            if id(other) not in reached:
                reached.add(id(other))
                frontier.append(other)
    return reached
