"""`./bmx pipeline`: the steps of the workflows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ops.cli_options import leave

pipeline_app = typer.Typer(help="Steps of the workflows.", no_args_is_help=True, rich_markup_mode=None)
Named = Annotated[str, typer.Option("--stack", metavar="NAME", help="The stack on AWS.")]
Out = Annotated[Path, typer.Option("--out", help="File to write.")]


@pipeline_app.command(
    "preview", epilog="Example: ./bmx pipeline preview --stack staging --out preview.json --state state.json"
)
def pipeline_preview(
    stack: Named,
    out: Out,
    state: Annotated[Path | None, typer.Option("--state", help="Write the stack's export here too.")] = None,
) -> None:
    """Preview a stack under the policy pack into a file; ends with the Pulumi CLI's own exit status."""
    from ops.pipeline import preview  # noqa: PLC0415

    leave(lambda: preview.preview(stack, out, state))


@pipeline_app.command("up", epilog="Example: ./bmx pipeline up --stack staging")
def pipeline_up(stack: Named) -> None:
    """Deploy a stack under the policy pack; ends with the Pulumi CLI's own exit status."""
    from ops.pipeline import preview  # noqa: PLC0415

    leave(lambda: preview.up(stack))


@pipeline_app.command(
    "reviewed", epilog="Example: ./bmx pipeline reviewed --commit 4f2c... --stack staging --out reviewed.json"
)
def pipeline_reviewed(
    commit: Annotated[str, typer.Option("--commit", envvar="GITHUB_SHA", help="The merge's commit.")],
    stack: Named,
    out: Out,
) -> None:
    """Fetch the preview that was reviewed in the pull request that became this commit."""
    from ops.pipeline import reviewed  # noqa: PLC0415

    leave(lambda: reviewed.reviewed(commit, stack, out))


@pipeline_app.command("same-operations", epilog="Example: ./bmx pipeline same-operations reviewed.json preview.json")
def pipeline_same_operations(
    reviewed: Annotated[Path, typer.Argument(help="The preview that was reviewed.")],
    fresh: Annotated[Path, typer.Argument(help="The preview made just now.")],
) -> None:
    """Refuse to go on when what would be done is not what was reviewed; each difference by name."""
    from ops.pipeline import same  # noqa: PLC0415

    leave(lambda: same.same_operations(reviewed, fresh))


@pipeline_app.command("comment", epilog="Example: ./bmx pipeline comment --pr 12 staging.md prod.md")
def pipeline_comment(
    files: Annotated[list[Path], typer.Argument(help="What ./bmx guard --markdown wrote, named after the stack.")],
    pr: Annotated[int, typer.Option("--pr", envvar="PULL_REQUEST", min=1, help="The pull request's number.")],
) -> None:
    """Write the previews into the pull request's one comment, in place."""
    from ops.pipeline import comment  # noqa: PLC0415

    leave(lambda: comment.comment(pr, files))


@pipeline_app.command("drift", epilog="Example: ./bmx pipeline drift --stack prod")
def pipeline_drift(stack: Named) -> None:
    """Say whether AWS still has what the state says: 0 in sync, 1 drifted, 2 it could not be looked at."""
    from ops.pipeline import drift  # noqa: PLC0415

    leave(lambda: drift.drift(stack))
