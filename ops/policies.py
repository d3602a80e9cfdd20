"""The policy pack as a process beside a local run, asked over the analyzer protocol as the Pulumi CLI asks it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ops.errors import UserError
from ops.paths import ROOT

FOLDER = ROOT / "policies"
_LONGEST_END = 5.0
# It has a session of its own: Ctrl-C is for the run, which still has to ask the pack while it ends. So the kernel ends
# the pack should the run be killed.
_START = """
import os, runpy, sys
root, parent, folder = sys.argv[1:]
sys.path.insert(0, root)
from local.bootstrap import die_with
die_with(int(parent))
runpy.run_path(folder, run_name="__main__")
"""


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
    command = [sys.executable, "-u", "-c", _START, str(ROOT), str(os.getpid()), str(folder)]
    # The port comes on standard output; why it ended on standard error, a file, because nobody reads that meanwhile.
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=said, text=True, env=_environment(), start_new_session=True
        ) as process,
    ):
        try:
            yield f"127.0.0.1:{_port(process, said)}"
        finally:
            process.terminate()
            try:
                process.wait(_LONGEST_END)
            except subprocess.TimeoutExpired:
                process.kill()


def _port(process: subprocess.Popen[str], said: IO[str]) -> int:
    assert process.stdout  # noqa: S101 (it is a pipe)
    port = process.stdout.readline().strip()
    if port.isdecimal():
        return int(port)
    process.terminate()
    process.wait(_LONGEST_END)
    said.seek(0)
    why = said.read().strip().splitlines()
    raise UserError(
        f"The policy pack did not start: {why[-1] if why else 'it said nothing'}",
        "Put policies/ right; no stack is deployed without its policies.",
        exit_code=1,
    )


def _environment() -> dict[str, str]:
    # The pack needs no credentials, and the SDK would read a run's settings from PULUMI_* variables.
    return {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "PULUMI_"))}
