"""The three formats at the level of bytes: chunks, segments, and small pictures to put them into."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterable
from functools import cache
from typing import Any

from PIL import Image

SIGNATURE = b"\x89PNG\r\n\x1a\n"
TEAL = (0, 128, 128)
SOI, EOI = b"\xff\xd8", b"\xff\xd9"
EXIF_NAME = b"Exif\0\0"


@cache
def plain(width: int = 300, height: int = 200, mode: str = "RGB", colour: Any = TEAL) -> Image.Image:
    return Image.new("RGB", (width, height), colour).convert(mode)


@cache
def textured() -> Image.Image:
    """300 x 200 that does not deflate to nothing, so that cutting the file cuts pixels; the same every time."""
    red, green = Image.linear_gradient("L").resize((300, 200)), Image.radial_gradient("L").resize((300, 200))
    return Image.merge("RGB", (red, green, red.rotate(180)))


def saved(picture: Image.Image, form: str, **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, form, **options)
    return out.getvalue()


# PNG


def chunk(kind: bytes, content: bytes = b"", crc: int | None = None, length: int | None = None) -> bytes:
    crc = zlib.crc32(kind + content) if crc is None else crc
    return struct.pack(">I", len(content) if length is None else length) + kind + content + struct.pack(">I", crc)


def ihdr(
    width: int, height: int, *, depth: int = 8, colour: int = 2, method: int = 0, adaptive: int = 0, lace: int = 0
) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, method, adaptive, lace))


def png(*chunks: bytes) -> bytes:
    return SIGNATURE + b"".join(chunks)


def rows(width_bytes: int, height: int, fill: int = 0x55, kind: int = 0) -> bytes:
    """An IDAT of `height` rows, each of a filter byte and `width_bytes` of `fill`."""
    return chunk(b"IDAT", zlib.compress((bytes([kind]) + bytes([fill]) * width_bytes) * height))


def small_png(*extra: bytes, after: bytes = b"") -> bytes:
    """300 x 200 with chunks put before its pixels and after them."""
    return png(ihdr(300, 200), *extra, rows(900, 200), after, chunk(b"IEND"))


@cache
def inflating(size: int) -> bytes:
    """A zlib stream of `size` zeros, whole megabytes of them: a thousandth of that in bytes."""
    block = bytes(1_000_000)
    deflate = zlib.compressobj(9, wbits=-15)
    flushed = deflate.compress(block) + deflate.flush(zlib.Z_FULL_FLUSH)  # stands alone, so it can be repeated
    times, checksum = size // len(block), 1
    for _ in range(times):
        checksum = zlib.adler32(block, checksum)
    return b"\x78\xda" + flushed * times + deflate.flush() + struct.pack(">I", checksum)


# JPEG


def segment(marker: int, content: bytes, length: int | None = None) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2 if length is None else length) + content


@cache
def small_jpeg(**options: Any) -> bytes:
    return saved(textured(), "JPEG", **options)


def jpeg_with(*segments: bytes, base: bytes | None = None) -> bytes:
    """A JPEG with segments put right after its first marker."""
    base = base or small_jpeg()
    return base[:2] + b"".join(segments) + base[2:]


def segments_of(data: bytes) -> list[tuple[int, bytes]]:
    """A JPEG's segments up to its first scan, which holds all that follows it."""
    at, found = 2, []
    while data[at + 1] != 0xDA:
        (length,) = struct.unpack_from(">H", data, at + 2)
        found.append((data[at + 1], data[at : at + 2 + length]))
        at += 2 + length
    return [*found, (0xDA, data[at:])]


def without(data: bytes, *markers: int) -> bytes:
    return SOI + b"".join(content for marker, content in segments_of(data) if marker not in markers)


def patched(data: bytes, marker: int, at: int, content: bytes) -> bytes:
    """Overwrite bytes of a segment's content."""
    pieces = []
    for kind, whole in segments_of(data):
        pieces.append(whole if kind != marker else whole[: 4 + at] + content + whole[4 + at + len(content) :])
    return SOI + b"".join(pieces)


def resized(data: bytes, width: int, height: int, marker: int = 0xC0) -> bytes:
    """The same JPEG with another size in its frame header."""
    return patched(data, marker, 1, struct.pack(">HH", height, width))


# WebP


def riff(*chunks: bytes, size: int | None = None) -> bytes:
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body) if size is None else size) + body


def webp_chunk(kind: bytes, content: bytes, length: int | None = None) -> bytes:
    padded = content + b"\0" * (len(content) % 2)
    return kind + struct.pack("<I", len(content) if length is None else length) + padded


def canvas(width: int, height: int, flags: int = 0) -> bytes:
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return webp_chunk(b"VP8X", bytes([flags, 0, 0, 0]) + sides)


@cache
def lossless(width: int = 300, height: int = 200) -> bytes:
    """A VP8L chunk of one colour. It spends no bit on a pixel, so that any size can be declared over the same bytes."""
    data = saved(plain(16, 16), "WEBP", lossless=True)
    content = bytearray(data[20 : 20 + struct.unpack_from("<I", data, 16)[0]])
    (bits,) = struct.unpack_from("<I", content, 1)
    struct.pack_into("<I", content, 1, bits & ~0xFFFFFFF | (width - 1) | (height - 1) << 14)
    return webp_chunk(b"VP8L", bytes(content))


# EXIF


def exif(entries: Iterable[tuple[int, int, int, int]], order: str = ">", next_at: int = 0) -> bytes:
    """A TIFF header with one directory; entries are tag, type, count and the value's four bytes as a number."""
    listed = list(entries)
    head = {">": b"MM\0*\0\0\0\x08", "<": b"II*\0\x08\0\0\0"}[order] + struct.pack(order + "H", len(listed))
    body = b"".join(struct.pack(order + "HHII", *entry) for entry in listed)
    return head + body + struct.pack(order + "I", next_at)


def turned(value: int, kind: int = 3, count: int = 1) -> bytes:
    """EXIF whose orientation is `value`; a SHORT lies in the upper half of its four bytes."""
    return exif([(0x0112, kind, count, value << 16 if kind == 3 else value)])
