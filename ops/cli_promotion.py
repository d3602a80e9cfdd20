"""`./bmx manifest`, `./bmx promote`, `./bmx rollback`: what was proven moves on, by digest; and the way back."""

from __future__ import annotations

from typing import Annotated

import typer

from ops.cli_options import Allow, DryRun, Json, Stack, leave

manifest_app = typer.Typer(help="What was deployed, written down.", no_args_is_help=True, rich_markup_mode=None)


@manifest_app.command("write", epilog="Example: ./bmx manifest write --stack staging")
def manifest_write(stack: Stack = "local", as_json: Json = False) -> None:
    """Look at what is deployed and keep it: commit, digests, requirements, policies, health, dead letters."""
    from ops.promotion import command  # noqa: PLC0415

    leave(lambda: command.write(stack, as_json=as_json))


@manifest_app.command("show", epilog="Example: ./bmx manifest show --stack prod --history")
def manifest_show(
    stack: Stack = "local",
    history: Annotated[bool, typer.Option("--history", help="All of them, oldest first.")] = False,
    as_json: Json = False,
) -> None:
    """Verify and print the latest manifest of a stack."""
    from ops.promotion import command  # noqa: PLC0415

    leave(lambda: command.show(stack, history=history, as_json=as_json))


def promote(
    source: Annotated[str, typer.Argument(metavar="FROM", help="The stack that proved it.")],
    to: Annotated[str, typer.Argument(metavar="TO", help="The stack whose configuration gets the artefacts.")],
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Hold FROM's manifest against what is so now, then copy its artefacts by digest into Pulumi.TO.yaml."""
    from ops.promotion import command  # noqa: PLC0415

    leave(lambda: command.promote(source, to, dry_run=dry_run, as_json=as_json))


def rollback(
    stack: Annotated[str, typer.Argument(metavar="STACK", help="The stack that goes back.")],
    allow: Allow = None,
    dry_run: DryRun = False,
) -> None:
    """Deploy what the manifest before the latest says; refused where that would touch the database."""
    from ops.promotion import command  # noqa: PLC0415

    leave(lambda: command.rollback(stack, dry_run=dry_run, allow=allow or []))


def weights() -> None:
    """Fetch and verify the worker's weights into .build/weights, from where the image's build on AWS takes them."""
    from ops.promotion import command  # noqa: PLC0415

    leave(command.weights)


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.add_typer(manifest_app, name="manifest")
    app.command("weights", epilog="Example: ./bmx weights && pulumi up --stack staging")(weights)
    app.command("promote", epilog="Example: ./bmx promote staging prod --dry-run")(promote)
    app.command("rollback", epilog="Example: ./bmx rollback prod --dry-run")(rollback)
