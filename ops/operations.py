"""Operations on the cloud that `./bmx up` keeps running, from another terminal; imports nothing of the cloud's own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from local import offline
from local.engine import Options, Outcome
from ops import targets
from ops.cli_options import INTERRUPTED, complain
from ops.display import console_for, print_outcome
from ops.local_stack import running


@dataclass(frozen=True)
class Request:
    """One operation on the running local stack, as the command line asks for it."""

    kind: Literal["preview", "up", "destroy"]
    targets: Sequence[str] = ()
    excludes: Sequence[str] = ()
    overrides: Sequence[str] = ()
    target_dependents: bool = False
    run_program: bool = False
    expect_no_changes: bool = False


def operate(request: Request, *, as_json: bool) -> int:
    """Preview, deploy or destroy on the running cloud; 0 when it went through."""
    stack = running()
    offline.install()
    flows = [flow["key"] for flow in stack.output("flows")] if _names_a_flow(request) else []
    options = Options(
        kind=request.kind,
        targets=targets.expand(request.targets, flows),
        excludes=targets.expand(request.excludes, flows),
        target_dependents=request.target_dependents,
        run_program=request.run_program,
    )
    outcome = stack.run(options, request.overrides)
    if outcome.cancelled and not as_json:
        complain(_interrupted(outcome))
    elif as_json:
        print(json.dumps(outcome.to_json(), indent=2))  # noqa: T201
    else:
        print_outcome(console_for(), outcome, done=request.kind != "preview")
    if outcome.cancelled:
        return INTERRUPTED
    changed = any(count for op, count in outcome.changes.items() if op != "same")
    return 1 if not outcome.ok or (request.expect_no_changes and changed) else 0


def _interrupted(outcome: Outcome) -> str:
    if outcome.dry_run:
        return "interrupted; nothing was changed."
    done = sum(count for op, count in outcome.changes.items() if op != "same")
    return f"interrupted; what was under way has ended and is recorded: {done} changes. The same command goes on."


def _names_a_flow(request: Request) -> bool:
    return any(target.startswith("flow:") for target in (*request.targets, *request.excludes))
