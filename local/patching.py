"""Functions of moto's that the embedded cloud replaces while it runs, and puts back when it stops."""

from __future__ import annotations

from typing import Any, Final

_ABSENT: Final = object()


class Patches:
    """Attributes replaced on classes and modules, to be put back in the reverse order."""

    def __init__(self) -> None:
        self._replaced: list[tuple[Any, str, Any]] = []

    def set(self, owner: Any, name: str, value: Any) -> Any:
        """Replace an attribute and return what it was.

        Raises
        ------
        AttributeError
            If there is no such attribute: moto has changed, and a patch that nobody calls would go unnoticed.
        """
        before = getattr(owner, name)
        self._replaced.append((owner, name, vars(owner)[name]))
        setattr(owner, name, value)
        return before

    def add(self, owner: Any, name: str, value: Any) -> None:
        """Give an owner an attribute that it lacks.

        Raises
        ------
        AttributeError
            If it has one: moto has learnt it, and ours is to go.
        """
        before = vars(owner).get(name, _ABSENT)
        ours = getattr(before, "__module__", "").startswith("local.")  # a second embedded service of this process
        if hasattr(owner, name) and not ours:
            raise AttributeError(f"{owner.__name__} has {name!r} already: take ours away")
        self._replaced.append((owner, name, before))
        setattr(owner, name, value)

    def undo(self) -> None:
        """Put everything back."""
        while self._replaced:
            owner, name, before = self._replaced.pop()
            if before is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, before)
