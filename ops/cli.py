"""The commands of `./bmx`; each does its work in a module of its own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer

from ops import cli_bootstrap, cli_promotion
from ops.cli_db import db_app
from ops.cli_dlq import dlq_app
from ops.cli_keys import keys_app
from ops.cli_options import Allow, Json, Stack, complain, leave
from ops.cli_pipeline import pipeline_app
from ops.errors import UserError

app = typer.Typer(
    name="bmx",
    help="BlueMoxon's worker flows: run them on this machine, deploy them, look after them.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(keys_app, name="keys")
app.add_typer(db_app, name="db")
app.add_typer(dlq_app, name="dlq")
app.add_typer(pipeline_app, name="pipeline")
cli_promotion.register(app)
cli_bootstrap.register(app)

Port = Annotated[int, typer.Option("--port", min=0, max=65535, help="The API's port on 127.0.0.1; 0: a free one.")]
Config = Annotated[
    list[str] | None, typer.Option("--config", "-c", metavar="KEY=VALUE", help="Configuration, this time only.")
]
Target = Annotated[
    list[str] | None,
    typer.Option("--target", "-t", metavar="URN", help="Only these: URNs, * and ** as in Pulumi, flow:KEY."),
]
Exclude = Annotated[list[str] | None, typer.Option("--exclude", metavar="URN", help="All but these; as --target.")]
Dependents = Annotated[bool, typer.Option("--target-dependents", help="Also what depends on the targets.")]


def main() -> None:
    """Run the command line; an error the user can act on becomes a sentence on standard error and an exit code."""
    try:
        app(prog_name="./bmx")
    except UserError as error:
        complain(error.message, error.fix)
        sys.exit(error.exit_code)


@app.command(epilog="Example: ./bmx run            Example: ./bmx run photo.jpg --json")
def run(
    photos: Annotated[list[Path] | None, typer.Argument(help="JPEG, PNG, WebP [default: the samples].")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the pictures [default: out/].")] = None,
    port: Port = 0,
    as_json: Json = False,
) -> None:
    """Deploy to an embedded cloud, push photographs through the image flow, write the results, stop everything."""
    from ops import commands  # noqa: PLC0415 (moto and gRPC take a second to import; --help must not wait for them)

    leave(lambda: commands.run(photos or [], out, port, as_json=as_json))


@app.command(epilog="Example: ./bmx up --port 8080")
def up(
    photos: Annotated[list[Path] | None, typer.Argument(help="Photographs to start with [default: none].")] = None,
    port: Port = 0,
) -> None:
    """Start the embedded cloud, deploy, and stay until Ctrl-C; prints the API's address and its key once."""
    from ops import commands  # noqa: PLC0415

    leave(lambda: commands.up(photos or [], port))


@app.command(epilog="Example: ./bmx preview --target flow:image_processing --json")
def preview(
    target: Target = None,
    exclude: Exclude = None,
    target_dependents: Dependents = False,
    config: Config = None,
    expect_no_changes: Annotated[bool, typer.Option("--expect-no-changes", help="Exit 1 on any change.")] = False,
    as_json: Json = False,
) -> None:
    """Show what `deploy` would do to the cloud that `./bmx up` keeps running."""
    _operate("preview", target, exclude, config, target_dependents, as_json, expect_no_changes=expect_no_changes)


@app.command(epilog="Example: ./bmx deploy --exclude '**rds/instance:Instance**'")
def deploy(
    target: Target = None,
    exclude: Exclude = None,
    target_dependents: Dependents = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Deploy the program to the cloud that `./bmx up` keeps running."""
    _operate("up", target, exclude, config, target_dependents, as_json)


@app.command(epilog="Example: ./bmx destroy --target flow:image_processing")
def destroy(
    target: Target = None,
    exclude: Exclude = None,
    target_dependents: Dependents = False,
    config: Config = None,
    run_program: Annotated[
        bool, typer.Option("--run-program", help="Run the program too: its delete hooks speak.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Delete what was deployed; what is protected refuses."""
    _operate("destroy", target, exclude, config, target_dependents, as_json, run_program=run_program)


@app.command(epilog="Example: ./bmx test unit program            Example: ./bmx test --all")
def test(
    suites: Annotated[list[str] | None, typer.Argument(help="Suites [default: all that are not slow].")] = None,
    everything: Annotated[bool, typer.Option("--all", help="The slow tests too.")] = False,
    keyword: Annotated[str, typer.Option("-k", help="Only tests whose names match, as in pytest.")] = "",
    lint: Annotated[bool, typer.Option("--lint", help="Linters and types even where suites are named.")] = False,
) -> None:
    """Lint, type-check and test; says each suite's share of the time and what was skipped, by name."""
    from ops import testing  # noqa: PLC0415

    leave(lambda: testing.run(suites or [], everything=everything, keyword=keyword, lint=lint))


@app.command(epilog="Example: ./bmx bench imaging            Example: ./bmx bench")
def bench(
    name: Annotated[str | None, typer.Argument(help="A file of benchmarks/, without .py [default: each].")] = None,
) -> None:
    """Measure: ratios and spreads of one run on this machine, which stands in the answer."""
    from ops import benchmarks  # noqa: PLC0415

    leave(lambda: benchmarks.run(name))


@app.command(
    epilog="Example: ./bmx guard preview.json --state export.json            "
    "Example: ./bmx guard preview.json --allow 'iam-widened=the new flow thumbnails'            "
    "BMX_GUARD_ALLOW in the environment holds further RULE=REASON, one a line; --allow comes before them."
)
def guard(
    preview: Annotated[
        str, typer.Argument(help="What pulumi preview --json wrote, or ./bmx preview --json; -: stdin.")
    ],
    state: Annotated[Path | None, typer.Option("--state", help="What pulumi stack export wrote.")] = None,
    allow: Allow = None,
    markdown: Annotated[Path | None, typer.Option("--markdown", help="Write a pull request's comment here.")] = None,
    as_json: Json = False,
) -> None:
    """Refuse a plan that would change the credential, lose the database, widen permissions or open something."""
    from ops.guard import command  # noqa: PLC0415

    leave(lambda: command.run(preview, state, allow or [], markdown, as_json=as_json))


@app.command(epilog="Example: ./bmx alarms            Example: ./bmx alarms --stack staging --check --json")
def alarms(
    stack: Stack = "local",
    check: Annotated[bool, typer.Option("--check", help="Exit 1 if one is in ALARM or nobody would hear it.")] = False,
    as_json: Json = False,
) -> None:
    """List the alarms: when each goes off, its state and why, who hears it, and what keeps it from being heard."""
    from ops import alarms as listing  # noqa: PLC0415

    leave(lambda: listing.show(stack, as_json=as_json, check=check))


@app.command(epilog="Example: ./bmx health            Example: ./bmx health --stack staging --json")
def health(
    stack: Stack = "local",
    watch: Annotated[bool, typer.Option("--watch", help="Again every 5 s, until Ctrl-C.")] = False,
    as_json: Json = False,
) -> None:
    """Say how every flow, the database and the storage are; exit 1 if unhealthy, 0 if healthy or degraded."""
    from ops import health as check  # noqa: PLC0415

    leave(lambda: check.show(stack, watch=watch, as_json=as_json))


def _operate(
    kind: Literal["preview", "up", "destroy"],
    target: list[str] | None,
    exclude: list[str] | None,
    config: list[str] | None,
    target_dependents: bool,
    as_json: bool,
    *,
    expect_no_changes: bool = False,
    run_program: bool = False,
) -> NoReturn:
    if target and exclude:
        raise UserError("--target and --exclude cannot be used together.")
    from ops import operations  # noqa: PLC0415

    request = operations.Request(
        kind=kind,
        targets=target or [],
        excludes=exclude or [],
        overrides=config or [],
        target_dependents=target_dependents,
        run_program=run_program,
        expect_no_changes=expect_no_changes,
    )
    leave(lambda: operations.operate(request, as_json=as_json))
