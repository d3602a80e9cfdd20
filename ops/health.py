"""`./bmx health`: the deep health check, asked of the API's function itself, so that IAM decides who may."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from local import background
from ops.display import console_for
from ops.errors import UserError
from ops.paths import HOME
from ops.stacks import StackHandle, stack

WATCH_SECONDS = 5.0
COLOURS = {"healthy": "green", "degraded": "yellow", "unhealthy": "red", "skipped": "dim"}


def show(
    name: str, *, watch: bool = False, as_json: bool = False, sleep: Callable[[float], object] = time.sleep
) -> int:
    """Print the health of a stack; with `watch` every few seconds until Ctrl-C, with `as_json` a line each time.

    Returns
    -------
    int
        1 if it is unhealthy, otherwise 0, as the API answers 503 or 200.
    """
    found = stack(name)
    while True:
        health = ask(found)
        if as_json:
            print(json.dumps(health, indent=None if watch else 1), flush=True)  # noqa: T201
        else:
            console = console_for()
            if watch and console.is_terminal:
                console.clear()
            print_health(console, health)
            for trouble in background.troubles(HOME) if found.is_local else ():
                console.print(f"embedded cloud: {escape(str(trouble))}", soft_wrap=True)
        if not watch:
            return 1 if health["status"] == "unhealthy" else 0
        sleep(WATCH_SECONDS)


def ask(found: StackHandle) -> Mapping[str, Any]:
    """Let the API's function look anew, and return what it says.

    Raises
    ------
    UserError
        It cannot be invoked, or fails.
    """
    function = str(found.output("api_function"))
    health = invoke(found, function, {"health": "deep"})
    if not isinstance(health, dict) or "checks" not in health:
        raise UserError(
            f"The function {function} does not know the deep health check.", "Deploy this version first.", exit_code=1
        )
    return health


def invoke(found: StackHandle, function: str, event: Mapping[str, Any]) -> Any:
    """Invoke a function of the stack and return its answer.

    Raises
    ------
    UserError
        It cannot be invoked, or fails.
    """
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  loaded with the client already

    try:
        answer = found.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event).encode())
    except (BotoCoreError, ClientError) as error:
        raise UserError(f"The function {function} cannot be asked: {error}", exit_code=1) from error
    text = answer["Payload"].read()
    if "FunctionError" in answer:
        raise UserError(f"The function {function} failed: {text.decode(errors='replace')}", exit_code=1)
    return json.loads(text)


def print_health(console: Console, health: Mapping[str, Any]) -> None:
    """Print one line a flow, then what the API stands on, then what is wrong in words."""
    checks = health["checks"]
    functions = checks["lambdas"]["lambdas"]
    table = Table(box=None, pad_edge=False)
    for title in ("flow", "status", "queued", "in flight", "oldest", "dead letters", "function", "mapping", "success"):
        numeric = title in {"queued", "in flight", "oldest", "dead letters"}
        table.add_column(title, justify="right" if numeric else "left")
    for key, queue in checks["sqs"]["queues"].items():
        age = queue["oldest_message_age"]
        table.add_row(
            escape(key),
            _chip(queue["status"]),
            _text(queue["messages"]),
            _text(queue["in_flight"]),
            "-" if age is None else f"{age:,.0f} s",
            _text(queue["dead_letters"]),
            _text(functions[key]["state"]),
            _text((queue["mapping"] or {}).get("state")),
            _text(queue["last_success"]),
        )
    console.print(table)
    for name in ("database", "s3", "sqs", "lambdas", "config"):
        check = checks[name]
        error = f"  {escape(check['error'])}" if check["error"] else ""
        console.print(f"{name}: {_chip(check['status'])} ({check['latency_ms']:.0f} ms){error}", soft_wrap=True)
    for key, queue in checks["sqs"]["queues"].items():
        if queue["status"] != "healthy":
            console.print(f"{escape(key)}: {escape(queue['diagnosis'])}", soft_wrap=True)
    console.print(
        f"{_text(health['environment'])} {_text(health['version'])}: {_chip(health['status'])} "
        f"({health['total_latency_ms']:.0f} ms)",
        soft_wrap=True,
    )


def _chip(status: str) -> str:
    return f"[{COLOURS.get(status, 'red')}]{escape(status)}[/]"


def _text(value: object) -> str:
    return "-" if value is None else escape(str(value))
