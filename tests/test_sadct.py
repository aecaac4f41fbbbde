import functools

import numpy as np
import pytest
from scipy import fft
from skimage import data

from casjax.datasets import open_source
from casjax.evaluation import sadct
from casjax.evaluation.sadct import (
    DIRECTIONS,
    THRESHOLDING_LENGTHS,
    ShapeAdaptiveDCT,
    adaptive_scales,
    noise_level,
    octagons,
    restore,
)
from casjax.jpeg import degrade
from casjax.metrics import psnr

LONGEST = len(THRESHOLDING_LENGTHS) - 1
scales_at_gamma_2 = functools.partial(adaptive_scales, gamma=2.0)


def test_the_transform_of_regions_with_gaps_is_orthonormal():
    mask = np.random.default_rng(0).random((1, 9, 9)) < 0.5
    dct = ShapeAdaptiveDCT(mask)
    [size] = dct.sizes
    assert size == mask.sum()
    basis = np.stack([dct.forward(unit) for unit in np.eye(size, dtype=np.float32)])
    np.testing.assert_allclose(basis @ basis.T, np.eye(size), atol=1e-6)


def test_the_inverse_restores_many_regions_at_once():
    rng = np.random.default_rng(1)
    # More lines of a length than one matrix product takes, and regions with nothing in a column.
    masks = rng.random((50, 9, 9)) < rng.random((50, 1, 1))
    dct = ShapeAdaptiveDCT(masks)
    values = rng.standard_normal(masks.sum(), np.float32)
    coefficients = dct.forward(values)
    np.testing.assert_allclose(dct.inverse(coefficients), values, atol=1e-5)

    squares = [np.bincount(order.region, x**2) for order, x in dct_orders(dct, values)]
    np.testing.assert_allclose(*squares, rtol=1e-5)


def dct_orders(dct, values):
    return (dct.columns, values), (dct.rows, dct.forward(values))


def test_the_transform_of_a_square_is_the_common_dct():
    mask = np.zeros((1, 9, 9), bool)
    mask[0, :8, 1:] = True
    block = np.random.default_rng(2).standard_normal((8, 8)).astype(np.float32)
    dct = ShapeAdaptiveDCT(mask)
    coefficients = dct.forward(block[dct.columns.line, dct.columns.place - 1])
    found = np.empty((8, 8), np.float32)
    found[dct.rows.place, dct.rows.line] = coefficients
    np.testing.assert_allclose(found, fft.dctn(block, norm="ortho"), atol=1e-5)


def test_lines_stop_at_an_edge():
    picture = np.zeros((32, 32), np.float32)
    picture[:, 16:] = 1
    scales = scales_at_gamma_2(picture, sigma=0.05)
    right, down, left = (DIRECTIONS.index(d) for d in ((1, 0), (0, 1), (-1, 0)))
    for distance in range(1, 12):
        fitting = [length for length in THRESHOLDING_LENGTHS if length <= distance]
        longest = THRESHOLDING_LENGTHS.index(fitting[-1])
        assert (scales[:, 16 - distance, right] == longest).all()
        assert (scales[:, 15 + distance, left] == longest).all()
    assert (scales[..., down] == LONGEST).all()


def test_estimates_lie_between_the_mean_and_the_fitted_line():
    for length in THRESHOLDING_LENGTHS[1:]:
        constant, slope = sadct._weights(length)
        weights = constant + slope * np.arange(length)
        share = sadct.LINEAR[THRESHOLDING_LENGTHS.index(length)]
        assert weights.sum() == pytest.approx(1, abs=1e-6)
        bias = weights @ np.arange(length)  # of the estimate of 0, the first pixel of a slope of 1
        assert bias == pytest.approx((1 - share) * (length - 1) / 2, abs=1e-5)


def test_lines_of_a_diagonal_edge_run_along_it():
    picture = np.triu(np.ones((32, 32), np.float32))
    scales = scales_at_gamma_2(picture, sigma=0.05)
    on_edge = np.arange(10, 22)
    along, against = DIRECTIONS.index((1, 1)), DIRECTIONS.index((-1, 1))
    assert (scales[on_edge, on_edge, along] == LONGEST).all()
    assert (scales[on_edge, on_edge, against] == 0).all()


def test_lines_cross_an_edge_weaker_than_the_noise():
    picture = np.zeros((32, 32), np.float32)
    picture[:, 16:] = 0.01
    assert (scales_at_gamma_2(picture, sigma=0.05) == LONGEST).all()


def test_octagons_span_the_ends_of_their_lines():
    scales = np.zeros((4, 8), int)
    scales[1] = LONGEST
    scales[2, DIRECTIONS.index((1, 0))] = LONGEST
    scales[3, [DIRECTIONS.index((1, 0)), DIRECTIONS.index((1, 1))]] = 2  # 3 pixels
    point, square, line, triangle = octagons(scales, THRESHOLDING_LENGTHS)
    assert np.argwhere(point).tolist() == [[8, 8]]
    assert square.all()
    assert np.argwhere(line).tolist() == [[x, 8] for x in range(8, 17)]
    # The triangle between its two lines, and no more.
    assert triangle[8:11, 8:11].tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    assert triangle.sum() == 6


def test_noise_level_of_quality_20():
    # The nine steps of quality 20 are Annex K's, 118 in sum, times 2.5.
    grey_levels = 255 * noise_level(20)
    np.testing.assert_allclose(grey_levels**2, 0.69 * (2.5 * 118 / 9) ** 1.3, rtol=0.02)


@pytest.mark.parametrize("shape", [(1, 1), (3, 20), (24, 17)])
@pytest.mark.parametrize("grey", [0, 77, 255])
def test_a_constant_image_stays(shape, grey):
    image = np.full((2, *shape, 1), grey, np.uint8)
    restored = restore(image, quality=20)
    assert restored.dtype == np.uint8
    np.testing.assert_array_equal(restored, image)


def test_each_image_is_restored_alone():
    images = np.random.default_rng(3).integers(0, 256, (2, 20, 24, 1), np.uint8)
    apart = [restore(image[None], quality=10) for image in images]
    np.testing.assert_array_equal(restore(images, quality=10), np.concatenate(apart))


def test_a_photograph_gains():
    clean = data.camera()[None, 96:224, 176:304, None]
    degraded = np.asarray(degrade(clean, 20))
    [before], [after] = psnr(degraded, clean), psnr(restore(degraded, quality=20), clean)
    assert after - before > 0.3


@pytest.mark.parametrize(
    ("image", "quality", "message"),
    [
        (np.zeros((8, 8), np.uint8), 20, r"expected uint8 \[n, h, w, 1\]"),
        (np.zeros((1, 8, 8, 3), np.uint8), 20, r"expected uint8 \[n, h, w, 1\]"),
        (np.zeros((1, 8, 8, 1), np.float32), 20, r"expected uint8 \[n, h, w, 1\]"),
        (np.zeros((1, 8, 8, 1), np.uint8), 0, "must lie in 1..100"),
        (np.zeros((1, 8, 8, 1), np.uint8), np.array([20]), "one quality"),
    ],
)
def test_mistakes_are_named(image, quality, message):
    with pytest.raises(ValueError, match=message):
        restore(image, quality=quality)


@pytest.mark.slow
@pytest.mark.parametrize(("quality", "published"), [(10, 28.65), (20, 30.81), (40, 32.99)])
def test_live1_row(data_dir, quality, published):
    """Table II of the CAS-CNN paper, mean PSNR in dB."""
    source = open_source("live1", images_dir=str(data_dir), seed=0)
    scores = []
    for i in range(len(source)):
        clean = source[i][None, :, :, None]
        restored = restore(degrade(clean, quality), quality=quality)
        scores.append(float(psnr(restored, clean)[0]))
    assert abs(np.mean(scores) - published) < 0.06
