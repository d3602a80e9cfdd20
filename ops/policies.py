"""The policy pack as a process beside a local run, asked over the analyzer protocol as the Pulumi CLI asks it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ops.errors import UserError
from ops.paths import ROOT

FOLDER = ROOT / "policies"
_LONGEST_END = 5.0


@contextmanager
def serving(folder: Path = FOLDER) -> Iterator[str]:
    """Serve a pack for as long as the block lasts.

    Parameters
    ----------
    folder
        The pack.

    Yields
    ------
    str
        Where it listens, ``127.0.0.1:N``; for `Engine(analyzers=[...])`.

    Raises
    ------
    UserError
        The pack ended before it listened; the message has its last line.
    """
    command = [sys.executable, "-u", str(folder)]
    # Its own pipe for what it says: the port comes on standard output, why it ended on standard error.
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=_environment()
    ) as process:
        try:
            yield f"127.0.0.1:{_port(process)}"
        finally:
            process.terminate()
            try:
                process.wait(_LONGEST_END)
            except subprocess.TimeoutExpired:
                process.kill()


def _port(process: subprocess.Popen[str]) -> int:
    assert process.stdout  # noqa: S101 (it is a pipe)
    said = process.stdout.readline().strip()
    if said.isdecimal():
        return int(said)
    process.terminate()
    why = (process.communicate()[1] or "").strip().splitlines()
    raise UserError(
        f"The policy pack did not start: {why[-1] if why else 'it said nothing'}",
        "Put policies/ right; no stack is deployed without its policies.",
        exit_code=1,
    )


def _environment() -> dict[str, str]:
    # The pack needs no credentials, and the SDK would read a run's settings from PULUMI_* variables.
    return {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "PULUMI_"))}
