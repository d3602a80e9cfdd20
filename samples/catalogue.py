"""The samples as `samples.toml` lists them, and how a mask is held against a true one."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

HERE = Path(__file__).parent
HALF_OPAQUE = 128


@dataclass(frozen=True)
class Sample:
    """One file and what must come of it."""

    file: Path
    kind: str
    expect: str
    note: str = ""
    truth: Path | None = None
    hard: bool = False
    ground: str | None = None
    reason: str | None = None

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.file.stem


def load(listing: Path = HERE / "samples.toml") -> list[Sample]:
    """Read the listing; paths come back absolute."""
    samples = []
    for entry in tomllib.loads(listing.read_text())["sample"]:
        paths = {key: listing.parent / entry.pop(key) for key in ("file", "truth") if key in entry}
        samples.append(Sample(**paths, **entry))
    return samples


def intersection_over_union(matte: Image.Image | NDArray[np.uint8], truth: Image.Image | NDArray[np.uint8]) -> float:
    """Jaccard index of two 8-bit masks of one size, each taken as subject where it is at least half opaque.

    Raises
    ------
    ValueError
        The masks differ in size.
    """
    ours, theirs = np.asarray(matte) >= HALF_OPAQUE, np.asarray(truth) >= HALF_OPAQUE
    if ours.shape != theirs.shape:
        raise ValueError(f"the masks differ in size: {ours.shape[::-1]} and {theirs.shape[::-1]} pixels")
    return float((ours & theirs).sum()) / max(float((ours | theirs).sum()), 1.0)
