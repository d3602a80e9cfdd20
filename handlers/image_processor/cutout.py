"""The cut-out: photograph bytes in, the subject on a black or white ground out. Pixels only; no S3, SQL or Lambda.

`decode -> segment -> compose`, each a function below; `cut_out` runs the three and measures them.
"""

import io
import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read once, when onnxruntime is imported

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image, ImageCms

from handlers.image_processor import png
from handlers.image_processor.container import Container, open_container
from handlers.image_processor.limits import (
    LIMITS,
    BrokenFileError,
    Limits,
    NoSubjectError,
    PermanentError,
    TooLargeError,
    UnsupportedFormatError,
)

__all__ = [
    "LIMITS",
    "BrokenFileError",
    "Cutout",
    "Limits",
    "Network",
    "NoSubjectError",
    "PermanentError",
    "Photograph",
    "Segmentation",
    "Stopwatch",
    "TooLargeError",
    "UnsupportedFormatError",
    "compose",
    "cut_out",
    "decode",
    "make_thumbnail",
    "segment",
]

Ground = Literal["black", "white"]
Float = NDArray[np.float32]

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation to the turn that undoes it (Exif 2.32, 4.6.4 A)."""
GROUNDS: dict[Ground, int] = {"black": 0, "white": 255}
LUMA: Float = np.array((0.299, 0.587, 0.114), np.float32)
"""ITU-R BT.601 weights, as in Pillow's conversion to L."""
CHANNEL_MEAN: Float = np.array((0.485, 0.456, 0.406), np.float32)
CHANNEL_DEVIATION: Float = np.array((0.229, 0.224, 0.225), np.float32)
"""ImageNet's mean and standard deviation, in RGB order: the normalisation of rembg's U2netSession.predict."""
HALF_OPAQUE = 128
UNREADABLE = (
    *(OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, struct.error),
    Image.DecompressionBombError,
)
"""What Pillow's decoders raise on broken files; memory and bugs elsewhere stay what they are."""


@dataclass(frozen=True)
class Photograph:
    """A decoded picture: upright, sRGB, no side above the limit.

    `alpha` is the file's own transparency (mode L), or None where it has none.
    """

    rgb: Image.Image
    alpha: Image.Image | None


@dataclass(frozen=True)
class Segmentation:
    """The subject in a photograph.

    Parameters
    ----------
    matte : PIL image, mode L
        Alpha matte in the photograph's size: 0 is ground, 255 is subject.
    brightness : float
        Mean luma over the subject's pixels, weighted by alpha, 0 to 255.
    confidence : float
        The network's raw maximum, 0 to 1.
    box : (int, int, int, int)
        Left, top, right, bottom of what is at least half opaque.
    """

    matte: Image.Image
    brightness: float
    confidence: float
    box: tuple[int, int, int, int]


@dataclass(frozen=True)
class Cutout:
    """What came of a photograph: three files and what is worth knowing about them.

    Parameters
    ----------
    picture, thumbnail, matte : bytes
        PNG (RGB), JPEG (RGB) and PNG (8-bit alpha matte, in the picture's size).
    timings : dict
        Seconds per stage: decode, infer, matte, compose, encode, thumbnail.
    """

    picture: bytes
    thumbnail: bytes
    matte: bytes
    width: int
    height: int
    ground: Ground
    brightness: float
    confidence: float
    box: tuple[int, int, int, int]
    timings: dict[str, float]


class Network:
    """A U^2-Net session on the CPU.

    Parameters
    ----------
    weights : Path
        An ONNX file of the U^2-Net family, already verified (`models.verify`).
    threads : int
        Cores for one inference; 0 takes all.

    References
    ----------
    Qin et al., "U^2-Net: Going Deeper with Nested U-Structure for Salient Object Detection", Pattern Recognition 106
    (2020). Input size and normalisation follow rembg's `U2netSession.predict`, against which the tests hold this one.
    """

    SIDE = 320

    def __init__(self, weights: Path, threads: int = 0) -> None:
        options = onnxruntime.SessionOptions()
        options.enable_mem_pattern = False  # lowers the peak by a third and costs no time
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        # The first output is the fused map; the other six are side outputs that only training looks at.
        self._outputs = [self._session.get_outputs()[0].name]

    def infer(self, rgb: NDArray[np.uint8]) -> Float:
        """Say how much each pixel stands out.

        Parameters
        ----------
        rgb : uint8 array, (320, 320, 3)

        Returns
        -------
        float32 array, (320, 320)
            The network's raw answer, 0 to 1; its maximum is 1.0 only where it is sure.
        """
        scaled = rgb.astype(np.float32) / max(float(rgb.max()), 1e-6)
        planes = ((scaled - CHANNEL_MEAN) / CHANNEL_DEVIATION).transpose(2, 0, 1)[None]
        raw: Float = self._session.run(self._outputs, {self._input: np.ascontiguousarray(planes)})[0][0, 0]
        return raw


@dataclass
class Stopwatch:
    """Seconds spent in named stages."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure one stage, also when it raises."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = time.perf_counter() - started


def cut_out(data: bytes, network: Network, limits: Limits = LIMITS) -> Cutout:
    """Cut the subject of a photograph out and put a plain ground behind it.

    Parameters
    ----------
    data : bytes
        A JPEG, PNG or WebP file.
    network : Network
    limits : Limits

    Raises
    ------
    PermanentError
        The photograph can never be processed: too large, broken, another format, no subject.
    """
    watch = Stopwatch()
    with watch.stage("decode"):
        photograph = decode(data, limits)
    subject = segment(photograph, network, limits, watch)
    with watch.stage("compose"):
        ground: Ground = "black" if subject.brightness < limits.brightness_threshold else "white"
        picture = compose(photograph.rgb, subject.matte, ground)
    with watch.stage("encode"):
        encoded, matte = png.encode(np.asarray(picture)), png.encode(np.asarray(subject.matte))
    with watch.stage("thumbnail"):
        thumbnail = make_thumbnail(picture, limits)
    return Cutout(
        picture=encoded,
        thumbnail=thumbnail,
        matte=matte,
        width=picture.width,
        height=picture.height,
        ground=ground,
        brightness=subject.brightness,
        confidence=subject.confidence,
        box=subject.box,
        timings=watch.seconds,
    )


def decode(data: bytes, limits: Limits = LIMITS) -> Photograph:
    """Decode a file into an upright sRGB picture whose longer side is at most `limits.max_side`.

    Of an animation the first frame is taken. 16-bit channels are scaled to 8; CMYK, palettes, grey and Display P3
    become sRGB.

    Raises
    ------
    TooLargeError, BrokenFileError, UnsupportedFormatError
    """
    container = open_container(data, limits)
    try:
        picture = _open(container)
        scale = min(1.0, limits.max_side / max(picture.size))
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        picture.draft(None, size)  # JPEG alone: decodes at 1/2, 1/4 or 1/8, never smaller than asked
        picture.load()
        rgb, alpha = _to_srgb(picture, container.profile)
    except UNREADABLE as error:
        raise BrokenFileError(f"the file is broken: {error}") from error
    turn = UPRIGHT.get(container.orientation)
    return Photograph(_stand(rgb, size, turn), alpha and _stand(alpha, size, turn))


def _open(container: Container) -> Image.Image:
    """Let Pillow read the header; what it makes of it has to be what was checked."""
    try:
        picture = Image.open(io.BytesIO(container.pixels), formats=[container.format])
    except UNREADABLE as error:
        raise BrokenFileError("the file is broken: its header cannot be read") from error
    if picture.size != (container.width, container.height):
        raise BrokenFileError("the file is broken: its header declares two sizes")
    return picture


def _stand(picture: Image.Image, size: tuple[int, int], orientation: Image.Transpose | None) -> Image.Image:
    if picture.size != size:
        picture = picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    return picture if orientation is None else picture.transpose(orientation)


def _to_srgb(picture: Image.Image, profile: bytes | None) -> tuple[Image.Image, Image.Image | None]:
    """Split a picture of any mode that the three formats can have into sRGB pixels and its own transparency."""
    if picture.mode.startswith("I"):  # 16-bit grey, which Pillow's own conversion clips to white
        wide = np.asarray(picture)
        picture = Image.fromarray((wide >> 8).astype(np.uint8))
    alpha = None
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        alpha = picture.getchannel("A")
        alpha = None if alpha.getextrema() == (255, 255) else alpha
        picture = picture.convert("RGB")
    elif picture.mode not in ("RGB", "CMYK", "L"):
        picture = picture.convert("RGB")
    return _apply_profile(picture, profile), alpha


def _apply_profile(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert from the embedded ICC profile to sRGB; without one, or with one that does not fit, as browsers do."""
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if "sRGB" not in ImageCms.getProfileDescription(source):
                converted = ImageCms.profileToProfile(picture, source, SRGB, outputMode="RGB")
                return converted if converted is not None else picture
        except (ImageCms.PyCMSError, OSError):
            pass  # a broken profile is no reason to refuse a picture that every browser shows
    return picture if picture.mode == "RGB" else picture.convert("RGB")


SRGB = ImageCms.createProfile("sRGB")


def segment(
    photograph: Photograph, network: Network, limits: Limits = LIMITS, watch: Stopwatch | None = None
) -> Segmentation:
    """Find the subject.

    Raises
    ------
    NoSubjectError
        The network is nowhere sure enough, or what it found is smaller than `limits.min_subject_side`.
    """
    watch = watch or Stopwatch()
    with watch.stage("infer"):
        small = _small(photograph)
        raw = network.infer(small)
    confidence, lowest = float(raw.max()), float(raw.min())
    if confidence < limits.subject_confidence:
        # Stretching the mask to its own maximum, as rembg does, would make a subject of the paper's grain.
        raise NoSubjectError(f"no subject was found: the network's confidence is {confidence:.2f} of 1")
    with watch.stage("matte"):
        stretched = (raw - lowest) / max(confidence - lowest, 1e-6)
        alpha = _contrast(stretched, limits.contrast)
        brightness = float(((small @ LUMA) * alpha).sum() / max(float(alpha.sum()), 1e-6))
        matte = _enlarge(stretched, photograph, limits.contrast)
    box = matte.point(OPAQUE).getbbox()
    if box is None or min(box[2] - box[0], box[3] - box[1]) < limits.min_subject_side:
        found = f"{box[2] - box[0]} x {box[3] - box[1]} pixels" if box else "nothing opaque"
        raise NoSubjectError(f"no subject was found: {found}, at least {limits.min_subject_side} a side are needed")
    return Segmentation(matte, brightness, confidence, box)


OPAQUE = [255 * (value >= HALF_OPAQUE) for value in range(256)]


def _small(photograph: Photograph) -> NDArray[np.uint8]:
    """The network's input: 320 x 320 whatever the shape, transparent parts shown white. (320, 320, 3) uint8."""
    side = (Network.SIDE, Network.SIDE)
    small = photograph.rgb.resize(side, Image.Resampling.LANCZOS, reducing_gap=3.0)
    if photograph.alpha is not None:
        alpha = photograph.alpha.resize(side, Image.Resampling.LANCZOS, reducing_gap=3.0)
        small = Image.composite(small, Image.new("RGB", side, "white"), alpha)
    return np.asarray(small)


def _contrast(alpha: Any, ends: tuple[float, float]) -> Any:
    low, high = ends
    return np.clip((alpha - low) / (high - low), 0.0, 1.0)


def _enlarge(stretched: Float, photograph: Photograph, contrast: tuple[float, float]) -> Image.Image:
    """Scale the network's answer to the photograph's size, then sharpen its edge, then cut by the file's own alpha."""
    coarse = Image.fromarray((stretched * 255).astype(np.uint8))
    table = np.round(_contrast(np.arange(256) / 255, contrast) * 255).astype(int).tolist()
    matte = coarse.resize(photograph.rgb.size, Image.Resampling.BICUBIC).point(table)
    if photograph.alpha is not None:
        matte = Image.composite(matte, Image.new("L", matte.size), photograph.alpha)
    return matte


def compose(rgb: Image.Image, matte: Image.Image, ground: Ground) -> Image.Image:
    """Put a plain ground behind the subject; modes RGB and L in one size, RGB out."""
    level = GROUNDS[ground]
    return Image.composite(rgb, Image.new("RGB", rgb.size, (level, level, level)), matte)


def make_thumbnail(picture: Image.Image, limits: Limits = LIMITS) -> bytes:
    """Scale into the thumbnail's square, keeping the shape, as JPEG."""
    scale = min(1.0, limits.thumbnail_side / max(picture.size))
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    out = io.BytesIO()
    small = picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    small.save(out, "JPEG", quality=limits.thumbnail_quality)
    return out.getvalue()
