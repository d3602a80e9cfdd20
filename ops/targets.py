"""`--target`: URNs and wildcards as Pulumi has them, and `flow:KEY` for everything under one flow."""

from __future__ import annotations

from collections.abc import Iterable

from ops.errors import UserError


def expand(targets: Iterable[str], flows: Iterable[str]) -> tuple[str, ...]:
    """Turn every `flow:KEY` into the URN patterns of that flow's component and all its children.

    A component's children carry its type in their URN and its name, followed by `-`, at the start of theirs.

    Raises
    ------
    UserError
        A flow that the catalogue does not have.
    """
    known = sorted(flows)
    patterns: list[str] = []
    for target in targets:
        prefix, separator, key = target.partition(":")
        if prefix != "flow" or not separator:
            patterns.append(target)
            continue
        if key not in known:
            raise UserError(f"There is no flow {key!r} in the catalogue.", f"Flows: {', '.join(known)}.")
        patterns += [f"urn:pulumi:*::*::**WorkerFlow::{key}", f"urn:pulumi:*::*::**WorkerFlow$**::{key}-*"]
    return tuple(patterns)
