"""Convolutions of an image against XLA's direct ones in float64."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from convolving import LAYOUT, assert_close, in_float64, output_and_gradients
from jax import lax

from casjax.models.convolutions import patches
from casjax.models.convolutions.activation import Activation


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("bfloat16", 2**-7)])
@pytest.mark.parametrize(("size", "channels"), [(3, 1), (11, 1), (3, 5)])
def test_equals_direct_form(size, channels, dtype, tolerance):
    rng = np.random.default_rng(0)
    shapes = (3, 12, 14, channels), (size, size, channels, 5), (3, 13 - size, 15 - size, 5)
    x, kernel, dy = (jnp.asarray(rng.normal(size=shape), dtype) for shape in shapes)
    activation = Activation(jnp.linspace(-1, 1, 5), jnp.linspace(-0.5, 1.5, 5))

    def found(x, kernel, bias, slope):
        return patches.convolve(x, kernel, Activation(bias, slope))

    def expected(x, kernel, bias, slope):
        y = lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=LAYOUT)
        return jnp.where(y + bias >= 0, y + bias, slope * (y + bias))

    arrays = x, kernel, *activation, dy
    actual = jax.jit(partial(output_and_gradients, found))(*arrays)
    assert_close(actual, in_float64(expected, arrays), tolerance)
    plain = jax.jit(partial(output_and_gradients, lambda *a: patches.convolve(*a, None)))
    without = in_float64(
        lambda x, kernel: lax.conv_general_dilated(
            x, kernel, (1, 1), "VALID", dimension_numbers=LAYOUT
        ),
        (x, kernel, dy),
    )
    assert_close(plain(x, kernel, dy), without, tolerance)
