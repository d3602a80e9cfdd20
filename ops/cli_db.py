"""`./bmx db`: the database's credential, proven, repaired, rotated, handed over; and the matrix that guards it."""

from __future__ import annotations

from typing import Annotated, NoReturn

import typer

from ops.cli_options import DryRun, Json, Stack, leave

db_app = typer.Typer(help="The database.", no_args_is_help=True, rich_markup_mode=None)


@db_app.command("check", epilog="Example: ./bmx db check            Example: ./bmx db check --stack staging --json")
def db_check(stack: Stack = "local", as_json: Json = False) -> None:
    """Say whether the secret logs in, as whom, and which secret it is; tried from inside the network."""
    from ops.database import command  # noqa: PLC0415

    leave(lambda: command.check(stack, as_json=as_json))


@db_app.command("repair", epilog="Example: ./bmx db repair --dry-run")
def db_repair(stack: Stack = "local", dry_run: DryRun = False) -> None:
    """Bring database and secret back together, whichever was changed behind the other's back; proves a login."""
    _act_on_database("repair", stack, dry_run=dry_run)


@db_app.command("rotate", epilog="Example: ./bmx db rotate --stack staging")
def db_rotate(stack: Stack = "local", dry_run: DryRun = False) -> None:
    """Give the database a new password, in the database and in the secret; proves a login, goes back on failure."""
    _act_on_database("rotate", stack, dry_run=dry_run)


@db_app.command("adopt-managed", epilog="Example: ./bmx db adopt-managed --stack staging --dry-run")
def db_adopt_managed(stack: Stack = "local", dry_run: DryRun = False) -> None:
    """Hand an adopted database's password to RDS, which keeps and rotates it; in two steps, says which comes next."""
    _act_on_database("adopt-managed", stack, dry_run=dry_run)


def _act_on_database(what: str, stack: str, *, dry_run: bool) -> NoReturn:
    from ops.database import command  # noqa: PLC0415

    leave(lambda: command.act(what, stack, dry_run=dry_run))


@db_app.command("matrix", epilog="Example: ./bmx db matrix            Example: ./bmx db matrix --layers --json")
def db_matrix(
    layers: Annotated[
        bool, typer.Option("--layers", help="Again without each guard, one taken off at a time; takes minutes.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Try every way to move the database's password, on real databases, against what must come of it."""
    from ops import matrix  # noqa: PLC0415

    leave(lambda: matrix.show(layers=layers, as_json=as_json))
