"""What a person sees of a deployment: one line a step, what changed, and why it was refused."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from local.engine import Outcome

PIPE_WIDTH = 200
"""Columns where standard output is no terminal."""

SYMBOLS = {
    "create": ("+", "green"),
    "update": ("~", "yellow"),
    "delete": ("-", "red"),
    "replace": ("+-", "magenta"),
    "create-replacement": ("++", "magenta"),
    "delete-replaced": ("--", "magenta"),
    "import": ("=", "cyan"),
    "refresh": ("~", "cyan"),
    "read": (">", "cyan"),
    "same": (" ", "dim"),
}


def print_outcome(console: Console, outcome: Outcome, *, done: bool) -> None:
    """Print the steps other than `same`, the diagnostics and a summary; `done` says plan or deed."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for step in outcome.steps:
        if step.op == "same":
            continue
        symbol, colour = SYMBOLS.get(step.op, ("?", "red"))
        changed = ", ".join(sorted(step.detailed_diff or ()))
        table.add_row(
            f"[{colour}]{symbol}[/]", f"[{colour}]{step.op}[/]", escape(step.type), escape(step.name), escape(changed)
        )
    if table.row_count:
        console.print(table)
    for severity, urn, message in outcome.diagnostics:
        colour = {"error": "red", "warning": "yellow"}.get(severity, "dim")
        console.print(
            f"[{colour}]{severity}[/]: {escape(urn.split('::')[-1] + ': ' if urn else '')}{escape(message.strip())}"
        )
    if not outcome.ok and not outcome.steps:
        return
    counts = {op: count for op, count in sorted(outcome.changes.items()) if op != "same" and count}
    summary = ", ".join(f"{count} to {op}" if not done else f"{count} {op}" for op, count in counts.items())
    unchanged = outcome.changes.get("same", 0)
    console.print(f"{summary or 'no changes'} ({unchanged} unchanged)")


def console_for(*, stderr: bool = False) -> Console:
    """Return a console; a file or a pipe gets lines as long as they are, where a terminal would fold them."""
    console = Console(stderr=stderr, highlight=False, emoji=False)
    return console if console.is_terminal else Console(stderr=stderr, highlight=False, emoji=False, width=PIPE_WIDTH)
