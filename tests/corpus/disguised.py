"""Files that are something else, or something else as well."""

from __future__ import annotations

import io
import random
import zipfile

from tests.corpus.entry import Hostile, decoded, unsupported
from tests.corpus.parts import TEAL, jpeg_with, lossless, plain, riff, saved, segment, small_jpeg, small_png

HTML = b"<!DOCTYPE html><html><script>alert(1)</script></html>"
PDF = b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="9"><script>alert(1)</script></svg>'
EXPANDING_XML = b'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><svg>&b;</svg>'


def archive() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        packed.writestr(zipfile.ZipInfo("run.sh"), "echo hello")
    return out.getvalue()


def box(brand: bytes) -> bytes:
    """An ISO base media file's first box, and some data."""
    return b"\0\0\0\x18ftyp" + brand + bytes(4) + brand + b"mif1" + b"\0\0\0\x10mdat" + bytes(8)


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


OTHER_FORMATS: list[Hostile] = [
    unsupported("heic", lambda: box(b"heic"), "it is HEIC; save it as JPEG"),
    unsupported("heic of an image collection", lambda: box(b"mif1"), "it is HEIC"),
    unsupported("avif", lambda: box(b"avif"), "it is AVIF"),
    unsupported("a real avif", lambda: saved(plain(64, 64), "AVIF"), "it is AVIF"),
    unsupported("mp4", lambda: box(b"isom"), "it is a video"),
    unsupported("avi", lambda: b"RIFF\x20\0\0\0AVI LIST" + bytes(20), "it is a video"),
    unsupported("tiff", lambda: saved(plain(), "TIFF"), "it is TIFF"),
    unsupported("tiff, big-endian", lambda: b"MM\0*\0\0\0\x08" + bytes(200), "it is TIFF"),
    unsupported("gif", lambda: saved(plain(), "GIF"), "it is GIF"),
    unsupported(
        "animated gif", lambda: saved(plain(), "GIF", save_all=True, append_images=[plain(colour="red")]), "it is GIF"
    ),
    unsupported("bmp", lambda: saved(plain(), "BMP"), "it is BMP"),
    unsupported("ico", lambda: saved(plain(64, 64), "ICO"), "it is an icon"),
    unsupported("svg", lambda: SVG, "it is SVG"),
    unsupported("svg whose entities expand", lambda: EXPANDING_XML),
    unsupported("svg after a declaration", lambda: b'<?xml version="1.0"?>\n<!-- a -->\n' + SVG, "it is SVG"),
    unsupported("jpeg xl", lambda: b"\xff\x0a" + bytes(100), "it is JPEG XL"),
    unsupported("jpeg 2000", lambda: saved(plain(), "JPEG2000"), "it is JPEG 2000"),
    unsupported("photoshop", lambda: b"8BPS\0\x01" + bytes(100), "it is Photoshop"),
    unsupported("pdf", lambda: PDF, "it is PDF"),
    unsupported("html", lambda: HTML, "it is HTML"),
    unsupported("zip", archive, "it is a ZIP archive"),
    unsupported("postscript", lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"),
    unsupported("portable pixmap", lambda: b"P6 50000 50000 255\n" + bytes(100)),
    unsupported("text", lambda: b"Dear Sir, please find enclosed"),
    unsupported("a path", lambda: b"../../../../etc/passwd\0.jpg"),
    unsupported("noise", lambda: noise(100_000)),
    unsupported("a megabyte of zeros", lambda: bytes(1_000_000)),
    unsupported("a megabyte of spaces", lambda: b" " * 1_000_000),
    unsupported("a wav that begins as a webp does", lambda: b"RIFF\x24\0\0\0WAVEfmt " + bytes(40)),
]

POLYGLOTS: list[Hostile] = [
    decoded("jpeg and zip", lambda: small_jpeg() + archive()),
    decoded("jpeg and html", lambda: small_jpeg() + HTML),
    decoded("jpeg with a script in a comment", lambda: jpeg_with(segment(0xFE, b"<?php system($_GET['c']); ?>"))),
    decoded("jpeg and a film (motion photo)", lambda: small_jpeg() + box(b"isom")),
    decoded("jpeg and a second jpeg", lambda: small_jpeg() + saved(plain(10, 10), "JPEG")),
    decoded("jpeg and a huge jpeg's header", lambda: small_jpeg() + small_jpeg().replace(b"\x01\x2c", b"\xff\xff")),
    decoded("jpeg and 2 MB of noise", lambda: small_jpeg() + noise(2_000_000)),
    decoded("png and zip", lambda: small_png() + archive()),
    decoded("png and pdf", lambda: small_png() + PDF),
    decoded("png and another png", lambda: small_png() + small_png()),
    decoded("webp and html", lambda: riff(lossless()) + HTML, colour=TEAL),
    decoded("webp and zip", lambda: riff(lossless()) + archive(), colour=TEAL),
    unsupported("html and jpeg", lambda: HTML + small_jpeg(), "it is HTML"),
    unsupported("pdf and jpeg", lambda: PDF + small_jpeg(), "it is PDF"),
    unsupported("zip and png", lambda: archive() + small_png(), "it is a ZIP archive"),
    unsupported("a byte and jpeg", lambda: b"\0" + small_jpeg()),
    unsupported("byte order mark and png", lambda: b"\xef\xbb\xbf" + small_png()),
]

FILES = [*OTHER_FORMATS, *POLYGLOTS]
