"""A picture file taken apart before any decoder sees it: declared size, EXIF orientation, ICC profile, pixels.

Only the parts that draw pixels go on to Pillow. Its own reading of metadata is never reached: a PNG text chunk can set
any of its settings (a chunk named `icc_profile` or `transparency` ended in a TypeError), compressed text inflates, and
60,000 broken EXIF entries write 60,000 warnings into the log.
"""

import contextlib
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from handlers.image_processor.limits import (
    BrokenFileError,
    Limits,
    TooLargeError,
    UnsupportedFormatError,
)

Format = Literal["JPEG", "PNG", "WEBP"]

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
IHDR_BYTES, PALETTE_COLOUR = 13, 3
JPEG_SIGNATURE = b"\xff\xd8\xff"
JPEG_MARKER = re.compile(rb"\xff[\x01-\xfe]")
"""The next marker: 0xFF 0x00 is a stuffed byte and 0xFF 0xFF a filler (ITU-T T.81, B.1.1)."""
TEM, DHT, DAC, RST0, RST7, SOI, EOI, SOS, DQT, DRI, DHP, EXP = (
    *(0x01, 0xC4, 0xCC, 0xD0, 0xD7, 0xD8, 0xD9),
    *(0xDA, 0xDB, 0xDD, 0xDE, 0xDF),
)
APP0, APP1, APP2, APP14 = 0xE0, 0xE1, 0xE2, 0xEE
FRAMES = frozenset(range(0xC0, 0xD0)) - {DHT, 0xC8, DAC}
LENGTH_BYTES = 2
"""A segment's length counts itself."""
JPEG_PIXELS = FRAMES | {DHT, DAC, DQT, DRI, DHP, EXP, APP0, APP14}
"""APP0 (JFIF) and APP14 (Adobe) say which colours the channels are."""
EXIF_NAME, PROFILE_NAME = b"Exif\0\0", b"ICC_PROFILE\0"
ORIENTATION_TAG, SHORT = 0x0112, 3

OTHER_FORMATS: tuple[tuple[str, re.Pattern[bytes]], ...] = (
    ("HEIC", re.compile(rb"....ftyp(hei[cmsx]|hev[cmsx]|mif1|msf1)", re.DOTALL)),
    ("AVIF", re.compile(rb"....ftypavi[fs]", re.DOTALL)),
    ("a video", re.compile(rb"....ftyp|RIFF....AVI ", re.DOTALL)),
    ("JPEG XL", re.compile(rb"\xff\x0a|\0\0\0\x0cJXL ")),
    ("JPEG 2000", re.compile(rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  ")),
    ("GIF", re.compile(rb"GIF8[79]a")),
    ("TIFF or a camera's raw file", re.compile(rb"II[*+]\0|MM\0[*+]")),
    ("BMP", re.compile(rb"BM....\0\0\0\0", re.DOTALL)),
    ("an icon", re.compile(rb"\0\0[\x01\x02]\0")),
    ("Photoshop", re.compile(rb"8BPS")),
    ("PDF", re.compile(rb"%PDF-")),
    ("a ZIP archive", re.compile(rb"PK\x03\x04")),
    ("SVG", re.compile(rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?(<!DOCTYPE svg[^>]*>\s*)?<svg", re.DOTALL)),
    ("HTML", re.compile(rb"\s*<(!doctype html|html)", re.IGNORECASE)),
)
"""How files begin that people take for photographs, so that the refusal can say what the file is."""


@dataclass
class Container:
    """What a file holds.

    Parameters
    ----------
    format : str
    pixels : bytes
        A file of the same format with nothing in it but what draws the picture.
    width, height : int
        As declared, in pixels.
    exif : bytes
        From the TIFF header on; empty where there is none.
    profile : bytes or None
        The ICC profile.
    segments : int
        Parts that carry no pixels.
    profile_parts : list of bytes
        A JPEG's ICC profile before it is put together.
    """

    format: Format
    pixels: bytes
    width: int = 0
    height: int = 0
    exif: bytes = b""
    profile: bytes | None = None
    segments: int = 0
    profile_parts: list[bytes] = field(default_factory=list)

    @property
    def orientation(self) -> int:
        """EXIF orientation, 1 to 8; 1 where there is none or none that can be read."""
        return _orientation(self.exif)

    def count(self, limits: Limits) -> None:
        """Count one part that carries no pixels."""
        self.segments += 1
        _check_parts(self.segments, limits.max_segments)

    def add_exif(self, exif: bytes, limits: Limits) -> None:
        """Take the first EXIF block; of a second one nothing is known."""
        if len(exif) > limits.max_exif_bytes:
            raise TooLargeError(
                f"the EXIF data is too large: {len(exif):,} bytes, at most {limits.max_exif_bytes:,} are taken"
            )
        self.exif = self.exif or exif.removeprefix(EXIF_NAME)

    def add_profile(self, profile: bytes, limits: Limits) -> None:
        """Take the ICC profile."""
        if len(profile) > limits.max_profile_bytes:
            raise TooLargeError(
                f"the colour profile is too large: more than {limits.max_profile_bytes:,} bytes are not taken"
            )
        self.profile = profile


def open_container(data: bytes, limits: Limits) -> Container:
    """Take a file apart, and refuse what the limits forbid before a pixel is decoded.

    Raises
    ------
    TooLargeError, BrokenFileError, UnsupportedFormatError
    """
    if not data:
        raise BrokenFileError("the file is broken: it has 0 bytes")
    if len(data) > limits.max_bytes:
        raise TooLargeError(f"the file is too large: {len(data):,} bytes, at most {limits.max_bytes:,} are taken")
    try:
        container = _parse(data, limits)
    except struct.error as error:
        raise BrokenFileError("the file is broken: its header is cut short") from error
    _check_size(container, len(data), limits)
    return container


def _parse(data: bytes, limits: Limits) -> Container:
    if data.startswith(JPEG_SIGNATURE):
        return _jpeg(data, limits)
    if data.startswith(PNG_SIGNATURE):
        return _png(data, limits)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _webp(data, limits)
    named = next((name for name, beginning in OTHER_FORMATS if beginning.match(data[:1024])), None)
    is_what = f": it is {named}; save it as JPEG" if named else ""
    raise UnsupportedFormatError(f"the file is not a JPEG, PNG or WebP picture{is_what}")


def _check_parts(parts: int, most: int) -> None:
    if parts > most:
        raise TooLargeError(f"the file has too many parts: at most {most:,} are taken")


def _check_size(container: Container, size: int, limits: Limits) -> None:
    width, height = container.width, container.height
    if not width or not height:
        raise BrokenFileError(f"the file is broken: its header declares {width} x {height} pixels")
    declared = f"the picture is too large: {width} x {height}"
    if width * height > limits.max_pixels:
        raise TooLargeError(f"{declared}, at most {limits.max_pixels:,} pixels are taken")
    if max(width, height) > limits.max_declared_side:
        raise TooLargeError(f"{declared}, at most {limits.max_declared_side:,} pixels a side are taken")
    if width * height > max(limits.sparse_above_pixels, size * limits.max_pixels_per_byte):
        raise TooLargeError(f"{declared} in {size:,} bytes is no photograph but something that inflates")


# PNG, 3rd edition, 5.3 and 11


def _png(data: bytes, limits: Limits) -> Container:
    container = Container("PNG", b"")
    kept, lacks_palette = [PNG_SIGNATURE], False
    for kind, start, end in _png_chunks(data):
        if kind == b"IHDR":
            if container.width or end - start != IHDR_BYTES:
                raise BrokenFileError("the file is broken: it has more than one header, or one of the wrong size")
            container.width, container.height, _, colour_type = struct.unpack_from(">IIBB", data, start)
            lacks_palette = colour_type == PALETTE_COLOUR
        elif not container.width:
            raise BrokenFileError("the file is broken: a PNG has to begin with its header")
        if kind == b"IDAT" and lacks_palette:
            raise BrokenFileError("the file is broken: its palette is missing or comes too late")
        if kind in PNG_PIXELS:
            lacks_palette = lacks_palette and kind != b"PLTE"
            kept.append(data[start - 8 : end + 4])
            _check_parts(len(kept), limits.max_pixel_chunks)
            continue
        container.count(limits)
        if kind in (b"eXIf", b"iCCP") and zlib.crc32(data[start - 4 : end]) == _number(data, end):
            if kind == b"eXIf":
                container.add_exif(data[start:end], limits)
            else:
                _add_deflated_profile(container, data[start:end], limits)
    container.pixels = b"".join(kept)
    return container


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of each chunk's content, up to IEND or the end of the file."""
    at, kind = len(PNG_SIGNATURE), b""
    while kind != b"IEND" and at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        yield kind, at + 8, at + 8 + length
        at += 12 + length


def _number(data: bytes, at: int) -> int | None:
    return struct.unpack_from(">I", data, at)[0] if at + 4 <= len(data) else None


def _add_deflated_profile(container: Container, content: bytes, limits: Limits) -> None:
    """Name, 0, method 0, deflated profile (11.3.2.3); inflated no further than a profile may be."""
    deflated = content.partition(b"\0")[2][1:]
    with contextlib.suppress(zlib.error):  # a broken profile is no reason to refuse a picture that every browser shows
        container.add_profile(zlib.decompressobj().decompress(deflated, limits.max_profile_bytes + 1), limits)


# JPEG, ITU-T T.81, annex B


def _jpeg(data: bytes, limits: Limits) -> Container:
    container = Container("JPEG", b"")
    kept = [b"\xff\xd8"]
    for marker, start, end in _jpeg_segments(data, 2):
        if marker == SOS:
            kept.append(data[start - 4 :])
            container.pixels = b"".join(kept)
            _count_scans(container, data, start - 4, limits)
            break
        container.count(limits)
        if marker in FRAMES:
            _frame(container, data[start:end])
        if marker in JPEG_PIXELS:
            kept.append(data[start - 4 : end])
        elif marker == APP1 and data.startswith(EXIF_NAME, start):
            container.add_exif(data[start:end], limits)
        elif marker == APP2 and data.startswith(PROFILE_NAME, start):
            container.profile_parts.append(data[start + len(PROFILE_NAME) : end])
    if not container.pixels:
        raise BrokenFileError("the file is broken: its header is cut short")
    _join_profile(container, limits)
    return container


def _jpeg_segments(data: bytes, at: int) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of each segment's content, up to the end of the image or of the file."""
    while found := JPEG_MARKER.search(data, at):
        marker, at = data[found.end() - 1], found.end()
        if marker == EOI:
            return
        if marker in (TEM, SOI) or RST0 <= marker <= RST7:
            continue
        (length,) = struct.unpack_from(">H", data, at)
        if length < LENGTH_BYTES:
            raise BrokenFileError("the file is broken: a part of its header has no length")
        yield marker, at + 2, at + length
        at += length


def _frame(container: Container, content: bytes) -> None:
    if container.width:
        raise BrokenFileError("the file is broken: it declares its size twice")
    container.height, container.width = struct.unpack_from(">HH", content, 1)
    if not container.width or not container.height:
        raise BrokenFileError(f"the file is broken: its header declares {container.width} x {container.height} pixels")


def _count_scans(container: Container, data: bytes, at: int, limits: Limits) -> None:
    pixels = max(1, container.width * container.height)
    most = min(limits.max_scans, max(1, limits.max_scanned_pixels // pixels))
    scans = 0
    for marker, _, _ in _jpeg_segments(data, at):
        scans += marker == SOS
        if marker != SOS:
            container.count(limits)
        if scans > most:
            raise TooLargeError(f"the file has too many scans: at most {most} are taken of a picture of this size")


def _join_profile(container: Container, limits: Limits) -> None:
    """Put an ICC profile's numbered parts together (ICC.1:2022, B.4); an incomplete one is left out."""
    parts = sorted(container.profile_parts)
    if parts and [part[:1] for part in parts] == [bytes([number + 1]) for number in range(min(len(parts), 255))]:
        container.add_profile(b"".join(part[2:] for part in parts), limits)


# WebP, RFC 9649


def _webp(data: bytes, limits: Limits) -> Container:
    container = Container("WEBP", data)
    at = 12
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        content = data[at + 8 : at + 8 + min(length, limits.max_profile_bytes + 1)]
        container.count(limits)
        if kind in WEBP_SIZES and not container.width:
            container.width, container.height = WEBP_SIZES[kind](content)
        elif kind == b"EXIF":
            container.add_exif(content, limits)
        elif kind == b"ICCP":
            container.add_profile(content, limits)
        at += 8 + length + length % 2
    return container


def _lossy_size(content: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from("<HH", content, 6)  # RFC 6386, 9.1: two bits of each are a scale
    return width & 0x3FFF, height & 0x3FFF


def _lossless_size(content: bytes) -> tuple[int, int]:
    (bits,) = struct.unpack_from("<I", content, 1)
    return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1


def _canvas_size(content: bytes) -> tuple[int, int]:
    low_width, high_width, low_height, high_height = struct.unpack_from("<HBHB", content, 4)
    return (high_width << 16 | low_width) + 1, (high_height << 16 | low_height) + 1


WEBP_SIZES = {b"VP8 ": _lossy_size, b"VP8L": _lossless_size, b"VP8X": _canvas_size}


# EXIF, CIPA DC-008


def _orientation(exif: bytes) -> int:
    """Read one entry of IFD0. Unreadable EXIF in a readable picture counts as none, as in browsers."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(order + "I", exif, 4)
        (entries,) = struct.unpack_from(order + "H", exif, directory)
        for at in range(directory + 2, directory + 2 + 12 * entries, 12):
            tag, kind, count, value = struct.unpack_from(order + "HHIH", exif, at)
            if tag == ORIENTATION_TAG:
                return value if kind == SHORT and count == 1 and 1 <= value <= 8 else 1  # noqa: PLR2004
    except struct.error:
        pass
    return 1
