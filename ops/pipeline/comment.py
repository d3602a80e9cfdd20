"""`./bmx pipeline comment`: one comment on a pull request, written once and edited ever after."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ops.errors import UserError
from ops.guard.report import LONGEST_COMMENT
from ops.pipeline.github import GitHub

MARKER = "<!-- bmx: previews -->"
_CUT = "\n\n… cut; the whole of it is in the job's log.\n"


def comment(number: int, files: Sequence[Path]) -> int:
    """Write what the guard said of each stack into the pull request's one comment; 0.

    Parameters
    ----------
    files
        What `./bmx guard --markdown` wrote, named after the stack; one that is missing is told as such.

    Raises
    ------
    UserError
        GitHub refused, or a file is not text.
    """
    github = GitHub()
    text = body(files)
    # Anybody can write the marker; only a bot's comment is this one.
    mine = [
        entry["id"]
        for entry in github.pages(f"issues/{number}/comments")
        if MARKER in (entry.get("body") or "") and (entry.get("user") or {}).get("type") == "Bot"
    ]
    if mine:
        github.send("PATCH", f"issues/comments/{mine[0]}", {"body": text})
    else:
        github.send("POST", f"issues/{number}/comments", {"body": text})
    print(f"pull request {number}: the comment was {'edited' if mine else 'written'}")  # noqa: T201
    return 0


def body(files: Sequence[Path]) -> str:
    """Return the comment's text, under `LONGEST_COMMENT` characters, each stack with an equal share."""
    share = (LONGEST_COMMENT - 1000) // max(len(files), 1)
    parts = [MARKER, *(f"### {path.stem}\n\n{_part(path, share)}" for path in files)]
    if run := _run():
        parts.append(f"[The whole run]({run})")
    return "\n\n".join(parts)


def _part(path: Path, share: int) -> str:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return "❌ No preview was made; the job's log says why."
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path.name} cannot be read: {error}") from error
    return text if len(text) <= share else text[: share - len(_CUT)].rsplit("\n", 1)[0] + _CUT


def _run() -> str:
    named = [os.environ.get(name) for name in ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID")]
    return "{}/{}/actions/runs/{}".format(*named) if all(named) else ""
