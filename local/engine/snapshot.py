"""The state while it changes: what was there before, what is new, and which operations are under way.

Every change is written to the store before the next provider call, so that a crash loses nothing but the answer of the
call that was under way, and that call is named in the pending operations.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from local.engine.state import ResourceState
from local.engine.store import PendingOperation, StateStore


class Snapshot:
    """Old resources that are still there, new ones, and pending operations.

    Parameters
    ----------
    store
        Where to write; None in a preview, which writes nothing.
    base
        The resources at the start.
    pending
        Operations that an earlier, interrupted run left.
    """

    def __init__(
        self, store: StateStore | None, base: Iterable[ResourceState], pending: Iterable[PendingOperation]
    ) -> None:
        self._store = store
        self._base = list(base)
        self._news: list[ResourceState] = []
        self._done: set[int] = set()
        # Only creations are carried on: whatever else was interrupted is still recorded, and is simply done again.
        self._left = [op for op in pending if op.type == "creating"]
        self._under_way: dict[int, PendingOperation] = {}
        self._lock = threading.RLock()

    def begin(self, operation: str, state: ResourceState) -> None:
        """Write down that an operation on a resource begins."""
        with self._lock:
            self._under_way[id(state)] = PendingOperation(operation, state)
            self.save()

    def end(self, state: ResourceState) -> None:
        """Write down that the operation on the resource has ended, well or not."""
        with self._lock:
            self._under_way.pop(id(state), None)
            self.save()

    def replace(self, old: ResourceState | None, new: ResourceState | None) -> None:
        """Take the old state out and put the new one in."""
        with self._lock:
            if old is not None:
                self._done.add(id(old))
            if new is not None:
                self._news.append(new)

    def forget_interrupted(self) -> list[PendingOperation]:
        """Strike interrupted creations off, and give them."""
        with self._lock:
            left, self._left = self._left, []
            return left

    def resources(self) -> list[ResourceState]:
        """List the resources as they are now."""
        with self._lock:
            return [state for state in (*self._news, *self._base) if id(state) not in self._done]

    def save(self) -> None:
        """Write the state, references to renamed resources brought up to date."""
        if self._store is None:
            return
        with self._lock:
            pending = [*sorted(self._under_way.values(), key=lambda op: op.state.urn), *self._left]
            self._store.save(_with_current_urns(self.resources()), pending)


def _with_current_urns(states: list[ResourceState]) -> list[ResourceState]:
    present = {state.urn for state in states}
    renamed = {alias: s.urn for s in states if not s.delete for alias in s.aliases if alias not in present}
    if not renamed:
        return states

    def current(urn: str) -> str:
        return renamed.get(urn, urn)

    changed = []
    for state in states:
        urn, separator, id_ = state.provider.rpartition("::")
        changed.append(
            state.copy(
                parent=current(state.parent),
                dependencies=[current(dep) for dep in state.dependencies],
                property_dependencies={
                    k: [current(d) for d in deps] for k, deps in state.property_dependencies.items()
                },
                provider=f"{current(urn)}{separator}{id_}",
            )
        )
    return changed
