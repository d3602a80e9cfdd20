"""Files that are cut, wrong in a number, or in the wrong order."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

from tests.corpus.entry import Hostile, broken, decoded, unsupported
from tests.corpus.parts import (
    EOI,
    SOI,
    canvas,
    chunk,
    ihdr,
    jpeg_with,
    lossless,
    patched,
    png,
    riff,
    rows,
    saved,
    segment,
    segments_of,
    small_jpeg,
    small_png,
    textured,
    webp_chunk,
    without,
)

END = chunk(b"IEND")
PIXELS = rows(900, 200)
SOF, DQT, DHT, SOS, DRI = 0xC0, 0xDB, 0xC4, 0xDA, 0xDD
PALETTE = chunk(b"PLTE", bytes(range(48)))


def textured_png() -> bytes:
    return saved(textured(), "PNG")


def textured_webp() -> bytes:
    return saved(textured(), "WEBP")


def cut(whole: Callable[[], bytes], at: float) -> Callable[[], bytes]:
    """The first bytes of a file: a number of them, or where below 1 a part, or from the end where negative."""
    return lambda: (data := whole())[: int(len(data) * at) if 0 < at < 1 else int(at)]


def palette_png(*chunks: bytes, fill: int = 1) -> bytes:
    return png(ihdr(300, 200, colour=3), *chunks, rows(300, 200, fill), END)


def retyped(marker: int) -> bytes:
    """The same JPEG, its frame said to be of another process."""
    return SOI + b"".join(
        whole if kind != SOF else bytes([0xFF, marker]) + whole[2:] for kind, whole in segments_of(small_jpeg())
    )


def sampled(factors: int) -> bytes:
    return patched(small_jpeg(), SOF, 7, bytes([factors]))


def frame_twice() -> bytes:
    frame = next(whole for kind, whole in segments_of(small_jpeg()) if kind == SOF)
    return jpeg_with(frame)


def scan_first() -> bytes:
    parts = segments_of(small_jpeg())
    return SOI + parts[-1][1][:20] + b"".join(whole for _, whole in parts[:-1]) + parts[-1][1]


def zero_side(width: int, height: int) -> bytes:
    return patched(small_jpeg(), SOF, 1, struct.pack(">HH", height, width))


TRUNCATED: list[Hostile] = [
    broken("0 bytes", lambda: b"", "0 bytes"),
    unsupported("1 byte", lambda: b"\xff"),
    unsupported("half a jpeg signature", lambda: SOI),
    broken("jpeg of 3 bytes", cut(small_jpeg, 3), "header is cut short"),
    broken("jpeg cut in its first segment", cut(small_jpeg, 10), "header is cut short"),
    broken("jpeg cut in its tables", cut(small_jpeg, 200), "header is cut short"),
    broken("jpeg cut before its scan", lambda: without(small_jpeg(), SOS), "header is cut short"),
    broken(
        "jpeg cut after its scan's header", lambda: small_jpeg()[: small_jpeg().index(b"\xff\xda") + 14], "truncated"
    ),
    broken("half a jpeg", cut(small_jpeg, 0.5), "truncated"),
    broken("nine tenths of a jpeg", cut(small_jpeg, 0.9), "truncated"),
    broken("jpeg without its end", cut(small_jpeg, -2), "truncated"),
    unsupported("half a png signature", cut(textured_png, 4)),
    broken("png of its signature", cut(textured_png, 8)),
    broken("png cut in its header", cut(textured_png, 20)),
    broken("png cut within its header's numbers", cut(textured_png, 24)),
    broken("png cut after its header", cut(textured_png, 33)),
    broken("png cut in a chunk's length", cut(textured_png, 36)),
    broken("half a png", cut(textured_png, 0.5)),
    broken("nine tenths of a png", cut(textured_png, 0.9)),
    decoded("png without its end", cut(textured_png, -12)),
    unsupported("half a webp signature", cut(textured_webp, 6)),
    broken("webp of its signature", cut(textured_webp, 12)),
    broken("webp cut in its header", cut(textured_webp, 24)),
    broken("half a webp", cut(textured_webp, 0.5)),
    broken("webp without its last byte", cut(textured_webp, -2)),
]

WRONG_PNG: list[Hostile] = [
    broken("png of width 0", lambda: png(ihdr(0, 200), PIXELS, END), "header"),
    broken("png of height 0", lambda: png(ihdr(300, 0), PIXELS, END), "0 pixels"),
    broken("wrong checksum of a png's header", lambda: png(ihdr(300, 200)[:-4] + b"abcd", PIXELS, END)),
    broken("wrong checksum of a palette", lambda: palette_png(PALETTE[:-4] + b"abcd")),
    decoded("wrong checksum of a profile", lambda: small_png(chunk(b"iCCP", b"x\0\0" + zlib.compress(b"x"), crc=1))),
    decoded("wrong checksum of the end", lambda: small_png()[:-4] + b"abcd"),
    broken("pixels before the header", lambda: png(PIXELS, ihdr(300, 200), END), "begin with its header"),
    broken("no header", lambda: png(PIXELS, END), "begin with its header"),
    broken("two headers", lambda: png(ihdr(10, 10), ihdr(50_000, 50_000), PIXELS, END), "more than one header"),
    broken("header of 12 bytes", lambda: png(chunk(b"IHDR", bytes(12)), PIXELS, END), "wrong size"),
    broken("end before the pixels", lambda: png(ihdr(300, 200), END, PIXELS)),
    broken("no pixels", lambda: png(ihdr(300, 200), END)),
    broken(
        "palette after the pixels",
        lambda: png(ihdr(300, 200, colour=3), rows(300, 200), PALETTE, END),
        "palette is missing",
    ),
    broken("palette picture without a palette", palette_png, "palette is missing"),
    decoded("two palettes", lambda: palette_png(PALETTE, PALETTE)),
    decoded("palette index beyond the palette", lambda: palette_png(PALETTE, fill=200)),
    decoded("palette of 47 bytes", lambda: palette_png(chunk(b"PLTE", bytes(47)))),
    broken("palette of 3,000 colours", lambda: palette_png(chunk(b"PLTE", bytes(9000)))),
    broken("transparency of 3,000 colours", lambda: palette_png(PALETTE, chunk(b"tRNS", bytes(3000)))),
    decoded("transparency before the palette", lambda: palette_png(chunk(b"tRNS", b"\0"), PALETTE)),
    broken("transparency of no bytes", lambda: small_png(chunk(b"tRNS"))),
    broken("3 bits", lambda: png(ihdr(300, 200, depth=3), PIXELS, END)),
    broken("colour type 5", lambda: png(ihdr(300, 200, colour=5), PIXELS, END)),
    broken("unknown filter method", lambda: png(ihdr(300, 200, adaptive=1), PIXELS, END)),
    broken("row filter 99", lambda: png(ihdr(300, 200), rows(900, 200, kind=99), END)),
    broken("pixels that are not deflated", lambda: png(ihdr(300, 200), chunk(b"IDAT", bytes(5000)), END)),
    # The stream ends in good order, too early; Pillow leaves the rest black, as browsers do.
    decoded("pixels for half the rows", lambda: png(ihdr(300, 200), rows(900, 100), END), colour=(0, 0, 0)),
    broken("chunk of 4 GB", lambda: png(ihdr(300, 200), chunk(b"tEXt", b"a\0b", length=0xFFFFFFFF), PIXELS, END)),
    broken("pixel chunk of 4 GB", lambda: png(ihdr(300, 200), chunk(b"IDAT", b"a", length=0xFFFFFFFF), END)),
    decoded("chunk whose name is no text", lambda: small_png(chunk(b"\xff\xfe\0\n", b"x"))),
    decoded("profile of an unknown compression", lambda: small_png(chunk(b"iCCP", b"x\0\x09abc"))),
    decoded("profile of no bytes", lambda: small_png(chunk(b"iCCP"))),
]

WRONG_JPEG: list[Hostile] = [
    broken("jpeg of width 0", lambda: zero_side(0, 200), "declares 0 x 200"),
    broken("jpeg of height 0", lambda: zero_side(300, 0), "declares 300 x 0"),
    broken("jpeg without quantisation tables", lambda: without(small_jpeg(), DQT)),
    broken("jpeg without a frame header", lambda: without(small_jpeg(), SOF)),
    decoded("jpeg without Huffman tables", lambda: without(small_jpeg(), DHT)),
    broken("jpeg that declares its size twice", frame_twice, "size twice"),
    broken("scan before the frame header", scan_first),
    broken("segment of length 0", lambda: jpeg_with(segment(0xE5, b"abc", length=0)), "no length"),
    broken("segment of length 1", lambda: jpeg_with(segment(0xE5, b"abc", length=1)), "no length"),
    broken(
        "segment that reaches beyond the file", lambda: jpeg_with(segment(0xE5, b"abc", length=65_535)), "cut short"
    ),
    decoded("start of image twice", lambda: jpeg_with(SOI)),
    decoded("rubbish between segments", lambda: jpeg_with(segment(0xFE, b"") + b"rubbish\x00\x01")),
    decoded("fill bytes before a marker", lambda: jpeg_with(b"\xff" * 500)),
    broken("jpeg of 12 bits", lambda: patched(small_jpeg(), SOF, 0, b"\x0c")),
    broken("lossless jpeg", lambda: retyped(0xC3)),
    broken("hierarchical jpeg", lambda: jpeg_with(segment(0xDE, bytes.fromhex("080064006403012200021101031101")))),
    decoded("arithmetic coding", lambda: retyped(0xC9)),
    decoded("baseline data said to be extended", lambda: retyped(0xC1)),
    broken("jpeg of 0 components", lambda: patched(small_jpeg(), SOF, 5, b"\0")),
    broken("jpeg of 5 components", lambda: patched(small_jpeg(), SOF, 5, b"\x05")),
    broken("sampling factor 0", lambda: sampled(0x00)),
    broken("sampling factor 15", lambda: sampled(0xFF)),
    decoded("quantisation by 0", lambda: patched(small_jpeg(), DQT, 1, bytes(64))),
    broken("quantisation table cut short", lambda: jpeg_with(segment(DQT, bytes(40)))),
    broken("Huffman table of too many codes", lambda: jpeg_with(segment(DHT, b"\0" + b"\xff" * 16 + bytes(300)))),
    decoded("restart interval without restarts", lambda: jpeg_with(segment(DRI, b"\0\x01"))),
    decoded("two adjacent ends", lambda: small_jpeg() + EOI),
    broken(
        "frame header of 3 components and 1 in the scan",
        lambda: small_jpeg().replace(b"\xff\xda\0\x0c\x03", b"\xff\xda\0\x0c\x01"),
    ),
    decoded("zeros for pixels", lambda: small_jpeg()[: small_jpeg().index(b"\xff\xda") + 14] + bytes(20_000) + EOI),
]

WRONG_WEBP: list[Hostile] = [
    broken("webp of no chunks", riff),
    broken("webp whose length is 0", lambda: riff(lossless(), size=0)),
    broken("webp whose length is 4 GB", lambda: riff(lossless(), size=0xFFFFFFF0)),
    broken("webp chunk of 4 GB", lambda: riff(webp_chunk(b"VP8L", lossless()[8:], length=0xFFFFFFF0))),
    broken("canvas smaller than its picture", lambda: riff(canvas(10, 10), lossless())),
    broken("canvas larger than its picture", lambda: riff(canvas(3000, 2000), lossless())),
    broken("small canvas over a huge picture", lambda: riff(canvas(300, 200), lossless(16_000, 16_000))),
    broken("canvas without a picture", lambda: riff(canvas(300, 200))),
    broken("wrong signature of lossless pixels", lambda: riff(webp_chunk(b"VP8L", b"\0" + lossless()[9:]))),
    broken("lossless pixels of no bytes", lambda: riff(webp_chunk(b"VP8L", b"")), "header is cut short"),
    broken("rubbish for alpha", lambda: riff(canvas(300, 200, 16), webp_chunk(b"ALPH", b"\xff" * 50))),
    broken("animation without frames", lambda: riff(canvas(300, 200, 2), webp_chunk(b"ANIM", bytes(6)))),
    broken("metadata and no picture", lambda: riff(webp_chunk(b"EXIF", b"MM"), webp_chunk(b"XMP ", b"x"))),
]

FILES = [*TRUNCATED, *WRONG_PNG, *WRONG_JPEG, *WRONG_WEBP]
