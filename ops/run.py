"""`./bmx run`: every photograph through the deployed flow, as a caller of the API would do it."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ops.client import ApiClient, ApiError
from ops.photos import Photo

ENDED = frozenset({"completed", "failed", "queue_failed", "permanently_failed"})
REFUSED = "refused"
"""State of a photograph that the API did not take; it has no job."""


@dataclass
class Result:
    """What came of one photograph.

    Attributes
    ----------
    state
        The job's state, or `refused` where the API did not take the file.
    seconds
        From the upload's completion to the job's end, queueing included.
    job
        The job as the API tells it; empty where there is none.
    iou
        Intersection over union of the matte (at least half opaque) with the true mask; None without one.
    """

    photo: Photo
    state: str = "pending"
    reason: str = ""
    seconds: float = 0.0
    job: dict[str, Any] = field(default_factory=dict)
    iou: float | None = None

    @property
    def as_expected(self) -> bool:
        """Whether the job ended the way it must."""
        return self.state == self.photo.expect


def process(client: ApiClient, photos: Sequence[Photo], out: Path, console: Console, *, limit: float = 900.0) -> list[Result]:
    """Upload every photograph to a book of its own, wait for its job, write what it made to `out`.

    Parameters
    ----------
    limit
        Seconds to wait for all jobs; one that has not ended by then is reported in the state it has.

    Returns
    -------
    list of Result
        In the order of `photos`. Pictures are written as their jobs end, so an interruption loses none of them.
    """
    out.mkdir(parents=True, exist_ok=True)
    names = _names(photos)
    results = [Result(photo) for photo in photos]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        uploads = progress.add_task("uploading", total=len(photos))
        waiting: dict[str, tuple[Result, str, int, float]] = {}
        ended = progress.add_task("cutting out", total=len(photos))
        for result, name in zip(results, names, strict=True):
            taken = _upload(client, result)
            progress.advance(uploads)
            if taken is None:
                progress.advance(ended)
                continue
            job_id, book_id = taken
            waiting[job_id] = (result, name, book_id, time.monotonic())
            _collect(client, waiting, out, console, progress, ended)
        deadline = time.monotonic() + limit
        while waiting and time.monotonic() < deadline:
            time.sleep(0.1)
            _collect(client, waiting, out, console, progress, ended)
    for result, *_ in waiting.values():
        result.reason = f"still {result.state} after {limit:.0f} s"
    return results


def _upload(client: ApiClient, result: Result) -> tuple[str, int] | None:
    photo = result.photo
    try:
        book = client.create_book(photo.path.stem[:200] or "book")
        answer = client.upload(book["id"], photo.path, photo.content_type)
    except ApiError as error:
        result.state, result.reason = REFUSED, error.message
        return None
    return answer["job"]["id"], book["id"]


def _collect(
    client: ApiClient,
    waiting: dict[str, tuple[Result, str, int, float]],
    out: Path,
    console: Console,
    progress: Progress,
    ended: Any,
) -> None:
    """Take every job that has ended out of `waiting` and write its pictures."""
    for job_id, (result, name, book_id, since) in list(waiting.items()):
        result.job = client.job(job_id)
        result.state = result.job["status"]
        if result.state not in ENDED:
            continue
        del waiting[job_id]
        result.seconds = time.monotonic() - since
        result.reason = result.job.get("failure_reason") or ""
        if result.state == "completed":
            _write(client, result, book_id, name, out)
        progress.advance(ended)
        console.print(f"{escape(result.photo.path.name)}: {result.state}{escape(f' ({result.reason})') if result.reason else ''}")


def _write(client: ApiClient, result: Result, book_id: int, name: str, out: Path) -> None:
    processed = next(i for i in client.book(book_id)["images"] if i["id"] == result.job["processed_image_id"])
    for url, suffix in ((processed["url"], ".png"), (processed["thumbnail_url"], ".thumb.jpg")):
        target = out / f"{name}{suffix}"
        partial = target.with_suffix(target.suffix + ".part")
        partial.write_bytes(client.fetch(url))
        partial.replace(target)
    if result.photo.truth is not None:
        result.iou = _iou(client.fetch(processed["matte_url"]), result.photo.truth)


def _iou(matte: bytes, truth: Path) -> float:
    with Image.open(truth) as true_image, Image.open(io.BytesIO(matte)) as matte_image:
        true = np.asarray(true_image.convert("L")) >= 128
        mask = np.asarray(matte_image.convert("L").resize(true_image.size)) >= 128
    return float((mask & true).sum() / max((mask | true).sum(), 1))


def _names(photos: Sequence[Photo]) -> list[str]:
    """Give every photograph a file name of its own in `out`, two of the same stem included."""
    taken: dict[str, int] = {}
    names = []
    for photo in photos:
        stem = photo.path.stem
        taken[stem] = taken.get(stem, 0) + 1
        names.append(stem if taken[stem] == 1 else f"{stem}-{taken[stem]}")
    return names


def table(results: Sequence[Result]) -> Table:
    """Return the table of what came of every photograph."""
    made = Table(box=None, pad_edge=False)
    for heading in ("photograph", "pixels", "job", "model", "ground"):
        made.add_column(heading, overflow="fold")
    for heading in ("seconds", "MB", "IoU"):
        made.add_column(heading, justify="right")
    made.add_column("reason", overflow="fold")
    for row in map(record, results):
        iou = "" if row["iou"] is None else f"{row['iou']:.4f}{' hard' if row['hard'] else ''}"
        pixels = f"{row['width']} x {row['height']}" if row["width"] else ""
        megabytes = "" if row["megabytes"] is None else f"{row['megabytes']:.0f}"
        colour = "green" if row["as_expected"] else "red"
        made.add_row(
            escape(row["photograph"]),
            pixels,
            f"[{colour}]{row['state']}[/]",
            row["model"] or "",
            row["background"] or "",
            f"{row['seconds']:.1f}",
            megabytes,
            iou,
            escape(row["reason"]),
        )
    return made


def record(result: Result) -> dict[str, Any]:
    """Return one result as plain data, the row of `--json`."""
    made = result.job.get("result") or {}
    return {
        "photograph": result.photo.path.name,
        "width": made.get("width"),
        "height": made.get("height"),
        "state": result.state,
        "expected": result.photo.expect,
        "as_expected": result.as_expected,
        "model": result.job.get("model_used"),
        "background": made.get("background"),
        "seconds": round(result.seconds, 3),
        "worker_seconds": made.get("timings", {}).get("total"),
        "megabytes": made.get("peak_memory_mb"),
        "iou": result.iou,
        "hard": result.photo.hard,
        "reason": result.reason,
    }


def mean_iou(results: Sequence[Result]) -> float | None:
    """Return the mean IoU over the results whose true mask is known; None where there is none."""
    values = list(_known(results))
    return sum(values) / len(values) if values else None


def _known(results: Sequence[Result]) -> Iterator[float]:
    return (result.iou for result in results if result.iou is not None)
