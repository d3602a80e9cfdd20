import io
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from handlers.image_processor import png

PICTURES = st.one_of(
    arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=40)),
    array_shapes(min_dims=2, max_dims=2, max_side=40).flatmap(
        lambda shape: st.sampled_from((1, 3, 4)).flatmap(lambda channels: arrays(np.uint8, (*shape, channels)))
    ),
)


def decoded(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data), formats=["PNG"]) as picture:
        return np.asarray(picture)


@settings(max_examples=60, deadline=None)
@given(pixels=PICTURES, threads=st.integers(1, 5))
def test_every_picture_comes_back_as_it_went_in(pixels, threads):
    back = decoded(png.encode(pixels, threads))
    assert np.array_equal(back, pixels.squeeze(2) if pixels.shape[2:] == (1,) else pixels)


@given(first=st.binary(max_size=300), second=st.binary(max_size=300))
def test_joined_checksums_are_the_checksum_of_the_whole(first, second):
    assert png.join_adler32(zlib.adler32(first), zlib.adler32(second), len(second)) == zlib.adler32(first + second)


def test_a_checksum_joins_over_pieces_longer_than_its_modulus():
    first, second = bytes(range(256)) * 700, b"\xff" * 200_000
    assert png.join_adler32(zlib.adler32(first), zlib.adler32(second), len(second)) == zlib.adler32(first + second)


def test_the_same_pixels_give_the_same_bytes():
    pixels = np.random.default_rng(1).integers(0, 255, (301, 200, 3), np.uint8)
    assert png.encode(pixels) == png.encode(pixels.copy())


def test_a_slice_of_a_larger_array_is_encoded_by_its_own_pixels():
    whole = np.random.default_rng(2).integers(0, 255, (60, 80, 3), np.uint8)
    assert np.array_equal(decoded(png.encode(whole[10:30, 5:25])), whole[10:30, 5:25])


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((4, 4), np.uint16),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4, 3), np.float32),
    ],
    ids=["16 bits", "two channels", "no rows", "floats"],
)
def test_what_png_cannot_hold_here_is_refused_by_dtype_and_shape(pixels):
    with pytest.raises(ValueError, match="8-bit pixels with 1, 3 or 4 channels"):
        png.encode(pixels)
