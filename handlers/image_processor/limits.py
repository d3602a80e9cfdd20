"""What a photograph may be, and the words with which another is refused."""

from dataclasses import dataclass

from handlers.common import image_constants


@dataclass(frozen=True)
class Limits:
    """What a photograph may be. The sides, threshold and thumbnail are the system's published constants.

    Parameters
    ----------
    max_bytes : int
        Size of the file.
    max_pixels : int
        Width times height as the file declares them, checked before anything is decoded: 20 kB of PNG can decode to
        gigabytes.
    max_declared_side : int
        Pixels; JPEG's own largest side (ITU-T T.81, B.2.2). A PNG of 1 x 80,000,000 costs gigabytes in row pointers.
    max_pixels_per_byte, sparse_above_pixels : int
        A picture of more than the second may not be more sparse than the first: flat colour deflates a thousandfold,
        photographs have a few pixels a byte.
    max_scans : int
        Of a progressive JPEG, each a pass over all pixels; encoders write about ten.
    max_scanned_pixels : int
        Scans times pixels.
    max_segments : int
        Parts of the container that carry no pixels (JPEG markers, PNG chunks, RIFF chunks).
    max_pixel_chunks : int
        Of a PNG; encoders write some thousand bytes into each, a million empty ones take seconds.
    max_exif_bytes, max_profile_bytes : int
        EXIF as stored; ICC profile as it inflates.
    max_side : int
        Pixels; a longer picture is scaled down to it.
    min_subject_side : int
        Pixels; a subject narrower or lower than this is no cut-out worth keeping.
    brightness_threshold : float
        0 to 255; a subject whose mean luma lies below gets a black ground, any other a white one.
    subject_confidence : float
        0 to 1; where the network is nowhere surer than this, there is no subject. Blank paper and noise stay below
        0.05, books reach 1.0.
    contrast : (float, float)
        Alpha, 0 to 1, that becomes fully transparent and fully opaque; between them it rises in a straight line. The
        network's mask is 320 pixels wide, so that its edge, scaled up, would be a halo of the old ground.
    """

    max_bytes: int = 30 * 1024 * 1024
    max_pixels: int = 80_000_000
    max_declared_side: int = 65_535
    max_pixels_per_byte: int = 200
    sparse_above_pixels: int = 10_000_000
    max_scans: int = 100
    max_scanned_pixels: int = 1_600_000_000
    max_segments: int = 2_000
    max_pixel_chunks: int = 20_000
    max_exif_bytes: int = 1024 * 1024
    max_profile_bytes: int = 4 * 1024 * 1024
    max_side: int = image_constants.MAX_SIDE
    min_subject_side: int = image_constants.MIN_SUBJECT_SIDE
    brightness_threshold: float = image_constants.BRIGHTNESS_THRESHOLD
    subject_confidence: float = 0.3
    contrast: tuple[float, float] = (0.3, 0.7)
    thumbnail_side: int = image_constants.THUMBNAIL_SIDE
    thumbnail_quality: int = image_constants.THUMBNAIL_QUALITY


LIMITS = Limits()


class PermanentError(Exception):
    """The photograph can never be processed, however often it is tried; `str()` is the reason, for people."""


class NoSubjectError(PermanentError):
    """The network finds nothing that stands out, or only something too small."""


class TooLargeError(PermanentError):
    """More bytes, pixels, scans or metadata than the limits allow."""


class BrokenFileError(PermanentError):
    """The file begins as a picture and does not decode."""


class UnsupportedFormatError(PermanentError):
    """Not a JPEG, PNG or WebP file."""
