"""One image job from claim to commit; knows S3's keys and the tables, and nothing of SQS or Lambda.

`claim -> download -> cut out -> upload -> commit`. It can be run any number of times, at once or after
a crash: the lease lets one worker through, and the same photograph always gives objects of the same name.
"""

import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from handlers.common import jobs, storage
from handlers.common.database import Database, DatabaseUnavailableError
from handlers.common.secrets import SecretError
from handlers.common.tables import book_images
from handlers.image_processor import cutout, memory
from handlers.image_processor.models import Model

log = logging.getLogger(__name__)

RECIPE = 1
"""Part of every output key. Raise it when the same photograph should come out differently."""
KEY_DIGITS = 32

Verdict = Literal["acknowledge", "give_back"]
"""What the edge does with the message: take it off the queue, or let it come again."""

UNUSUAL = {"superseded": logging.WARNING, "stale": logging.WARNING, "spent": logging.WARNING}
"""Outcomes of a claim that an operator may want to find in the log."""


# What callers are told of an error. Its own words name accounts, roles, buckets and hosts: they stay in the log.
TOLD: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    ((storage.StorageError,), "the pictures' storage refused or did not answer"),
    ((DatabaseUnavailableError, SQLAlchemyError, SecretError), "the database refused or did not answer"),
    ((MemoryError,), "the worker ran out of memory"),
    ((Exception,), "the worker met an error that nobody foresaw"),
)


class NoSourceError(cutout.PermanentError):
    """There is no photograph to work on: deleted, its object gone or replaced."""


@dataclass(frozen=True)
class Source:
    """The photograph that a job works on: a row of ``book_images``.

    `version` and `sha256` are those of the object that was checked when it became a picture; the version is ``None`` in
    rows of the system before this one, of whose objects nothing was checked.
    """

    id: int
    s3_key: str
    original_filename: str | None
    image_type: str | None
    version: str | None
    sha256: str | None


@dataclass(frozen=True)
class Worker:
    """What a job needs of the world.

    Parameters
    ----------
    database, images
        Where rows and objects lie.
    network : callable
        Gives the loaded network; called only once a photograph is there, because loading takes longer than the rest.
    model : Model
        What that network is, for the record.
    now : callable
        The time, aware.
    cdn_url : str, optional
        Where the bucket is shown to the world.
    limits : cutout.Limits
    max_attempts : int
        How often a job may be begun: the receives of its queue.
    """

    database: Database
    images: storage.Storage
    network: Callable[[], cutout.Network]
    model: Model
    now: Callable[[], datetime]
    cdn_url: str | None = None
    limits: cutout.Limits = cutout.LIMITS
    max_attempts: int = jobs.MAX_ATTEMPTS


def process(worker: Worker, job_id: UUID, message: jobs.Message, *, lease: timedelta, last_receive: bool) -> Verdict:
    """Do a job, or find out why it is not to be done, and say what becomes of its message.

    Parameters
    ----------
    worker : Worker
    job_id : UUID
    message : jobs.Message
        What was received: only the job's current message is work.
    lease : timedelta
        How long nobody else may touch the job: as long as this process can live, and shorter than the time until the
        message becomes visible again.
    last_receive : bool
        Whether the message goes to the dead-letter queue if it is given back now.

    Returns
    -------
    Verdict
        `acknowledge` when the job has ended, `give_back` when it has to come again.

    Notes
    -----
    Only errors of the database can leave this function: without it nothing can be said about the job, and the lease
    ends by itself.
    """
    with worker.database.begin() as connection:
        claim = jobs.claim(connection, job_id, message, now=worker.now(), lease=lease, max_attempts=worker.max_attempts)
    if claim.job is None or claim.outcome != "claimed":
        log.log(UNUSUAL.get(claim.outcome, logging.INFO), "image job %s is not ours: %s", job_id, claim.outcome)
        return "give_back" if claim.outcome in {"busy", "spent"} else "acknowledge"
    job = claim.job
    try:
        _work(worker, job)
    except cutout.PermanentError as error:
        # With its cause: it may be S3's, of which the caller hears nothing.
        log.warning("image job %s failed: %s", job_id, error, exc_info=error)
        return _leave(worker, jobs.fail, job, str(error), "acknowledge")
    except jobs.SourceDeletedError:
        return _leave(worker, jobs.fail, job, jobs.DELETED, "acknowledge")
    except jobs.LeaseLostError:
        log.exception("image job %s was taken over or ended; nothing of it is written here", job_id)
        return "give_back"
    except Exception as error:  # the boundary: whatever it was, the job must not stay in `processing`
        log.exception("image job %s is given back", job_id)
        last = last_receive or job.attempt_count >= worker.max_attempts
        leave = jobs.permanently_fail if last else jobs.release
        return _leave(worker, leave, job, told(error), "give_back")
    return "acknowledge"


def told(error: Exception) -> str:
    """Word an error for callers; the log of the worker has the rest under the job's id."""
    words = next(words for kinds, words in TOLD if isinstance(error, kinds))
    return f"{words}; the worker's log says more under this job's id"


def _leave(worker: Worker, leave: Callable[..., jobs.Job], job: jobs.Job, reason: str, verdict: Verdict) -> Verdict:
    try:
        with worker.database.begin() as connection:
            leave(connection, job, now=worker.now(), reason=reason)
    except jobs.LeaseLostError:
        log.exception("image job %s was taken over before its end was written", job.id)
        return "give_back"
    return verdict


def _work(worker: Worker, job: jobs.Job) -> None:
    watch = cutout.Stopwatch()
    with watch.stage("download"):
        source = _source(worker, job)
        photograph = _download(worker, source)
    with watch.stage("load_network"):
        network = worker.network()
    made = cutout.cut_out(photograph, network, worker.limits)
    source_sha256 = hashlib.sha256(photograph).hexdigest()
    if source.version is not None and source.sha256 != source_sha256:
        raise NoSourceError("the photograph's file was replaced after it was checked; upload it again")
    key = storage.processed_key(job.book_id, output_id(source_sha256, worker.model, worker.limits))
    with watch.stage("upload"):
        worker.images.upload(storage.matte_key(key), made.matte, "image/png")
        worker.images.upload(storage.thumbnail_key(key), made.thumbnail, "image/jpeg")
        worker.images.upload(key, made.picture, "image/png")
    processed = jobs.ProcessedImage(
        s3_key=key,
        content_hash=hashlib.sha256(made.picture).hexdigest(),
        cloudfront_url=storage.cdn_url(worker.cdn_url, key) if worker.cdn_url else None,
        original_filename=source.original_filename,
        image_type=source.image_type,
    )
    result = describe(made, worker.model, source, source_sha256, {**watch.seconds, **made.timings})
    with worker.database.begin() as connection:
        jobs.complete(
            connection, job, processed=processed, model_used=worker.model.name, result=result, now=worker.now()
        )


def _source(worker: Worker, job: jobs.Job) -> Source:
    with worker.database.begin() as connection:
        row = connection.execute(sa.select(book_images).where(book_images.c.id == job.source_image_id)).one_or_none()
    if row is None:
        raise NoSourceError(jobs.DELETED)
    return Source(row.id, row.s3_key, row.original_filename, row.image_type, row.s3_version, row.content_hash)


def _download(worker: Worker, source: Source) -> bytes:
    try:
        return worker.images.download(source.s3_key, version=source.version, max_bytes=worker.limits.max_bytes)
    except storage.ObjectMissingError as error:
        raise NoSourceError("the photograph's file is gone from the bucket") from error
    except storage.ObjectTooLargeError as error:
        raise cutout.TooLargeError(
            f"the file is too large: at most {worker.limits.max_bytes:,} bytes are taken"
        ) from error
    except ValueError as error:
        raise NoSourceError("the photograph's row names a file that cannot exist") from error


def output_id(source_sha256: str, model: Model, limits: cutout.Limits) -> str:
    """Name the output by all that it is made from, so that doing a job twice writes the same objects.

    Returns
    -------
    str
        32 hexadecimal digits: SHA-256 over the photograph's hash, the network's, the limits and `RECIPE`, cut short.
    """
    parts = {"source": source_sha256, "model": model.sha256, "limits": asdict(limits), "recipe": RECIPE}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:KEY_DIGITS]


def describe(
    made: cutout.Cutout, model: Model, source: Source, source_sha256: str, timings: dict[str, float]
) -> dict[str, Any]:
    """Give the record that is kept with the job: what was made, from what, with what, at which cost."""
    return {
        "model": model.name,
        "model_sha256": model.sha256,
        "background": made.ground,
        "brightness": round(made.brightness, 1),
        "confidence": round(made.confidence, 4),
        "width": made.width,
        "height": made.height,
        "box": list(made.box),
        "source_image_id": source.id,
        "source_sha256": source_sha256,
        "timings": {stage: round(seconds, 4) for stage, seconds in timings.items()},
        # The highest of this process so far, earlier jobs of a warm function included.
        "peak_memory_mb": memory.peak_megabytes(),
    }
