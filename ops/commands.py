"""What the commands do, put together from the modules that know how."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from local import offline
from local.cloud import Cloud, CloudAlreadyUp, CloudError, Ports
from local.engine import Options, Outcome
from ops import images, keys, photos
from ops import run as runs
from ops.client import ApiClient
from ops.display import console_for, print_outcome
from ops.errors import UserError
from ops.local_stack import LocalStack
from ops.paths import HOME, IMAGES, OUT

_WAKE_SECONDS = 0.5


@dataclass
class Session:
    """An embedded cloud of this process with the program deployed to it."""

    cloud: Cloud
    stack: LocalStack
    url: str = ""
    key: str = field(default="", repr=False)


def run(paths: Sequence[Path], out: Path | None, port: int, *, as_json: bool) -> int:
    """Push photographs through the flow and stop; 0 when every one ended as it must, else 1."""
    chosen = photos.chosen(paths)
    folder = out or OUT
    console = console_for(stderr=as_json)
    with _session(console, port, key_name="run") as session:
        results = runs.process(ApiClient(session.url, session.key), chosen, folder, console)
    mean = runs.mean_iou(results)
    if as_json:
        print(json.dumps({"results": [runs.record(r) for r in results], "mean_iou": mean}, indent=2))  # noqa: T201
    else:
        console.print(runs.table(results))
        if mean is not None:
            console.print(f"mean IoU over the samples whose true mask is known: {mean:.4f}")
        console.print(f"pictures and thumbnails: {escape(str(folder))}", soft_wrap=True)
    return 0 if all(result.as_expected for result in results) else 1


def up(paths: Sequence[Path], port: int) -> int:
    """Keep the cloud until Ctrl-C; 0 after a clean stop."""
    chosen = photos.chosen(paths) if paths else []
    console = console_for()
    with _session(console, port, key_name="up") as session:
        if chosen:
            console.print(runs.table(runs.process(ApiClient(session.url, session.key), chosen, OUT, console)))
        console.print(f"API:  {session.url}", soft_wrap=True)
        console.print(f"page: {session.url}/admin   (asks for the key once)", soft_wrap=True)
        console.print(
            f"key:  {session.key}   (header X-API-Key; shown this once, more by ./bmx keys add NAME)", soft_wrap=True
        )
        console.print("From another terminal: ./bmx health, dlq list, alarms, preview, deploy, destroy. Ctrl-C stops.")
        _until_interrupted()
        console.print("stopping")
    return 0


@contextmanager
def _session(console: Console, port: int, key_name: str) -> Iterator[Session]:
    """Set up, start the cloud, deploy, make a key; stop everything at the end, however it comes."""
    worker = images.worker_image(console)
    offline.install()
    cloud = Cloud(HOME, ports=Ports(gateway=port), image_store=IMAGES)
    try:
        with _announced(console, "starting the embedded cloud"):
            _start(cloud)
        if cloud.notice:
            console.print(cloud.notice)
        stack = LocalStack(cloud.info, worker)
        with _announced(console, "deploying the local stack"):
            # Nothing is deployed yet, so there is nothing that a preview first could save.
            outcome = stack.run(Options(kind="up", skip_preview=True))
        _require(outcome, console)
        arn = stack.output("api_keys_secret_arn")
        key = keys.add_first(cloud.client("secretsmanager"), arn, key_name).key
        yield Session(cloud, stack, cloud.gateway_url, key)
    finally:
        cloud.stop()


def _start(cloud: Cloud) -> None:
    try:
        cloud.start()
    except CloudAlreadyUp as error:
        fix = "Stop it with Ctrl-C in its terminal, or deploy to it: ./bmx deploy"
        raise UserError(str(error), fix, exit_code=1) from error
    except CloudError as error:
        raise UserError(str(error), exit_code=1) from error


def _require(outcome: Outcome, console: Console) -> None:
    if outcome.cancelled:
        # what was under way has ended; everything else ends with the cloud
        raise KeyboardInterrupt
    if not outcome.ok:
        print_outcome(console, outcome, done=True)
        raise UserError("The local stack could not be deployed; the lines above say why.", exit_code=1)


@contextmanager
def _announced(console: Console, what: str) -> Iterator[None]:
    began = time.monotonic()
    with console.status(what):
        yield
    console.print(f"{what}: {time.monotonic() - began:.1f} s")


def _until_interrupted() -> None:
    """Return on Ctrl-C or SIGTERM."""
    never = threading.Event()
    try:
        # Bounded, because a signal that another thread of this process was given wakes no lock that waits for ever.
        while not never.wait(_WAKE_SECONDS):
            pass
    except KeyboardInterrupt:
        return
