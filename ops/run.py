"""`./bmx run`: every photograph through the deployed flow, as a caller of the API would do it."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from ops.client import ApiClient, ApiError
from ops.photos import Photo
from samples.catalogue import intersection_over_union

ENDED = frozenset({"completed", "failed", "queue_failed", "permanently_failed"})
POLL = 0.1
"""Seconds between two looks at the jobs."""
PATIENCE = 3.0
"""Seconds that a job may lie given back with an error before this run stops waiting for it."""
REFUSED = "refused"
"""State of a photograph that the API did not take; it has no job."""
GIVEN_BACK = "given back"
"""State of a photograph whose worker met an error that may pass; SQS delivers it again after the visibility timeout."""


NO_ANSWER = "no answer"
"""State of a photograph whose job, or whose picture, the API did not tell of any more; the others go on."""


@dataclass
class Result:
    """What came of one photograph.

    Attributes
    ----------
    state
        The job's state; `refused` where the API did not take the file, `given back` where its worker met an error that
        may pass and nobody waits for the next delivery, `no answer` where the API stopped telling.
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


def process(
    client: ApiClient, photos: Sequence[Photo], out: Path, console: Console, *, limit: float = 900.0
) -> list[Result]:
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
    results = [Result(photo) for photo in photos]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        ended = progress.add_task("photographs", total=len(photos))
        batch = _Batch(client, out, on_end=lambda result: _tell(console, progress, ended, result))
        for result, name in zip(results, _names(photos), strict=True):
            batch.upload(result, name)
            batch.collect()
        deadline = time.monotonic() + limit
        while batch.waiting and time.monotonic() < deadline:
            time.sleep(POLL)
            batch.collect()
    for job in batch.waiting.values():
        job.result.reason = f"still {job.result.state} after {limit:.0f} s"
    return results


def _tell(console: Console, progress: Progress, task: TaskID, result: Result) -> None:
    progress.advance(task)
    console.print(
        f"{result.photo.path.name}: {result.state}", f"({result.reason})" if result.reason else "", markup=False
    )


@dataclass(frozen=True)
class _Job:
    """A job under way: where its result goes and since when it is waited for (monotonic seconds)."""

    result: Result
    name: str
    book_id: int
    since: float


class _Batch:
    """Photographs on their way through the API."""

    def __init__(self, client: ApiClient, out: Path, on_end: Callable[[Result], None]) -> None:
        self.waiting: dict[str, _Job] = {}
        self._client = client
        self._out = out
        self._on_end = on_end
        self._lying: dict[str, float] = {}

    def upload(self, result: Result, name: str) -> None:
        """Create a book and upload the photograph to it; a refusal ends it."""
        photo = result.photo
        try:
            book = self._client.create_book(photo.path.stem[:200] or "book")
            answer = self._client.upload(book["id"], photo.path, photo.content_type)
        except ApiError as error:
            result.state, result.reason = REFUSED, error.message
            self._on_end(result)
            return
        self.waiting[answer["job"]["id"]] = _Job(result, name, book["id"], time.monotonic())

    def collect(self) -> None:
        """Take every job that has ended out of `waiting` and write its pictures."""
        for job_id, job in list(self.waiting.items()):
            result = job.result
            try:
                ended = self._look(job_id, job)
            except ApiError as error:
                result.state, result.reason = NO_ANSWER, error.message
                ended = True
            if ended:
                del self.waiting[job_id]
                self._on_end(result)

    def _look(self, job_id: str, job: _Job) -> bool:
        """Ask for a job, and fetch its pictures if there are any; whether it has ended."""
        result = job.result
        result.job = self._client.job(job_id)
        result.state = result.job["status"]
        result.reason = result.job.get("failure_reason") or ""
        if result.state not in ENDED and not self._given_back(job_id, result):
            return False
        result.seconds = time.monotonic() - job.since
        if result.state == "completed":
            self._write(job)
        return True

    def _given_back(self, job_id: str, result: Result) -> bool:
        """Whether the job has lain in the queue with an error for longer than `PATIENCE`."""
        if result.state != "pending" or not result.reason:
            self._lying.pop(job_id, None)
            return False
        if time.monotonic() - self._lying.setdefault(job_id, time.monotonic()) < PATIENCE:
            return False
        result.state = GIVEN_BACK
        return True

    def _write(self, job: _Job) -> None:
        images = self._client.book(job.book_id)["images"]
        processed = next(image for image in images if image["id"] == job.result.job["processed_image_id"])
        for url, suffix in ((processed["url"], ".png"), (processed["thumbnail_url"], ".thumb.jpg")):
            target = self._out / f"{job.name}{suffix}"
            partial = target.with_suffix(target.suffix + ".part")
            partial.write_bytes(self._client.fetch(url))
            partial.replace(target)
        if job.result.photo.truth is not None:
            job.result.iou = _iou(self._client.fetch(processed["matte_url"]), job.result.photo.truth)


def _iou(matte: bytes, truth: Path) -> float:
    with Image.open(truth) as true_image, Image.open(io.BytesIO(matte)) as matte_image:
        mask = matte_image.convert("L").resize(true_image.size)
        return intersection_over_union(mask, true_image.convert("L"))


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
            "" if row["worker_seconds"] is None else f"{row['worker_seconds']:.1f}",
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
        "seconds_to_result": round(result.seconds, 3),
        "worker_seconds": round(sum(made["timings"].values()), 3) if "timings" in made else None,
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
