"""Hostile pictures through the decoder: refused in words or decoded, in little time and memory."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from handlers.image_processor import cutout
from handlers.image_processor.container import Container
from handlers.image_processor.limits import LIMITS
from ops.paths import ROOT
from tests.corpus import Hostile, corpus
from tests.corpus.parts import rows, saved, small_jpeg, small_png

DEADLINE = 10.0
"""Seconds a file, four workers on two cores allowed for; the slowest takes about one."""
BOMB_MB = 150
GROWTH_MB = 24
"""Measured: the second pass over all files ends where the first did, this leaves room for other C libraries."""
Outcome = dict[str, Any]


class Decoding:
    """A child process that works on one file after another; one that hangs or dies is replaced."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[str] | None = None

    def outcome(self, name: str, step: str = "decode") -> Outcome:
        child = self._child = self._child or self._start()
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(f"{step} {name}\n")
        child.stdin.flush()
        ready, _, _ = select.select([child.stdout], [], [], DEADLINE)
        line = child.stdout.readline() if ready else ""
        if line:
            return dict(json.loads(line))
        code = self.stop()
        return {"end": "hung" if not ready else "died", "words": f"exit code {code}", "seconds": DEADLINE}

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.corpus.decoding"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )

    def stop(self) -> int | None:
        child, self._child = self._child, None
        if child is None:
            return None
        child.kill()
        child.communicate()
        return child.returncode


@pytest.fixture(scope="module")
def decoding() -> Iterator[Decoding]:
    decoding = Decoding()
    yield decoding
    decoding.stop()


@pytest.fixture(scope="module")
def passes(decoding: Decoding) -> tuple[dict[str, Outcome], dict[str, Outcome]]:
    """Every file twice through one process."""
    first, second = ({name: decoding.outcome(name) for name in corpus()} for _ in range(2))
    return first, second


@pytest.fixture(scope="module")
def outcomes(passes: tuple[dict[str, Outcome], dict[str, Outcome]]) -> dict[str, Outcome]:
    return passes[0]


def test_the_corpus_has_at_least_80_files_of_every_sort() -> None:
    files = corpus().values()
    assert len(files) >= 80
    assert {file.refused for file in files} == {"", "BrokenFileError", "TooLargeError", "UnsupportedFormatError"}
    assert sum(file.bomb for file in files) >= 40


def test_no_file_is_larger_than_what_may_be_uploaded() -> None:
    too_long = {name for name, file in corpus().items() if len(file.make()) > LIMITS.max_bytes}
    assert too_long == {"one byte over 30 MiB"}


@pytest.mark.parametrize("file", corpus().values(), ids=corpus().keys())
def test_a_hostile_file_is_refused_in_words_or_decoded(file: Hostile, outcomes: dict[str, Outcome]) -> None:
    found = outcomes[file.name]
    assert found["end"] == (file.refused or "decoded"), found
    assert file.words in found.get("words", "")
    if file.size:
        assert tuple(found["size"]) == file.size
    if file.colour:
        assert found["colour"] == pytest.approx(file.colour, abs=12)


def test_a_bomb_takes_under_150_mb_above_idle(outcomes: dict[str, Outcome]) -> None:
    taken = {name: outcomes[name]["peak_mb"] for name, file in corpus().items() if file.bomb}
    assert {name: peak for name, peak in taken.items() if peak >= BOMB_MB} == {}


def test_a_refused_file_is_refused_before_any_work(outcomes: dict[str, Outcome]) -> None:
    bombs = {name: outcomes[name]["seconds"] for name, file in corpus().items() if file.bomb and file.refused}
    assert {name: seconds for name, seconds in bombs.items() if seconds > 2} == {}


def test_no_file_writes_into_the_log(outcomes: dict[str, Outcome]) -> None:
    assert {name: found["warnings"] for name, found in outcomes.items() if found["warnings"]} == {}


def test_memory_is_back_to_where_it_was_after_the_corpus(
    passes: tuple[dict[str, Outcome], dict[str, Outcome]],
) -> None:
    first, second = (list(outcomes.values())[-1]["after_mb"] for outcomes in passes)
    assert second - first < GROWTH_MB


def test_the_same_file_ends_the_same_way_twice(passes: tuple[dict[str, Outcome], dict[str, Outcome]]) -> None:
    first, second = ({name: (o["end"], o.get("words")) for name, o in outcomes.items()} for outcomes in passes)
    assert first == second


@pytest.mark.slow
@pytest.mark.parametrize("file", [file for file in corpus().values() if not file.refused], ids=lambda file: file.name)
def test_what_decodes_goes_through_the_whole_cut(file: Hostile, decoding: Decoding) -> None:
    assert decoding.outcome(file.name, "cut")["end"] in ("decoded", "NoSubjectError")


# every limit, at its edge


def photograph(width: int, height: int) -> bytes:
    """Noise, which no encoder makes small."""
    pixels = np.random.default_rng(7).integers(0, 255, (height, width), np.uint8)
    return saved(Image.fromarray(pixels), "PNG")


@pytest.mark.parametrize(
    ("limit", "most", "data"),
    [
        ("max_bytes", len(small_jpeg()), small_jpeg()),
        ("max_pixels", 60_000, small_jpeg()),
        ("max_declared_side", 300, small_jpeg()),
        ("max_exif_bytes", 32, corpus()["orientation 6"].make()),
        ("max_exif_bytes", 26, corpus()["orientation 6 in a png"].make()),
        ("max_exif_bytes", 26, corpus()["orientation 6 in a webp"].make()),
        ("max_segments", 1500, corpus()["png with 1,500 compressed texts of a megabyte"].make()),
        ("max_pixel_chunks", 15_004, corpus()["png of 15,000 empty pixel chunks"].make()),
        ("max_profile_bytes", 3_000_000, corpus()["profile of 3 MB of zeros"].make()),
        ("max_scans", 89, corpus()["jpeg of 90 scans"].make()),
        ("max_scanned_pixels", 89 * 60_000, corpus()["jpeg of 90 scans"].make()),
    ],
)
def test_a_limit_takes_what_it_allows_and_nothing_more(limit: str, most: int, data: bytes) -> None:
    allowed: dict[str, Any] = {limit: most}
    assert cutout.decode(data, replace(LIMITS, **allowed))
    with pytest.raises(cutout.TooLargeError):
        cutout.decode(data, replace(LIMITS, **{name: value - 1 for name, value in allowed.items()}))


def test_a_large_photograph_is_not_taken_for_something_that_inflates() -> None:
    assert cutout.decode(photograph(4000, 3000)).rgb.size == (4000, 3000)


def test_a_sparse_picture_is_refused_only_above_ten_megapixels() -> None:
    strict = replace(LIMITS, max_pixels_per_byte=1)
    assert cutout.decode(small_png(), strict)
    with pytest.raises(cutout.TooLargeError, match="inflates"):
        cutout.decode(small_png(), replace(strict, sparse_above_pixels=59_999))


def test_a_size_that_the_decoder_reads_otherwise_is_refused() -> None:
    with pytest.raises(cutout.BrokenFileError, match="two sizes"):
        cutout._open(Container("PNG", small_png(), 300, 201))
    assert cutout._open(Container("PNG", small_png(), 300, 200))


def test_pixels_are_handed_on_as_they_are() -> None:
    assert len(rows(900, 200)) < len(small_png())
    assert np.asarray(cutout.decode(small_png()).rgb).tolist() == [[[0x55] * 3] * 300] * 200
