"""Photographs that the tests push through the flow."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from ops.photos import Photo, samples


def photo_of(folder: Path, size: tuple[int, int], name: str = "book.jpg") -> Photo:
    """A rendered sample scaled to `size` (width, height)."""
    with Image.open(next(sample.path for sample in samples() if sample.truth)) as picture:
        picture.convert("RGB").resize(size).save(folder / name)
    return Photo(folder / name)


def small_photo(folder: Path) -> Photo:
    """A photograph that is quickly worked on."""
    return photo_of(folder, (800, 600))
