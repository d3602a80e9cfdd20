"""Functions of moto's that the embedded cloud replaces while it runs, and puts back when it stops."""

from __future__ import annotations

from typing import Any


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

    def undo(self) -> None:
        """Put everything back."""
        while self._replaced:
            owner, name, before = self._replaced.pop()
            setattr(owner, name, before)
