"""`./bmx dlq`: messages that were given up, looked at, sent back, discarded."""

from __future__ import annotations

from typing import Annotated

import typer

from ops.cli_options import DryRun, Json, Stack, leave

dlq_app = typer.Typer(
    help="Dead letters: messages that no worker could do.", no_args_is_help=True, rich_markup_mode=None
)

FlowKey = Annotated[str | None, typer.Option("--flow", help="Only this flow's.")]
Ids = Annotated[list[str] | None, typer.Option("--id", help="Only this message; may be given several times.")]
ErrorText = Annotated[str | None, typer.Option("--error", metavar="TEXT", help="Only where the reason holds this.")]
Rate = Annotated[float, typer.Option("--rate", min=0.1, max=1000, help="Messages a second.")]


@dlq_app.command("list", epilog="Example: ./bmx dlq list --flow image_processing --error memory")
def dlq_list(
    stack: Stack = "local", flow: FlowKey = None, ids: Ids = None, error: ErrorText = None, as_json: Json = False
) -> None:
    """List dead letters with their reasons; looking hides each for a moment and counts as a receive."""
    from ops import dlq  # noqa: PLC0415

    leave(lambda: dlq.listing(dlq.Request(stack, flow, ids or (), error, as_json=as_json)))


@dlq_app.command("show", epilog="Example: ./bmx dlq show --id 3c1a9c5e-0f43-4f0e-9f4b-7f3f6c0b7a11")
def dlq_show(
    ids: Annotated[list[str], typer.Option("--id", help="The message; may be given several times.")],
    stack: Stack = "local",
    flow: FlowKey = None,
    as_json: Json = False,
) -> None:
    """Show dead letters whole; on a terminal control characters are written as escapes, in JSON they are exact."""
    from ops import dlq  # noqa: PLC0415

    leave(lambda: dlq.show(dlq.Request(stack, flow, ids, as_json=as_json)))


@dlq_app.command("redrive", epilog="Example: ./bmx dlq redrive --flow image_processing --error memory --rate 2")
def dlq_redrive(
    flow: FlowKey = None,
    stack: Stack = "local",
    ids: Ids = None,
    error: ErrorText = None,
    dry_run: DryRun = False,
    rate: Rate = 10.0,
    force: Annotated[bool, typer.Option("--force", help="Also what was sent back three times already.")] = False,
    managed: Annotated[
        bool, typer.Option("--managed", help="AWS only: SQS moves the whole queue itself, and counts no redrives.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before a whole queue is sent back.")] = False,
    as_json: Json = False,
) -> None:
    """Send dead letters back to their queue: each is sent, verified, then deleted, so none can be lost."""
    from ops import dlq  # noqa: PLC0415

    request = dlq.Request(
        stack, flow, ids or (), error, dry_run=dry_run, rate=rate, force=force, yes=yes, as_json=as_json
    )
    leave(lambda: (dlq.managed if managed else dlq.redrive)(request))


@dlq_app.command("discard", epilog="Example: ./bmx dlq discard --flow tracking --error 'not JSON'")
def dlq_discard(
    flow: FlowKey = None,
    stack: Stack = "local",
    ids: Ids = None,
    error: ErrorText = None,
    dry_run: DryRun = False,
    rate: Rate = 10.0,
    confirm: Annotated[str, typer.Option("--confirm", help="The words 'discard N' instead of typing them.")] = "",
    as_json: Json = False,
) -> None:
    """Delete dead letters for good, after 'discard N' was typed."""
    from ops import dlq  # noqa: PLC0415

    request = dlq.Request(stack, flow, ids or (), error, dry_run=dry_run, rate=rate, confirm=confirm, as_json=as_json)
    leave(lambda: dlq.discard(request))
