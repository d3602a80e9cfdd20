"""`./bmx bootstrap`: what has to be there before an environment's first deployment."""

from __future__ import annotations

from typing import Annotated

import typer

from ops.cli_options import DryRun, leave


def bootstrap(
    environment: Annotated[str, typer.Option("--environment", metavar="ENV", help="As in Pulumi.ENV.yaml.")],
    repository: Annotated[
        str,
        typer.Option(
            "--repository", metavar="OWNER/NAME", help="Whose workflows are trusted; with ids: OWNER@ID/NAME@ID."
        ),
    ],
    dry_run: DryRun = False,
) -> None:
    """Make an environment's state bucket, KMS key, trust in GitHub and roles; again, it puts right what differs."""
    from ops.bootstrap import command  # noqa: PLC0415

    leave(lambda: command.run(environment, repository, dry_run=dry_run))


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command(epilog="Example: ./bmx bootstrap --environment staging --repository OWNER/NAME --dry-run")(bootstrap)
