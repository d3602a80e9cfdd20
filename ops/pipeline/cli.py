"""The Pulumi CLI, run over this project: its arguments as a list, its own exit status kept."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from ops.errors import UserError
from ops.paths import ROOT

SECONDS = 3600
"""The longest operation; an update that takes longer is stopped by the workflow's own limit."""
PACK = ("--policy-pack", str(ROOT / "policies"))


@dataclass(frozen=True)
class Done:
    """How a run of the CLI ended, and what it printed on standard output."""

    code: int
    output: str


def pulumi(operation: Sequence[str], stack: str, *, capture: bool = False) -> Done:
    """Run the CLI on a stack, without questions; what it says on standard error is passed on.

    Parameters
    ----------
    operation
        The command and its options, as ``["preview", "--json"]``.
    stack
        The stack's name.
    capture
        Whether standard output is returned instead of shown.

    Raises
    ------
    UserError
        There is no CLI on the PATH, or it did not end; exit code 2: nothing was found out.
    """
    binary = shutil.which("pulumi")
    if binary is None:
        raise UserError("The Pulumi CLI is not on the PATH.", "Install it, and log in to the state's backend.")
    # "=" keeps a name that begins with a dash from being read as an option.
    command = [binary, *operation, "--non-interactive", f"--stack={stack}"]
    sys.stdout.flush()
    try:
        done = subprocess.run(
            command, cwd=ROOT, stdout=subprocess.PIPE if capture else None, text=True, timeout=SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError) as error:
        raise UserError(f"pulumi {operation[0]} --stack {stack} did not come to its end: {error}") from error
    return Done(done.returncode, done.stdout or "")
