"""The Pulumi CLI: its arguments as a list, its own exit status kept, what it tells passed on to standard error."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ops import stack_yaml
from ops.errors import UserError
from ops.paths import ROOT

SECONDS: Final = 3600
"""The longest operation: an update; the workflows' own limit is longer."""
PACK: Final = f"--policy-pack={ROOT / 'policies'}"
_STANDARD_ERROR: Final = 2


@dataclass(frozen=True)
class Done:
    """How a run of the CLI ended, and what it printed on standard output where that was captured."""

    code: int
    output: str


def refuse_without_its_key(stack: str, folder: Path = ROOT) -> None:
    """Refuse a stack whose file does not say what its secrets are encrypted with.

    `pulumi stack init` writes that into the file of whoever ran it. Where it was not committed, the CLI takes a stack
    for one with a passphrase (pulumi/pkg/cmd/pulumi/stack/secrets.go) and asks for that, which nobody has.

    Raises
    ------
    UserError
        The file lacks ``secretsprovider`` or ``encryptedkey``, and the environment gives no passphrase.
    """
    if any(name in os.environ for name in ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE")):
        return
    file = folder / f"Pulumi.{stack}.yaml"
    said = stack_yaml.read(file) if file.is_file() else {}
    if missing := [name for name in ("secretsprovider", "encryptedkey") if not said.get(name)]:
        raise UserError(
            f"{file.name} lacks {' and '.join(missing)}, so the Pulumi CLI would ask for a passphrase that nobody has.",
            f"`pulumi stack init {stack} --secrets-provider …` wrote both into that file where it was run, as "
            "./bmx bootstrap says: commit them.",
        )


def pulumi(
    operation: Sequence[str], stack: str, *, capture: bool = False, folder: Path | None = None, seconds: float = SECONDS
) -> Done:
    """Run the CLI on a stack, without questions.

    Parameters
    ----------
    operation
        The command and its options, as ``["preview", "--json"]``.
    stack
        The stack's name.
    capture
        Whether standard output is returned instead of shown; standard error is always shown.
    folder
        The program; this checkout unless given.
    seconds
        How long it may take.

    Raises
    ------
    UserError
        There is no CLI on the PATH, or it did not end; exit code 2: nothing was found out.
    """
    binary = shutil.which("pulumi")
    if binary is None:
        raise UserError(
            f"The stack {stack} is on AWS, and the Pulumi CLI is not on the PATH.",
            "Install it and log in to the state's backend; without --stack a command means the stack on this machine.",
        )
    # "=" keeps a name that begins with a dash from being read as an option.
    command = [binary, *operation, "--non-interactive", f"--stack={stack}"]
    sys.stdout.flush()
    try:
        done = subprocess.run(
            command,
            cwd=folder or ROOT,
            stdout=subprocess.PIPE if capture else _STANDARD_ERROR,
            text=True,
            timeout=seconds,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError) as error:
        raise UserError(f"pulumi {operation[0]} --stack {stack} did not come to its end: {error}") from error
    return Done(done.returncode, done.stdout or "")
