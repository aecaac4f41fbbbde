"""Winograd convolutions against XLA's direct ones in float64, and their matrices exactly."""

from fractions import Fraction
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from convolving import LAYOUT, assert_close, in_float64, output_and_gradients
from jax import lax

from casjax.models.convolutions import winograd
from casjax.models.convolutions.activation import Activation

SIZES = pytest.mark.parametrize("size", [2, 3])


def direct(x, kernel):
    return lax.conv_general_dilated(x, kernel, (1, 1), ((1, 1), (1, 1)), dimension_numbers=LAYOUT)


def convolve(x, kernel):
    return winograd.convolve(x, kernel, None)


def activated(x, kernel, bias, slope):
    """What the direct form convolves, with a bias and PReLU."""
    z = direct(x, kernel) + bias
    return jnp.where(z >= 0, z, slope * z)


def draw(shape, size, co, seed=0):
    """Float64 x, kernel and output gradient whose values float32 can hold."""
    rng = np.random.default_rng(seed)
    n, h, w, ci = shape
    shapes = (n, h, w, ci), (size, size, ci, co), (n, h + 3 - size, w + 3 - size, co)
    return [rng.normal(size=shape).astype(np.float32).astype(np.float64) for shape in shapes]


def in_float32(convolve, arrays):
    return jax.jit(partial(output_and_gradients, convolve))(*(a.astype(np.float32) for a in arrays))


@SIZES
@pytest.mark.parametrize(
    ("shape", "co"),
    [
        ((1, 1, 1, 1), 1),
        ((3, 2, 1, 17), 3),
        ((1, 9, 33, 16), 1),
        ((2, 15, 15, 3), 17),
    ],
)
def test_equals_direct_form(size, shape, co):
    arrays = draw(shape, size, co)
    assert_close(in_float32(convolve, arrays), in_float64(direct, arrays))


@SIZES
@pytest.mark.parametrize("shape", [(1, 50, 61, 3), (9, 14, 14, 3)])
def test_equals_direct_form_over_several_strips(size, shape, monkeypatch):
    monkeypatch.setattr(winograd, "TILES_PER_STRIP", 60)
    arrays = draw(shape, size, co=4)
    assert winograd._tile_grid(shape, size).strips > 1
    assert_close(in_float32(convolve, arrays), in_float64(direct, arrays))


@SIZES
@pytest.mark.parametrize(("shape", "co"), [((2, 15, 15, 3), 17), ((1, 50, 61, 3), 4)])
def test_activates_as_the_direct_form(size, shape, co, monkeypatch):
    monkeypatch.setattr(winograd, "TILES_PER_STRIP", 60)
    x, kernel, dy = draw(shape, size, co)
    bias, slope = np.linspace(-2, 2, co), np.linspace(-0.5, 1.5, co)
    arrays = x, kernel, bias.astype(np.float32), slope.astype(np.float32), dy

    def found(x, kernel, bias, slope):
        return winograd.convolve(x, kernel, Activation(bias, slope))

    expected = in_float64(activated, arrays)
    assert_close(in_float32(found, arrays), expected)
    inputs = (a.astype(np.float32) for a in arrays[:-1])
    assert_close([jax.jit(found)(*inputs)], expected[:1])


@SIZES
def test_equals_direct_form_over_two_devices(size):
    arrays = draw((4, 6, 7, 5), size, co=3)
    x, kernel, dy = (a.astype(np.float32) for a in arrays)

    @partial(jax.pmap, axis_name="devices", devices=jax.devices("cpu")[:2], in_axes=(0, None, 0))
    def shard(x, kernel, dy):
        y, dx, dkernel = output_and_gradients(convolve, x, kernel, dy)
        return y, dx, lax.psum(dkernel, "devices")

    y, dx, dkernel = shard(x.reshape(2, 2, 6, 7, 5), kernel, dy.reshape(2, 2, *dy.shape[1:]))
    actual = y.reshape(dy.shape), dx.reshape(x.shape), dkernel[0]
    assert_close(actual, in_float64(direct, arrays))


def test_invalid_values_stay_visible():
    x = np.full((1, 8, 8, 2), np.nan, np.float32)
    assert np.isnan(convolve(x, np.ones((3, 3, 2, 2), np.float32))).all()


@SIZES
def test_matrices_filter_exactly(size):
    b_transposed, g, a_transposed = (
        [[Fraction(value).limit_denominator(24) for value in row] for row in matrix]
        for matrix in winograd.MATRICES[size]
    )
    for i, a in enumerate(a_transposed):
        for k in range(size):
            for position in range(len(b_transposed)):
                weight = sum(a[j] * g[j][k] * b_transposed[j][position] for j in range(len(g)))
                assert weight == (position == i + k)
