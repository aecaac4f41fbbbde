"""Convolutions as sums of matrix products against XLA's direct ones in float64."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from convolving import LAYOUT, assert_close, in_float64, output_and_gradients
from jax import lax

from casjax.models import products

# Of the largest magnitude of a result: float32 as everywhere, bfloat16 to its 8 bits.
TOLERANCE = {"float32": 1e-5, "bfloat16": 2**-7}

DTYPES = pytest.mark.parametrize("dtype", ["float32", "bfloat16"])


@pytest.fixture(autouse=True)
def short_strips(monkeypatch):
    monkeypatch.setattr(products, "PIXELS_PER_STRIP", 50)
    monkeypatch.setattr(products, "PIXELS_PER_GRADIENT_STRIP", 70)


def direct(x, kernel):
    return lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=LAYOUT)


def draw(shape, size, co, dtype):
    """x, kernel and output gradient of a dtype."""
    rng = np.random.default_rng(0)
    n, h, w, ci = shape
    shapes = (n, h, w, ci), (size, size, ci, co), (n, h + 1 - size, w + 1 - size, co)
    return [jnp.asarray(rng.normal(size=shape), dtype) for shape in shapes]


def assert_close_in(dtype, actual, expected):
    assert {array.dtype for array in actual} == {jnp.dtype(dtype)}
    assert_close(actual, expected, TOLERANCE[dtype])


@DTYPES
@pytest.mark.parametrize(
    ("shape", "size", "co"),
    [
        ((1, 1, 1, 1), 1, 1),  # a single pixel
        ((3, 2, 3, 5), 2, 3),  # one output pixel in a column
        ((1, 3, 3, 2), 3, 4),  # one output pixel, shorter than a strip
        ((2, 9, 40, 6), 3, 7),  # several strips, the last overlapping
        ((1, 10, 14, 3), 2, 2),
        ((5, 12, 13, 2), 7, 3),  # a strip over several images
    ],
)
def test_equals_direct_form(shape, size, co, dtype):
    arrays = draw(shape, size, co, dtype)
    found = jax.jit(partial(output_and_gradients, products.convolve))(*arrays)
    assert_close_in(dtype, found, in_float64(direct, arrays))


def test_sums_are_rounded_once():
    """9 * 300 terms: sums in bfloat16 would be wrong by several times its last bit."""
    x, kernel, _ = draw((1, 3, 3, 300), 3, 16, "bfloat16")
    y = products.convolve(x, kernel)
    exact = direct(x.astype(jnp.float32), kernel.astype(jnp.float32))
    assert jnp.all(jnp.abs(y - exact) <= jnp.abs(exact) * 2**-8 + 1e-4)


@DTYPES
def test_equals_direct_form_over_two_devices(dtype):
    arrays = draw((4, 6, 7, 5), 3, 3, dtype)
    x, kernel, dy = arrays

    @partial(jax.pmap, axis_name="devices", devices=jax.devices("cpu")[:2], in_axes=(0, None, 0))
    def shard(x, kernel, dy):
        y, dx, dkernel = output_and_gradients(products.convolve, x, kernel, dy)
        return y, dx, lax.psum(dkernel, "devices")

    y, dx, dkernel = shard(x.reshape(2, 2, *x.shape[1:]), kernel, dy.reshape(2, 2, *dy.shape[1:]))
    actual = y.reshape(dy.shape), dx.reshape(x.shape), dkernel[0]
    assert_close_in(dtype, actual, in_float64(direct, arrays))


@DTYPES
def test_invalid_values_stay_visible(dtype):
    x = jnp.full((1, 8, 8, 2), jnp.nan, dtype)
    assert jnp.isnan(products.convolve(x, jnp.ones((3, 3, 2, 2), dtype))).all()
