"""Stand-ins for the flows whose code lives elsewhere: packed, and put into a bucket that the local program finds."""

from __future__ import annotations

import hashlib
import io
import zipfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from local.attach import CloudInfo
from ops.paths import ROOT
from samples.stand_ins.worker import BODIES

BUCKET = "bluemoxon-local-artefacts"
# The oldest time that a zip can hold: the same files must give the same bytes.
_TIME = (1980, 1, 1, 0, 0, 0)


@cache
def package() -> bytes:
    """Return the one zip of all stand-ins; which flow it serves, its environment tells. The same bytes every time."""
    files: dict[str, Path | None] = {
        "worker.py": ROOT / "samples" / "stand_ins" / "worker.py",
        "handlers/__init__.py": None,
    }
    for path in sorted((ROOT / "handlers" / "common").glob("*.py")):
        files[path.relative_to(ROOT).as_posix()] = path
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, source in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(name, _TIME), source.read_bytes() if source else b"")
    return written.getvalue()


def artefacts() -> dict[str, Any]:
    """Return the `artefacts` configuration that names the stand-ins, by flow."""
    sha256 = hashlib.sha256(package()).hexdigest()
    return {flow: {"zip": {"bucket": BUCKET, "key": _key(sha256), "sha256": sha256}} for flow in BODIES}


def upload(cloud: CloudInfo) -> None:
    """Put the zip where `artefacts` says, unless it lies there."""
    s3, key = cloud.client("s3"), _key(hashlib.sha256(package()).hexdigest())
    try:
        s3.head_object(Bucket=BUCKET, Key=key)
        return
    except ClientError as error:
        if error.response["Error"]["Code"] not in {"404", "NoSuchBucket", "NoSuchKey"}:
            raise
    # An earlier version of the stand-ins may lie in it.
    with suppress(s3.exceptions.BucketAlreadyOwnedByYou):
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": cloud.region})
    s3.put_object(Bucket=BUCKET, Key=key, Body=package())


def _key(sha256: str) -> str:
    return f"stand-ins/{sha256}.zip"
