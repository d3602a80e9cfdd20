"""Writes docs/jobs.md from the states, the losses and `page.md`: `python -m ops.jobs.page`."""

from __future__ import annotations

from pathlib import Path

from handlers.common.job_states import TRANSITIONS, Transition
from ops.jobs.losses import JOBS, UPLOADS, table
from ops.paths import ROOT

FILE = ROOT / "docs" / "jobs.md"
TEMPLATE = Path(__file__).with_name("page.md")


def page() -> str:
    """Return the page."""
    transitions = "\n".join(["| from | to | when |", "|---|---|---|", *map(_row, TRANSITIONS.values())])
    parts = {"{transitions}": transitions, "{jobs}": table(JOBS), "{uploads}": table(UPLOADS)}
    text = TEMPLATE.read_text()
    for place, part in parts.items():
        text = text.replace(place, part)
    return text


def _row(way: Transition) -> str:
    return f"| {', '.join(f'`{state}`' for state in way.before)} | `{way.after}` | {way.when} |"


if __name__ == "__main__":
    FILE.write_text(page())
