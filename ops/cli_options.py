"""Options that several commands share, and how every command ends."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, NoReturn

import typer
from rich.console import Console

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines on standard output.")]
Stack = Annotated[str, typer.Option("--stack", metavar="NAME", help="The stack that is meant.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and only look.")]
Allow = Annotated[
    list[str] | None, typer.Option("--allow", metavar="RULE=REASON", help="Let a rule pass this once, and say why.")
]


INTERRUPTED = 130
"""Exit code after Ctrl-C or SIGTERM, as of a shell's command that SIGINT ended."""


def leave(work: Callable[[], int]) -> NoReturn:
    """End with the code that `work` returns; Ctrl-C and SIGTERM end with 130, after the work's own clean-up."""
    try:
        with _termination_interrupts():
            code = work()
    except KeyboardInterrupt:
        complain("interrupted; everything that was started has been stopped.")
        code = INTERRUPTED
    raise typer.Exit(code)


@contextmanager
def _termination_interrupts() -> Iterator[None]:
    """Let SIGTERM end the work as Ctrl-C does, with everything stopped."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def complain(message: str, fix: str = "") -> None:
    console = Console(stderr=True, highlight=False, emoji=False)
    console.print(f"bmx: {message}", markup=False, soft_wrap=True)
    if fix:
        console.print(f"     {fix}", markup=False, soft_wrap=True)
