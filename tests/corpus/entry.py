"""What one hostile file is: name, bytes, expectation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Size = tuple[int, int]
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Hostile:
    """A file and what the decoder must say of it.

    Parameters
    ----------
    name
        Unique in the corpus.
    make
        Gives the bytes, the same every time.
    refused
        Name of the error class, or "" where the file must decode.
    words
        What the reason must contain.
    size, colour
        Of the decoded picture: width and height, and RGB in its middle within 12 of 255; None where they do not matter.
    bomb
        Whether it tries to take memory out of proportion to its bytes.
    """

    name: str
    make: Callable[[], bytes]
    refused: str = ""
    words: str = ""
    size: Size | None = None
    colour: Colour | None = None
    bomb: bool = False


def broken(name: str, make: Callable[[], bytes], words: str = "the file is broken") -> Hostile:
    return Hostile(name, make, "BrokenFileError", words)


def unsupported(name: str, make: Callable[[], bytes], words: str = "not a JPEG, PNG or WebP") -> Hostile:
    return Hostile(name, make, "UnsupportedFormatError", words)


def too_large(name: str, make: Callable[[], bytes], words: str) -> Hostile:
    return Hostile(name, make, "TooLargeError", words, bomb=True)


def decoded(
    name: str, make: Callable[[], bytes], size: Size | None = (300, 200), colour: Colour | None = None
) -> Hostile:
    return Hostile(name, make, size=size, colour=colour)


def defused(name: str, make: Callable[[], bytes], size: Size = (300, 200)) -> Hostile:
    """A bomb that lies beside the pixels: the picture decodes, the bomb is never touched."""
    return Hostile(name, make, size=size, bomb=True)
