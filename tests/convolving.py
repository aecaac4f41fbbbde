"""What the tests of the convolutions' formulations share: exact results, and how near they are."""

from functools import partial

import jax
import numpy as np

LAYOUT = ("NHWC", "HWIO", "NHWC")


def output_and_gradients(convolve, x, kernel, dy):
    y, pull_back = jax.vjp(convolve, x, kernel)
    return y, *pull_back(dy)


def in_float64(convolve, arrays):
    arrays = [np.asarray(array).astype(np.float64) for array in arrays]
    with jax.enable_x64(True):
        return jax.device_get(jax.jit(partial(output_and_gradients, convolve))(*arrays))


def assert_close(actual, expected, tolerance=1e-5):
    for name, a, b in zip(("output", "dx", "dkernel"), actual, expected, strict=True):
        assert a.shape == b.shape, name
        error = np.abs(np.asarray(a, np.float64) - b).max()
        assert error <= tolerance * np.abs(b).max(), name
