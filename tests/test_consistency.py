"""Projection onto what a JPEG file allows, with the codec of `casjax.jpeg` as the encoder."""

import numpy as np
import pytest
import scipy.fft
import skimage.data

from casjax.jpeg import degrade, quantization_table
from casjax.networks.consistency import ORTHONORMAL_DCT, project

CLEAN = skimage.data.camera()[100:171, 180:275]


@pytest.fixture(params=[10, 60])
def compressed(request):
    decoded = np.asarray(degrade(CLEAN[None, ..., None], request.param))[0, ..., 0]
    return decoded, np.asarray(quantization_table(request.param))


def block_distances(picture):
    squares = (picture[:64, :88] - CLEAN[:64, :88]) ** 2
    return squares.reshape(8, 8, 11, 8).sum((1, 3))


def test_the_transform_is_orthonormal():
    np.testing.assert_allclose(ORTHONORMAL_DCT @ ORTHONORMAL_DCT.T, np.eye(8), atol=1e-3)


def test_the_original_is_allowed(compressed):
    """Only the integers of libjpeg's DCT push a coefficient beyond its half step, by a little."""
    projected = project(CLEAN.astype(np.float32), *compressed)
    assert np.abs(projected - CLEAN)[:64, :88].max() < 0.5


def test_what_is_shown_is_allowed(compressed):
    decoded, steps = compressed
    projected = project(decoded.astype(np.float32), decoded, steps)
    assert np.abs(projected - decoded).max() < 0.5


def test_no_block_gets_farther_from_the_original(compressed):
    """The set is convex and holds the original, but for rounding in libjpeg's integer DCT."""
    decoded, steps = compressed
    guess = decoded + np.random.default_rng(0).normal(0, 40, decoded.shape).astype(np.float32)
    before, after = block_distances(guess), block_distances(project(guess, decoded, steps))
    assert (after <= before + 64 * 0.3**2).all()
    assert after.mean() < 0.9 * before.mean()


def test_every_coefficient_keeps_its_half_step(compressed):
    decoded, steps = compressed
    projected = project(255 - decoded.astype(np.float32), decoded, steps)
    compared = 0
    for top, left in np.ndindex(8, 11):
        block = np.s_[8 * top : 8 * top + 8, 8 * left : 8 * left + 8]
        if decoded[block].min() == 0 or decoded[block].max() == 255:
            continue
        compared += 1
        shown = np.rint(scipy.fft.dctn(decoded[block] - 128.0, norm="ortho") / steps) * steps
        kept = scipy.fft.dctn(projected[block] - 128.0, norm="ortho")
        assert (np.abs(kept - shown) <= steps / 2 + 0.05).all()
    assert compared > 50


def test_clipped_blocks_are_left_alone():
    """Ringing beyond white is cut off: the coefficients behind it cannot be told."""
    text = np.full((8, 8), 255, np.uint8)
    text[2:5, 3] = 0
    decoded = np.asarray(degrade(text[None, ..., None], 5))[0, ..., 0]
    assert (decoded == 255).any()
    guess = np.full((8, 8), 77, np.float32)
    projected = project(guess, decoded, np.asarray(quantization_table(5)))
    assert np.array_equal(projected, guess)
