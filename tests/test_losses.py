"""The losses against plain computations and SciPy."""

from functools import partial

import jax
import numpy as np
import pytest
import scipy.ndimage

from casjax import metrics
from casjax.training.losses import edge_error, multiscale_loss


def test_each_output_is_compared_with_the_mean_of_its_pixels():
    rng = np.random.default_rng(0)
    clean = rng.random((2, 16, 24, 1), np.float32)
    outputs = [rng.random((2, 16 >> i, 24 >> i, 1), np.float32) for i in range(4)]
    errors = []
    for i, image in enumerate(outputs):
        size = 2**i
        reference = np.zeros_like(image)
        for row in range(image.shape[1]):
            for column in range(image.shape[2]):
                rows, columns = (
                    slice(row * size, (row + 1) * size),
                    slice(column * size, (column + 1) * size),
                )
                reference[:, row, column] = clean[:, rows, columns].mean((1, 2))
        errors.append(np.mean((image - reference) ** 2))
    weights = np.array([0.25, 0.25, 0.25, 0.25], np.float32)
    loss, mse = jax.jit(multiscale_loss)(outputs, clean, weights)
    assert loss == pytest.approx(np.mean(errors), rel=1e-5)
    assert mse == pytest.approx(errors[0], rel=1e-5)


def test_weights_choose_the_scales():
    clean = np.ones((1, 8, 8, 1), np.float32)
    outputs = [np.zeros((1, 8 >> i, 8 >> i, 1), np.float32) for i in range(4)]
    loss, mse = multiscale_loss(outputs, clean, np.array([1, 0, 0, 0], np.float32))
    assert loss == mse == 1


def test_psnr_is_the_mean_over_images_and_up_to_50_db():
    rng = np.random.default_rng(0)
    clean = rng.random((3, 16, 16, 1), np.float32)
    noise = np.array([0.1, 0.01, 0], np.float32)[:, None, None, None]
    image = clean + noise * rng.standard_normal(clean.shape).astype(np.float32)
    weights = np.ones(1, np.float32)
    loss, mse = jax.jit(partial(multiscale_loss, measure="psnr"))([image], clean, weights)
    assert mse == pytest.approx(np.mean((image - clean) ** 2), rel=1e-5)
    psnr = [float(metrics.psnr(*pair, peak=1.0)) for pair in zip(image, clean, strict=True)]
    assert loss == pytest.approx(-np.mean([*psnr[:2], 50]), abs=0.2)

    def of_image(scale):
        return multiscale_loss([clean + scale * noise], clean, weights, measure="psnr")[0]

    # Doubling the errors of all images costs 6 dB of those that have any.
    np.testing.assert_allclose(of_image(2) - of_image(1), 20 * np.log10(2) * 2 / 3, rtol=0.05)


def test_as_many_weights_as_outputs():
    with pytest.raises(ValueError, match="4 loss weights for 1 outputs"):
        multiscale_loss([np.ones((1, 8, 8, 1))], np.ones((1, 8, 8, 1)), np.ones(4))


def test_edge_error_is_that_of_scipys_sobel_derivatives():
    rng = np.random.default_rng(0)
    clean, restored = rng.random((2, 2, 9, 12, 1), np.float32)
    errors = []
    for error in (restored - clean)[..., 0]:
        derivatives = [scipy.ndimage.sobel(error, axis) / 8 for axis in (0, 1)]
        errors.append(sum(d[1:-1, 1:-1] ** 2 for d in derivatives))
    assert jax.jit(edge_error)(restored, clean) == pytest.approx(np.mean(errors), rel=1e-5)


def test_edge_error_is_the_squared_slope_of_a_ramp():
    rows, columns = np.mgrid[:8, :10].astype(np.float32)
    restored = (0.03 * rows - 0.04 * columns)[None, ..., None]
    assert edge_error(restored, np.zeros_like(restored)) == pytest.approx(0.05**2, rel=1e-4)
