"""MATLAB's luma, compared with the formula in rational arithmetic and with scikit-image."""

import io
from fractions import Fraction
from math import floor

import numpy as np
import pytest
from PIL import Image
from skimage.color import rgb2ycbcr
from skimage.data import astronaut

from casjax.color import full_to_studio_range, rgb_to_luma, rgb_to_ycbcr, ycbcr_to_rgb


@pytest.mark.parametrize(
    ("rgb", "luma"),
    [
        ((0, 0, 0), 16),
        ((255, 255, 255), 235),
        ((255, 0, 0), 81),
        ((0, 255, 0), 145),
        ((0, 0, 255), 41),
    ],
)
def test_primaries(rgb: tuple[int, int, int], luma: int):
    assert rgb_to_luma(np.array(rgb, np.uint8)) == luma


def test_photograph_matches_scikit_image():
    luma = rgb2ycbcr(astronaut())[..., 0]
    assert np.array_equal(rgb_to_luma(astronaut()), np.floor(luma + 0.5))


def test_every_colour_is_within_half_a_level():
    """Exact integers: |255000 (Y - 16) - weighted sum| <= 127500, a tie only upwards."""
    green, blue = np.meshgrid(np.arange(256), np.arange(256), indexing="ij")
    for red in range(256):
        rgb = np.stack([np.full_like(green, red), green, blue], axis=-1)
        exact = rgb.astype(np.int64) @ np.array([65481, 128553, 24966])
        remainder = exact - 255_000 * (rgb_to_luma(rgb.astype(np.uint8)).astype(np.int64) - 16)
        assert remainder.min() >= -127_500
        assert remainder.max() < 127_500


def test_half_is_rounded_up():
    rgb = (0, 204, 68)  # one of the 194 colours whose luma lies half-way
    exact = 16 + Fraction(65481 * rgb[0] + 128553 * rgb[1] + 24966 * rgb[2], 255_000)
    assert exact - floor(exact) == Fraction(1, 2)
    assert rgb_to_luma(np.array(rgb, np.uint8)) == floor(exact) + 1


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8)]
)
def test_other_arrays_are_refused(image: np.ndarray):
    with pytest.raises(ValueError, match="uint8"):
        rgb_to_luma(image)


def test_jfif_colour_is_libjpegs():
    """Read from a file as YCbCr and as RGB: libjpeg's conversion is a rounding of the formula."""
    file = io.BytesIO()
    Image.fromarray(astronaut()).save(file, format="JPEG", quality=95, subsampling=0)
    stored, converted = Image.open(file), Image.open(io.BytesIO(file.getvalue()))
    stored.draft("YCbCr", stored.size)
    ours = np.clip(ycbcr_to_rgb(np.array(stored)), 0, 255)
    assert np.abs(ours - np.array(converted)).max() < 0.51


def test_jfif_colour_there_and_back():
    rgb = np.random.default_rng(0).integers(0, 256, (1000, 3), np.uint8)
    np.testing.assert_allclose(ycbcr_to_rgb(rgb_to_ycbcr(rgb)), rgb, atol=1e-3)
    grey = np.full(3, 77, np.uint8)
    np.testing.assert_allclose(rgb_to_ycbcr(grey), [77, 128, 128], atol=1e-4)


def test_the_two_lumas_are_one_in_two_ranges():
    studio = full_to_studio_range(rgb_to_ycbcr(astronaut())[..., 0])
    assert np.abs(studio - rgb_to_luma(astronaut())).max() <= 0.5 + 1e-3
