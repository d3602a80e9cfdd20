"""What `run` takes in: the samples with what must come of each, or the user's own photographs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ops.errors import UserError
from samples import catalogue

CONTENT_TYPES = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}


@dataclass(frozen=True)
class Photo:
    """One photograph to push through the flow.

    Attributes
    ----------
    path
        The file.
    expect
        `completed` or `failed`: how its job must end.
    truth
        The true mask (8-bit grey, same size as the photograph), where it is known.
    hard
        Whether a rendered sample is one of the hard cases.
    """

    path: Path
    expect: str = "completed"
    truth: Path | None = None
    hard: bool = False

    @property
    def content_type(self) -> str:
        """The media type that the file's name claims; the API checks it against the bytes."""
        return CONTENT_TYPES.get(self.path.suffix.lower(), "image/jpeg")


def chosen(paths: Sequence[Path]) -> list[Photo]:
    """Return the user's photographs, or all samples where none is named.

    Raises
    ------
    UserError
        A file that is missing, a folder, unreadable or empty: all of them named, before any work.
    """
    if not paths:
        return samples()
    wrong = [f"{path}: {reason}" for path in paths if (reason := _unusable(path))]
    if wrong:
        raise UserError("; ".join(wrong) + ".", "Nothing was started. Example: ./bmx run photo.jpg")
    return [Photo(path) for path in paths]


def samples() -> list[Photo]:
    """Return the committed samples, as `samples/samples.toml` lists them."""
    return [
        Photo(path=sample.file, expect=sample.expect, truth=sample.truth, hard=sample.hard)
        for sample in catalogue.load()
    ]


def _unusable(path: Path) -> str:
    if not path.exists():
        return "does not exist"
    if not path.is_file():
        return "is not a file"
    try:
        with path.open("rb") as stream:
            return "" if stream.read(1) else "is empty (0 bytes)"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
