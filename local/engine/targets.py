"""`--target` and `--exclude`: sets of URNs with wildcards, matched exactly as the Pulumi CLI matches them."""

from __future__ import annotations

import re
from collections.abc import Iterable


class UrnTargets:
    """A set of URNs given as literals and globs.

    ``*`` matches within one part of a URN (no colon), ``**`` matches anything. No pattern at all means: not
    constrained, everything is in the set. Source: Pulumi's ``pkg/resource/deploy/deployment.go``, UrnTargets.
    """

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        given = list(patterns)
        self._literals = {pattern: None for pattern in given if "*" not in pattern}
        self._globs = [_compile(pattern) for pattern in given if "*" in pattern]

    def __bool__(self) -> bool:
        """Tell whether the set is constrained."""
        return bool(self._literals or self._globs)

    def __contains__(self, urn: str) -> bool:
        if not self:
            return True
        return urn in self._literals or any(glob.fullmatch(urn) for glob in self._globs)

    @property
    def literals(self) -> list[str]:
        """The fully written URNs, in the order given."""
        return list(self._literals)

    def add(self, urn: str) -> None:
        """Add one URN; an unconstrained set stays unconstrained."""
        if self:
            self._literals[urn] = None

    def copy(self) -> UrnTargets:
        """Give an independent copy."""
        other = UrnTargets()
        other._literals = dict(self._literals)
        other._globs = list(self._globs)
        return other


def _compile(glob: str) -> re.Pattern[str]:
    parts = ("[^:]*".join(re.escape(word) for word in part.split("*")) for part in glob.split("**"))
    # Go's "." does not match a newline either, so no DOTALL.
    return re.compile(".*".join(parts))
