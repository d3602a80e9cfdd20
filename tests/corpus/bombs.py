"""Files that take memory or time out of proportion to their bytes."""

from __future__ import annotations

import struct
import zlib

from PIL import Image

from tests.corpus.entry import Hostile, defused, too_large
from tests.corpus.parts import (
    EOI,
    EXIF_NAME,
    canvas,
    chunk,
    exif,
    ihdr,
    inflating,
    jpeg_with,
    lossless,
    plain,
    png,
    resized,
    riff,
    saved,
    segment,
    segments_of,
    small_jpeg,
    small_png,
    webp_chunk,
    without,
)

PIXELS, INFLATES, A_SIDE = "80,000,000 pixels", "something that inflates", "65,535 pixels a side"
MEGABYTE = 1_000_000


def rubbish(width: int, height: int, **header: int) -> bytes:
    return png(ihdr(width, height, **header), chunk(b"IDAT", b"not deflated"), chunk(b"IEND"))


def flat(width: int, height: int, row_bytes: int, **header: int) -> bytes:
    """A valid picture of zeros: whole megabytes of them, enough for all rows."""
    idat = chunk(b"IDAT", inflating((row_bytes + 1) * height + MEGABYTE))
    return png(ihdr(width, height, **header), idat, chunk(b"IEND"))


def text(key: bytes, size: int) -> bytes:
    return chunk(b"zTXt", key + b"\0\0" + inflating(size))


def profile(content: bytes) -> bytes:
    return chunk(b"iCCP", b"bomb\0\0" + content)


def profile_segments(size: int) -> list[bytes]:
    parts = [bytes(65_000)] * (size // 65_000)
    return [segment(0xE2, b"ICC_PROFILE\0" + bytes([at + 1, len(parts)]) + part) for at, part in enumerate(parts)]


def scans(times: int, width: int = 300, height: int = 200, *padding: bytes) -> bytes:
    """A progressive JPEG whose last scan comes again and again."""
    data = resized(saved(plain(), "JPEG", progressive=True), width, height, 0xC2)
    last = data[data.rindex(b"\xff\xda") : -2]
    return jpeg_with(*padding, base=data[:-2] + last * times + EOI)


def nothing_scanned(width: int, height: int) -> bytes:
    """A frame header, a scan of four bytes and the end: decoders fill the rest with grey."""
    head = without(resized(small_jpeg(), width, height), 0xDA)
    scan = segments_of(small_jpeg())[-1][1]
    return head + scan[: 2 + struct.unpack_from(">H", scan, 2)[0] + 4] + EOI


def crowded_exif(entries: int, size: int) -> bytes:
    """Each entry points at the same bytes, nearly all of the block."""
    return exif([(1000 + at, 7, size - entries * 12 - 100, 8) for at in range(entries)]).ljust(size, b"\0")


def frames(count: int) -> bytes:
    frame = bytes(6) + (299).to_bytes(3, "little") + (199).to_bytes(3, "little") + bytes(4)
    return riff(canvas(300, 200, 2), webp_chunk(b"ANIM", bytes(6)), *[webp_chunk(b"ANMF", frame + lossless())] * count)


def endless_animation() -> bytes:
    return small_png(
        chunk(b"acTL", struct.pack(">II", 0x7FFFFFFF, 0)),
        chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 300, 200, 0, 0, 1, 1, 0, 0)),
    )


def lossy_header(width: int, height: int) -> bytes:
    return riff(webp_chunk(b"VP8 ", b"\x10\0\0\x9d\x01\x2a" + struct.pack("<HH", width, height) + bytes(40)))


def blank(width: int, height: int) -> bytes:
    return saved(Image.new("1", (width, height)), "PNG")


FILES: list[Hostile] = [
    too_large("png of 50,000 x 50,000", lambda: rubbish(50_000, 50_000), PIXELS),
    too_large("png of the largest size that can be written", lambda: rubbish(0xFFFFFFFF, 0xFFFFFFFF), PIXELS),
    too_large("png of the largest size that is allowed", lambda: rubbish(0x7FFFFFFF, 0x7FFFFFFF), PIXELS),
    too_large("png a little over the pixel limit", lambda: flat(8945, 8945, 1119, depth=1, colour=0), PIXELS),
    too_large("png of one bit within the pixel limit", lambda: flat(8900, 8900, 1113, depth=1, colour=0), INFLATES),
    too_large("png that inflates to 240 MB", lambda: flat(8900, 8900, 26_700), INFLATES),
    too_large(
        "png of 16 bits and alpha, interlaced", lambda: rubbish(8900, 8900, depth=16, colour=6, lace=1), INFLATES
    ),
    too_large("png of 1 x 80,000,000", lambda: rubbish(1, 80_000_000), A_SIDE),
    too_large("png of 80,000,000 x 1", lambda: rubbish(80_000_000, 1), A_SIDE),
    too_large(
        "profile in a png that inflates to 200 MB", lambda: small_png(profile(inflating(200 * MEGABYTE))), "profile"
    ),
    too_large("png with 3,000 compressed texts", lambda: small_png(text(b"c", MEGABYTE) * 3000), "too many parts"),
    too_large(
        "exif of 2 MB in a png", lambda: small_png(chunk(b"eXIf", bytes(2 * MEGABYTE))), "EXIF data is too large"
    ),
    too_large("png of a million empty pixel chunks", lambda: small_png(chunk(b"IDAT") * 1_000_000), "too many parts"),
    too_large("jpeg of 65,535 x 65,535", lambda: resized(small_jpeg(), 65_535, 65_535), PIXELS),
    too_large("jpeg of 8,900 x 8,900 in few bytes", lambda: nothing_scanned(8900, 8900), INFLATES),
    too_large("jpeg of 5,000 scans", lambda: scans(5000), "too many scans: at most 100"),
    too_large(
        "jpeg of 49 megapixels and 60 scans",
        lambda: scans(60, 7000, 7000, *[segment(0xFE, bytes(65_000))] * 5),
        "too many scans: at most 32",
    ),
    too_large(
        "jpeg of 200,000 exif segments", lambda: jpeg_with(segment(0xE1, b"Exif\0\0x") * 200_000), "too many parts"
    ),
    too_large("jpeg of 200,000 comments", lambda: jpeg_with(segment(0xFE, b"") * 200_000), "too many parts"),
    too_large(
        "jpeg of 200,000 tables between scans", lambda: scans(1)[:-2] + segment(0xFE, b"") * 200_000 + EOI, "parts"
    ),
    too_large("profile of 5 MB in a jpeg", lambda: jpeg_with(*profile_segments(5 * MEGABYTE)), "profile is too large"),
    too_large("profile of 16 MB in a jpeg", lambda: jpeg_with(*profile_segments(255 * 65_000)), "profile is too large"),
    too_large("webp canvas of 16,384 x 16,384", lambda: riff(canvas(16_384, 16_384), lossless()), PIXELS),
    too_large("webp canvas of the largest size", lambda: riff(canvas(1 << 24, 1 << 24), lossless()), PIXELS),
    too_large("lossless webp of 16,383 x 16,383", lambda: riff(lossless(16_383, 16_383)), PIXELS),
    too_large("lossy webp of 16,383 x 16,383", lambda: lossy_header(16_383, 16_383), PIXELS),
    too_large("lossless webp of 79 megapixels in 40 bytes", lambda: riff(lossless(8900, 8900)), INFLATES),
    too_large("webp of 3,000 frames", lambda: frames(3000), "too many parts"),
    too_large(
        "exif of 2 MB in a webp",
        lambda: riff(canvas(300, 200, 8), lossless(), webp_chunk(b"EXIF", bytes(2 * MEGABYTE))),
        "EXIF data is too large",
    ),
    too_large(
        "profile of 5 MB in a webp",
        lambda: riff(canvas(300, 200, 32), webp_chunk(b"ICCP", bytes(5 * MEGABYTE)), lossless()),
        "profile is too large",
    ),
    too_large("one byte over 30 MiB", lambda: small_jpeg().ljust(30 * 1024 * 1024 + 1, b"\0"), "the file is too large"),
    defused("text in a png that inflates to 200 MB", lambda: small_png(text(b"Comment", 200 * MEGABYTE))),
    defused("text after the pixels that inflates to 200 MB", lambda: small_png(after=text(b"Comment", 200 * MEGABYTE))),
    defused(
        "international text that inflates to 200 MB",
        lambda: small_png(chunk(b"iTXt", b"Comment\0\x01\0en\0\0" + inflating(200 * MEGABYTE))),
    ),
    defused("png with 1,500 compressed texts of a megabyte", lambda: small_png(text(b"c", MEGABYTE) * 1500)),
    defused(
        "png whose pixels inflate beyond its size",
        lambda: png(ihdr(300, 200), chunk(b"IDAT", inflating(200 * MEGABYTE)), chunk(b"IEND")),
    ),
    defused("png of 15,000 empty pixel chunks", lambda: small_png(after=chunk(b"IDAT") * 15_000)),
    defused("exif of 60,000 entries", lambda: small_png(chunk(b"eXIf", crowded_exif(60_000, 900_000)))),
    defused(
        "exif of 5,000 entries in a jpeg", lambda: jpeg_with(segment(0xE1, EXIF_NAME + crowded_exif(5000, 65_000)))
    ),
    defused("profile of 3 MB of zeros", lambda: small_png(profile(zlib.compress(bytes(3 * MEGABYTE))))),
    defused("animated png of two thousand million frames", endless_animation),
    defused("jpeg of 90 scans", lambda: scans(89 - 10)),
    defused("png of 1 x 65,535", lambda: blank(1, 65_535), (1, 4096)),
    defused("png of 65,535 x 1", lambda: blank(65_535, 1), (4096, 1)),
    defused("jpeg of 65,500 x 1", lambda: saved(plain(65_500, 1), "JPEG"), (4096, 1)),
    defused("jpeg of 2,000 x 2,000 with four bytes of pixels", lambda: nothing_scanned(2000, 2000), (2000, 2000)),
    defused("lossless webp of 4 megapixels in 40 bytes", lambda: riff(lossless(2000, 2000)), (2000, 2000)),
]
