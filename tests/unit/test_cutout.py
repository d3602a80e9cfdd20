import importlib
import io
import os
import struct
import subprocess
import sys
import types
import zlib
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps

from handlers.image_processor import cutout
from samples import catalogue
from tests.model_files import network, package_folder, weights_of

LIMITS = cutout.LIMITS
SUBJECT = Image.open(catalogue.HERE / "rendered" / "red_cloth_on_grey.jpg")


class Answers(cutout.Network):
    """A network whose answer is known: `confidence` inside a box given as fractions, nothing outside."""

    def __init__(self, box=(0.2, 0.2, 0.8, 0.8), confidence=1.0):
        self.raw = np.zeros((320, 320), np.float32)
        left, top, right, bottom = (round(edge * 320) for edge in box)
        self.raw[top:bottom, left:right] = confidence
        self.seen = np.zeros((320, 320, 3), np.uint8)

    def infer(self, rgb):
        self.seen = rgb
        return self.raw


def file_of(picture, form="PNG", **options):
    out = io.BytesIO()
    picture.save(out, form, **options)
    return out.getvalue()


def declared(width, height):
    """A PNG that declares a size and holds nothing that could be decoded."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"not deflated") + chunk(b"IEND", b"")


def plain(colour, size=(400, 300)):
    return Image.new("RGB", size, colour)


def mean_colour(picture):
    return np.asarray(picture.convert("RGB"), np.float64).mean((0, 1))


# what a photograph may be


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (b"", cutout.BrokenFileError, "0 bytes"),
        (b"Dear Sir, please find enclosed", cutout.UnsupportedFormatError, "not a JPEG, PNG or WebP"),
        (file_of(plain("red"), "GIF"), cutout.UnsupportedFormatError, "not a JPEG, PNG or WebP"),
        (file_of(plain("red"), "TIFF"), cutout.UnsupportedFormatError, "not a JPEG, PNG or WebP"),
        (file_of(plain("red"), "JPEG")[:3], cutout.BrokenFileError, "header"),
        (file_of(SUBJECT, "JPEG")[:20_000], cutout.BrokenFileError, "truncated"),
        (file_of(SUBJECT, "PNG")[:20_000], cutout.BrokenFileError, "broken"),
        (file_of(SUBJECT, "WEBP")[:9_000], cutout.BrokenFileError, "broken"),
        (declared(400, 300), cutout.BrokenFileError, "broken"),
    ],
    ids=["0 bytes", "text", "gif", "tiff", "3 bytes", "half a jpeg", "half a png", "half a webp", "png of rubbish"],
)
def test_a_file_that_cannot_be_read_is_refused_for_good(data, error, words):
    with pytest.raises(error, match=words):
        cutout.decode(data)


@pytest.mark.parametrize("side", [50_000, 9_000])
def test_declared_pixels_are_refused_before_anything_is_decoded(side):
    # Decoding would find rubbish and say so; the size must be what is said.
    with pytest.raises(cutout.TooLargeError, match="80,000,000 pixels"):
        cutout.decode(declared(side, side))


def test_a_file_of_too_many_bytes_is_refused_with_both_numbers():
    data = file_of(SUBJECT, "JPEG")
    with pytest.raises(cutout.TooLargeError, match=rf"{len(data):,} bytes, at most {len(data) - 1:,}"):
        cutout.decode(data, replace(LIMITS, max_bytes=len(data) - 1))
    assert cutout.decode(data, replace(LIMITS, max_bytes=len(data))).rgb.size == SUBJECT.size


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_decoded_or_refused_and_nothing_else(data):
    form = data.draw(st.sampled_from(("JPEG", "PNG", "WEBP")))
    whole = bytearray(file_of(plain("teal", (60, 40)), form))
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        cutout.decode(bytes(whole))
    except cutout.PermanentError as error:
        assert str(error)


# what decoding makes of it


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_put_upright(orientation):
    picture = SUBJECT.resize((90, 60))
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = file_of(picture, "PNG", exif=exif)
    wanted = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert np.array_equal(np.asarray(cutout.decode(data).rgb), np.asarray(wanted))


def test_unreadable_exif_is_no_reason_to_refuse_a_picture():
    assert cutout.decode(file_of(plain("teal"), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")).rgb.size == (400, 300)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_the_longer_side_is_scaled_down_to_4096_and_the_shape_kept(form):
    decoded = cutout.decode(file_of(plain("teal", (8000, 1000)), form)).rgb
    assert decoded.size == (4096, 512)
    assert mean_colour(decoded) == pytest.approx((0, 128, 128), abs=3)


def test_a_jpeg_above_the_limit_is_never_decoded_at_full_size(monkeypatch):
    decoded: list[tuple[int, int]] = []
    convert = cutout._to_srgb

    def noted(picture, profile):
        decoded.append(picture.size)
        return convert(picture, profile)

    monkeypatch.setattr(cutout, "_to_srgb", noted)
    cutout.decode(file_of(plain("teal", (9000, 3000)), "JPEG"))
    assert decoded == [(4500, 1500)]


def test_a_picture_at_the_limit_keeps_its_pixels():
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 255, (40, 4096, 3), np.uint8))
    assert np.array_equal(np.asarray(cutout.decode(file_of(picture)).rgb), np.asarray(picture))


RAMP = np.linspace(0, 65535, 256).astype(np.uint16)[None, :].repeat(20, 0)


@pytest.mark.parametrize(
    ("picture", "form", "colour"),
    [
        (plain((200, 30, 60)).convert("CMYK"), "JPEG", (200, 30, 60)),
        (plain((200, 30, 60)).quantize(8), "PNG", (200, 30, 60)),
        (plain((90, 90, 90)).convert("L"), "PNG", (90, 90, 90)),
        (plain((90, 90, 90)).convert("LA"), "PNG", (90, 90, 90)),
        (plain((255, 255, 255)).convert("1"), "PNG", (255, 255, 255)),
        (Image.fromarray(RAMP), "PNG", (127.5, 127.5, 127.5)),
    ],
    ids=["CMYK", "palette", "grey", "grey and alpha", "one bit", "16-bit grey"],
)
def test_every_mode_becomes_the_same_colours_in_rgb(picture, form, colour):
    decoded = cutout.decode(file_of(picture, form))
    assert decoded.rgb.mode == "RGB"
    assert mean_colour(decoded.rgb) == pytest.approx(colour, abs=4)


def test_sixteen_bits_are_scaled_not_clipped():
    row = np.asarray(cutout.decode(file_of(Image.fromarray(RAMP))).rgb)[0, :, 0]
    assert np.array_equal(row, np.arange(256))


def test_the_first_frame_of_an_animation_is_taken():
    data = file_of(plain("red"), "WEBP", save_all=True, append_images=[plain("blue")], lossless=True)
    assert mean_colour(cutout.decode(data).rgb) == pytest.approx((255, 0, 0), abs=2)


def profile_with_red_and_green_swapped():
    """An sRGB profile whose first two primaries are exchanged: colours that ignore it come out wrong beyond doubt."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    entries = {
        bytes(profile[at : at + 4]): at for at in range(132, 132 + 12 * struct.unpack_from(">I", profile, 128)[0], 12)
    }
    red, green = entries[b"rXYZ"], entries[b"gXYZ"]
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(profile).replace("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be"))


def test_an_embedded_colour_profile_is_converted_to_srgb():
    data = file_of(plain((220, 40, 40)), "PNG", icc_profile=profile_with_red_and_green_swapped())
    assert mean_colour(cutout.decode(data).rgb) == pytest.approx((40, 220, 40), abs=3)


@pytest.mark.parametrize("profile", [b"no profile at all", None], ids=["broken", "of another colour space"])
def test_a_profile_that_does_not_fit_is_left_out(profile):
    profile = profile or ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    data = file_of(plain((220, 40, 40)), "PNG", icc_profile=profile)
    assert mean_colour(cutout.decode(data).rgb) == pytest.approx((220, 40, 40), abs=1)


def test_the_files_own_transparency_limits_the_matte_and_the_network_sees_white_there():
    picture = plain((30, 30, 30), (640, 640)).convert("RGBA")
    picture.paste((30, 30, 30, 0), (0, 0, 320, 640))
    answers = Answers(box=(0, 0, 1, 1))
    answers.raw[:, :8] = 0
    made = cutout.cut_out(file_of(picture), answers)
    matte = np.asarray(Image.open(io.BytesIO(made.matte)))
    assert matte[:, :318].max() == 0
    assert matte[:, 322:].min() == 255
    assert answers.seen[:, :158].min() >= 254
    assert made.box[0] in range(318, 323)


# what the subject is


@pytest.mark.parametrize(
    "pixels",
    [
        np.full((300, 400, 3), 255, np.uint8),
        pytest.param(np.zeros((300, 400, 3), np.uint8), marks=pytest.mark.slow),
        np.random.default_rng(3).integers(0, 255, (300, 400, 3), np.uint8),
        pytest.param(np.asarray(Image.linear_gradient("L").resize((400, 300)).convert("RGB")), marks=pytest.mark.slow),
    ],
    ids=["white", "black", "noise", "gradient"],
)
def test_a_picture_of_nothing_has_no_subject(pixels):
    with pytest.raises(cutout.NoSubjectError, match=r"confidence is 0\.0"):
        cutout.cut_out(file_of(Image.fromarray(pixels)), network("u2net"))


def test_a_mask_is_not_stretched_into_a_subject():
    assert cutout.cut_out(file_of(plain("teal")), Answers(confidence=0.31))
    with pytest.raises(cutout.NoSubjectError):
        cutout.cut_out(file_of(plain("teal")), Answers(confidence=0.29))


@pytest.mark.parametrize(("width", "height"), [(90, 300), (300, 90)])
def test_a_subject_under_100_pixels_a_side_is_refused_with_its_size(width, height):
    small = Answers(box=(0.1, 0.1, 0.1 + width / 640, 0.1 + height / 640))
    with pytest.raises(cutout.NoSubjectError, match=rf"{width} x {height} pixels, at least 100"):
        cutout.cut_out(file_of(plain("teal", (640, 640))), small)


def test_a_subject_of_100_pixels_is_taken():
    fits = Answers(box=(0.25, 0.25, 0.25 + 100 / 640, 0.25 + 100 / 640))
    assert cutout.cut_out(file_of(plain("teal", (640, 640))), fits).box == (160, 160, 260, 260)


@pytest.mark.parametrize(("level", "ground"), [(127, "black"), (128, "white"), (129, "white")])
def test_a_subject_darker_than_128_gets_a_black_ground(level, ground):
    made = cutout.cut_out(file_of(plain((level,) * 3)), Answers())
    corner = np.asarray(Image.open(io.BytesIO(made.picture)))[0, 0]
    assert made.ground == ground
    assert made.brightness == pytest.approx(level, abs=0.01)
    assert set(corner) == {0 if ground == "black" else 255}


def test_brightness_is_the_subjects_and_not_the_pictures():
    picture = plain("white", (640, 640))
    picture.paste((20, 20, 20), (128, 128, 512, 512))
    assert cutout.cut_out(file_of(picture), Answers()).brightness == pytest.approx(20, abs=8)


def test_the_contrast_curve_leaves_no_halo_and_no_hole():
    answers = Answers(box=(0, 0, 1, 1))
    answers.raw[:] = np.linspace(0, 1, 320, dtype=np.float32)[None, :]
    row = np.asarray(Image.open(io.BytesIO(cutout.cut_out(file_of(plain("teal", (640, 640))), answers).matte)))[320]
    assert row[: int(640 * 0.29)].max() == 0
    assert row[int(640 * 0.71) :].min() == 255
    assert np.all(np.diff(row.astype(int)) >= 0)


# what is made of it


def test_picture_matte_and_thumbnail_are_what_their_names_say():
    made = cutout.cut_out(file_of(SUBJECT, "JPEG"), network("u2netp"))
    picture, matte, thumbnail = (Image.open(io.BytesIO(data)) for data in (made.picture, made.matte, made.thumbnail))
    assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", SUBJECT.size)
    assert (matte.format, matte.mode, matte.size) == ("PNG", "L", SUBJECT.size)
    assert (thumbnail.format, thumbnail.mode, thumbnail.size) == ("JPEG", "RGB", (300, 225))
    assert (made.width, made.height) == SUBJECT.size
    assert all(seconds >= 0 for seconds in made.timings.values())
    assert list(made.timings) == ["decode", "infer", "matte", "compose", "encode", "thumbnail"]


def test_the_subjects_pixels_are_the_photographs_own():
    data = file_of(SUBJECT, "PNG")
    made = cutout.cut_out(data, network("u2netp"))
    inside = np.asarray(Image.open(io.BytesIO(made.matte))) == 255
    assert inside.any()
    result = np.asarray(Image.open(io.BytesIO(made.picture)))
    assert np.array_equal(result[inside], np.asarray(SUBJECT.convert("RGB"))[inside])


def test_doing_it_twice_gives_the_same_bytes():
    data = file_of(SUBJECT, "JPEG")
    first, second = (cutout.cut_out(data, network("u2netp")) for _ in range(2))
    for name in ("picture", "matte", "thumbnail"):
        one, other = (getattr(each, name) for each in (first, second))
        # pixels first: it tells another cut-out from another encoding of the same one
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(one))), np.asarray(Image.open(io.BytesIO(other)))), name
        assert one == other, name


@pytest.fixture(scope="module")
def rembg_session():
    """rembg's own session class, the reference; without its package's `__init__`, which imports numba for a minute."""
    package = types.ModuleType("rembg")
    package.__path__ = [str(package_folder("rembg"))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "rembg", package)
        patch.setenv("U2NET_HOME", str(weights_of("u2net").parent))
        session = importlib.import_module("rembg.sessions.u2net").U2netSession
        yield session("u2net", onnxruntime.SessionOptions())
    for name in [name for name in sys.modules if name.startswith("rembg.")]:
        del sys.modules[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["red_cloth_on_grey", "open_on_walnut"])
def test_the_mask_is_rembgs(name, rembg_session):
    picture = Image.open(catalogue.HERE / "rendered" / f"{name}.jpg")
    theirs = np.asarray(rembg_session.predict(picture)[0])
    ours = cutout.segment(cutout.Photograph(picture, None), network("u2net"), replace(LIMITS, contrast=(0.0, 1.0)))
    assert catalogue.intersection_over_union(ours.matte, theirs) >= 0.999
    assert np.abs(np.asarray(ours.matte, np.float64) - theirs).mean() / 255 <= 0.001


# what it costs


def in_a_new_process(code, **environment):
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={key: value for key, value in os.environ.items() if not key.startswith("ORT_")} | environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_worker_imports_nothing_that_brings_numba_scipy_or_scikit_image():
    heavy = {"rembg", "numba", "scipy", "skimage", "pymatting", "pooch", "pydantic"}
    code = f"import sys, handlers.image_processor.handler; print(*({heavy} & set(sys.modules)))"
    assert in_a_new_process(code) == ""


def test_telemetry_is_off_before_onnxruntime_is_imported():
    code = (
        "import builtins, os; real = builtins.__import__\n"
        "def watched(name, *rest):\n"
        "    if name == 'onnxruntime': print(os.environ.get('ORT_DISABLE_TELEMETRY'))\n"
        "    return real(name, *rest)\n"
        "builtins.__import__ = watched\n"
        "import handlers.image_processor.cutout\n"
    )
    assert in_a_new_process(code).splitlines()[0] == "1"


@pytest.mark.slow
def test_twelve_megapixels_stay_below_a_gigabyte():
    code = (
        "from pathlib import Path; from PIL import Image; import io\n"
        "from handlers.image_processor import cutout, memory\n"
        f"picture = Image.open({str(catalogue.HERE / 'rendered' / 'calf_on_oak.jpg')!r}).resize((4000, 3000))\n"
        "out = io.BytesIO(); picture.save(out, 'JPEG'); del picture\n"
        f"cutout.cut_out(out.getvalue(), cutout.Network(Path({str(weights_of('u2net'))!r})))\n"
        "print(memory.peak_megabytes())"
    )
    assert int(in_a_new_process(code)) < 1024
