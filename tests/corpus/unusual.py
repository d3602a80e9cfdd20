"""Valid pictures of a kind that naive readers get wrong, and metadata that lies."""

from __future__ import annotations

import struct
import zlib
from functools import partial
from typing import Literal

from PIL import ImageCms

from tests.corpus.entry import Hostile, broken, decoded
from tests.corpus.parts import (
    EXIF_NAME,
    TEAL,
    canvas,
    chunk,
    exif,
    ihdr,
    jpeg_with,
    lossless,
    patched,
    plain,
    png,
    riff,
    saved,
    segment,
    small_jpeg,
    small_png,
    turned,
    webp_chunk,
)

UPRIGHT, SIDEWAYS = (300, 200), (200, 300)
END = chunk(b"IEND")
PALETTE = chunk(b"PLTE", bytes((0, 0, 0, *TEAL)))
SHORT, LONG, TEXT = 3, 4, 2


def exif_jpeg(content: bytes, *more: bytes) -> bytes:
    return jpeg_with(*[segment(0xE1, EXIF_NAME + block) for block in (content, *more)])


def of_depth(depth: int, colour: int, sample: bytes, *extra: bytes, lace: int = 0, row_bytes: int = 0) -> bytes:
    """Rows that repeat one pixel's bytes, 300 of them, or `row_bytes` of its first."""
    row = b"\0" + (sample * 300 if not row_bytes else sample[:1] * row_bytes)
    idat = chunk(b"IDAT", zlib.compress(row * 200))
    return png(ihdr(300, 200, depth=depth, colour=colour, lace=lace), *extra, idat, END)


def profile_of(space: Literal["LAB", "sRGB"]) -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(space)).tobytes()


def lying_profile(space: bytes) -> bytes:
    """sRGB's profile that says in its header to be of another colour space."""
    whole = bytearray(profile_of("sRGB").replace("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be")))
    whole[16:20] = space
    return bytes(whole)


def profiled(content: bytes) -> bytes:
    return saved(plain(), "PNG", icc_profile=content)


def text(key: bytes, value: bytes, kind: bytes = b"tEXt") -> bytes:
    return chunk(kind, key + b"\0" + (value if kind == b"tEXt" else b"\0" + zlib.compress(value)))


def texted(key: bytes) -> bytes:
    return small_png(text(key, b"abcd"))


def swapped_profile_parts() -> bytes:
    content = profile_of("sRGB")
    first, second = content[:300], content[300:]
    parts = [segment(0xE2, b"ICC_PROFILE\0\x02\x02" + second), segment(0xE2, b"ICC_PROFILE\0\x01\x02" + first)]
    return jpeg_with(*parts)


def interlaced() -> bytes:
    """8 x 8 in Adam7's seven passes (PNG, 3rd edition, 8.1), each given as width and height."""
    passes = ((1, 1), (1, 1), (2, 1), (2, 2), (4, 2), (4, 4), (8, 4))
    idat = b"".join((b"\0" + bytes(TEAL) * width) * height for width, height in passes)
    return png(ihdr(8, 8, lace=1), chunk(b"IDAT", zlib.compress(idat)), END)


def animated(form: str) -> bytes:
    red = plain(colour=(255, 0, 0))
    return saved(plain(), form, save_all=True, append_images=[red], lossless=True, duration=10)


def off_canvas_frame() -> bytes:
    control = chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 900, 900, 4000, 4000, 1, 1, 0, 0))
    return small_png(chunk(b"acTL", struct.pack(">II", 2, 0)), control)


def webp_exif(value: int) -> bytes:
    return riff(canvas(300, 200, 8), lossless(), webp_chunk(b"EXIF", turned(value)))


def cmyk(transform: int | None = None) -> bytes:
    data = saved(plain(mode="CMYK"), "JPEG")
    return data if transform is None else patched(data, 0xEE, 11, bytes([transform]))


KINDS: list[Hostile] = [
    decoded("animated png", lambda: animated("PNG"), colour=TEAL),
    decoded("animated webp", lambda: animated("WEBP"), colour=TEAL),
    decoded("animated png whose frame lies outside", off_canvas_frame, colour=(0x55, 0x55, 0x55)),
    decoded(
        "two pictures in one (MPO)", lambda: saved(plain(), "MPO", save_all=True, append_images=[plain()]), colour=TEAL
    ),
    decoded("16-bit colour", lambda: of_depth(16, 2, b"\0\0\x80\0\x80\0"), colour=TEAL),
    decoded("16-bit grey", lambda: of_depth(16, 0, b"\x80\0"), colour=(128, 128, 128)),
    decoded("16-bit grey with alpha", lambda: of_depth(16, 4, b"\x80\0\xff\xff"), colour=(128, 128, 128)),
    decoded("16-bit colour with alpha", lambda: of_depth(16, 6, b"\0\0\x80\0\x80\0\xff\xff"), colour=TEAL),
    decoded("16-bit grey with a transparent value", lambda: of_depth(16, 0, b"\x80\0", chunk(b"tRNS", b"\x80\0"))),
    decoded("grey with alpha", lambda: of_depth(8, 4, b"\x60\x80"), colour=(96, 96, 96)),
    decoded("palette", lambda: of_depth(8, 3, b"\x01", PALETTE), colour=TEAL),
    decoded(
        "palette with transparency", lambda: of_depth(8, 3, b"\x01", PALETTE, chunk(b"tRNS", b"\x80\x40")), colour=TEAL
    ),
    decoded("palette all transparent", lambda: of_depth(8, 3, b"\x01", PALETTE, chunk(b"tRNS", b"\0\0"))),
    decoded("colour with a transparent value", lambda: small_png(chunk(b"tRNS", bytes(6)))),
    decoded("1 bit", lambda: of_depth(1, 0, b"\xff", row_bytes=38), colour=(255, 255, 255)),
    decoded("1-bit palette", lambda: of_depth(1, 3, b"\xff", PALETTE, row_bytes=38), colour=TEAL),
    decoded("2-bit grey", lambda: of_depth(2, 0, b"\xff", row_bytes=75), colour=(255, 255, 255)),
    decoded("4-bit palette", lambda: of_depth(4, 3, b"\x11", PALETTE, row_bytes=150), colour=TEAL),
    decoded("interlaced png", interlaced, (8, 8), TEAL),
    decoded("grey jpeg", lambda: saved(plain(mode="L"), "JPEG")),
    decoded("progressive jpeg", lambda: saved(plain(), "JPEG", progressive=True), colour=TEAL),
    decoded("jpeg with restarts", lambda: saved(plain(), "JPEG", restart_marker_blocks=1), colour=TEAL),
    decoded("CMYK jpeg", cmyk, colour=TEAL),
    decoded("YCCK jpeg", lambda: cmyk(2)),
    decoded("CMYK of an unknown transform", lambda: cmyk(77)),
    decoded("1 x 1 jpeg", lambda: saved(plain(1, 1), "JPEG"), (1, 1), TEAL),
    decoded("1 x 1 png", lambda: saved(plain(1, 1), "PNG"), (1, 1), TEAL),
    decoded("1 x 1 webp", lambda: riff(lossless(1, 1)), (1, 1), TEAL),
    decoded("1 x 9,000 png", lambda: saved(plain(1, 9000), "PNG"), (1, 4096), TEAL),
    decoded("9,000 x 1 jpeg", lambda: saved(plain(9000, 1), "JPEG"), (4096, 1), TEAL),
    decoded("16,000 x 1 webp", lambda: riff(lossless(16_000, 1)), (4096, 1), TEAL),
]

ORIENTATION: list[Hostile] = [
    decoded("orientation 6", lambda: exif_jpeg(turned(6)), SIDEWAYS),
    decoded("orientation 6 in a png", lambda: small_png(chunk(b"eXIf", turned(6))), SIDEWAYS),
    decoded("orientation 6 under a wrong checksum", lambda: small_png(chunk(b"eXIf", turned(6), crc=1)), UPRIGHT),
    decoded("orientation 6 in a webp", lambda: webp_exif(6), SIDEWAYS),
    decoded("orientation 0", lambda: exif_jpeg(turned(0)), UPRIGHT),
    decoded("orientation 9", lambda: exif_jpeg(turned(9)), UPRIGHT),
    decoded("orientation 65,535", lambda: exif_jpeg(turned(65_535)), UPRIGHT),
    decoded("orientation as text", lambda: exif_jpeg(turned(6, TEXT)), UPRIGHT),
    decoded("orientation as a long number", lambda: exif_jpeg(turned(6, LONG)), UPRIGHT),
    decoded("a thousand million orientations", lambda: exif_jpeg(turned(6, SHORT, 1_000_000_000)), UPRIGHT),
    decoded("directory beyond the exif", lambda: exif_jpeg(b"MM\0*\xff\xff\xff\xff"), UPRIGHT),
    decoded("directory in the exif's own header", lambda: exif_jpeg(b"MM\0*\0\0\0\0" + bytes(50)), UPRIGHT),
    decoded("directory that follows itself", lambda: exif_jpeg(exif([(0x0100, SHORT, 1, 0)], next_at=8)), UPRIGHT),
    decoded(
        "directory of 65,535 entries cut short", lambda: exif_jpeg(b"MM\0*\0\0\0\x08\xff\xff" + bytes(99)), UPRIGHT
    ),
    decoded("exif of no bytes", lambda: exif_jpeg(b""), UPRIGHT),
    decoded("exif of noise", lambda: exif_jpeg(bytes(range(256)) * 200), UPRIGHT),
    decoded("exif of unknown byte order", lambda: exif_jpeg(b"XX\0*\0\0\0\x08" + bytes(50)), UPRIGHT),
    decoded("two exif blocks that disagree", lambda: exif_jpeg(turned(6), turned(3)), SIDEWAYS),
    decoded("orientation in text only", lambda: small_png(text(b"Raw profile type exif", b"\nexif\n8\n4d4d")), UPRIGHT),
]

METADATA: list[Hostile] = [
    *(
        decoded(f"text named {key.decode()}", partial(texted, key), colour=(0x55, 0x55, 0x55))
        for key in (b"icc_profile", b"transparency", b"bbox", b"interlace", b"loop", b"duration", b"gamma", b"xmp")
    ),
    decoded("compressed text named exif", lambda: small_png(text(b"exif", b"abcd", b"zTXt"))),
    decoded("text without a name", lambda: small_png(chunk(b"tEXt", b"\0\0\0"))),
    decoded("text that is not deflated", lambda: small_png(chunk(b"zTXt", b"a\0\0rubbish"))),
    decoded("text of an unknown compression", lambda: small_png(chunk(b"zTXt", b"a\0\x09abc"))),
    decoded("gamma 0", lambda: small_png(chunk(b"gAMA", bytes(4)))),
    decoded("chromaticities cut short", lambda: small_png(chunk(b"cHRM", bytes(5)))),
    decoded("resolution cut short", lambda: small_png(chunk(b"pHYs", bytes(2)))),
    decoded("animation control cut short", lambda: small_png(chunk(b"acTL", bytes(2)))),
    decoded("profile of noise", lambda: profiled(bytes(range(256)) * 30), colour=TEAL),
    decoded("profile of another colour space", lambda: profiled(profile_of("LAB")), colour=TEAL),
    decoded("profile that says CMYK", lambda: profiled(lying_profile(b"CMYK")), colour=TEAL),
    decoded("profile that says grey", lambda: profiled(lying_profile(b"GRAY")), colour=TEAL),
    decoded("profile cut short", lambda: profiled(profile_of("sRGB")[:150]), colour=TEAL),
    decoded(
        "profile of a million tags", lambda: profiled(lying_profile(b"RGB ")[:128] + b"\0\x0f\x42\x40"), colour=TEAL
    ),
    decoded("profile in swapped parts", swapped_profile_parts),
    decoded("profile of which a part is missing", lambda: jpeg_with(segment(0xE2, b"ICC_PROFILE\0\x02\x02abc"))),
    decoded("profile whose parts have no numbers", lambda: jpeg_with(segment(0xE2, b"ICC_PROFILE\0"))),
    broken("jfif cut short", lambda: jpeg_with(segment(0xE0, b"JFIF\0"), base=small_jpeg())),
    broken("adobe segment cut short", lambda: jpeg_with(segment(0xEE, b"Adobe"))),
    decoded(
        "photoshop block that reaches beyond",
        lambda: jpeg_with(segment(0xED, b"Photoshop 3.0\x008BIM\x03\xed\0\0\xff\xff\xff\xff")),
    ),
    decoded("multi-picture index of noise", lambda: jpeg_with(segment(0xE2, b"MPF\0" + bytes(range(200))))),
]

FILES = [*KINDS, *ORIENTATION, *METADATA]
