"""`./bmx keys`: keys of the API, added, listed, revoked."""

from __future__ import annotations

from typing import Annotated

import typer

from ops.cli_options import Json, Stack, leave

keys_app = typer.Typer(help="Keys of the API.", no_args_is_help=True, rich_markup_mode=None)


@keys_app.command("add", epilog="Example: ./bmx keys add alice            Example: ./bmx keys add ci --stack staging")
def keys_add(
    name: Annotated[str, typer.Argument(help="Who or what will use the key; a name may have several.")],
    stack: Stack = "local",
    first: Annotated[
        bool, typer.Option("--first", help="Into the secret, not the database: works while the database is down.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make a key and print it, this once; what is kept is its SHA-256."""
    from ops import keys_command  # noqa: PLC0415

    leave(lambda: keys_command.add(stack, name, first=first, as_json=as_json))


@keys_app.command("list", epilog="Example: ./bmx keys list            Example: ./bmx keys list --stack staging --json")
def keys_list(stack: Stack = "local", as_json: Json = False) -> None:
    """List the keys by id and name: when each was made, last used and revoked; never a key."""
    from ops import keys_command  # noqa: PLC0415

    leave(lambda: keys_command.listing(stack, as_json=as_json))


@keys_app.command(
    "revoke", epilog="Example: ./bmx keys revoke alice            Example: ./bmx keys revoke 4f2c9a01d3e7 --json"
)
def keys_revoke(
    key: Annotated[str, typer.Argument(help="Its id as listed, or its name if only one working key has it.")],
    stack: Stack = "local",
    as_json: Json = False,
) -> None:
    """Revoke a key for good; to change a key add one of the same name first, then revoke the old one by id."""
    from ops import keys_command  # noqa: PLC0415

    leave(lambda: keys_command.revoke(stack, key, as_json=as_json))
