"""What the tests of the convolutions' formulations share: exact results, and how near they are.

Also the marks of those that need oneDNN.
"""

from functools import partial

import jax
import numpy as np
import pytest

from casjax.models.convolutions import probe

LAYOUT = ("NHWC", "HWIO", "NHWC")
NEEDS_ONEDNN, NEEDS_ITS_BFLOAT16 = (
    pytest.mark.skipif(not probe.onednn_works(dtype), reason=f"oneDNN is not used here in {dtype}")
    for dtype in ("float32", "bfloat16")
)


def output_and_gradients(convolve, *arrays):
    """What a function makes of all arrays but the last, and what its gradient makes of that."""
    *arguments, dy = arrays
    y, pull_back = jax.vjp(convolve, *arguments)
    return y, *pull_back(dy)


def in_float64(convolve, arrays):
    arrays = [np.asarray(array).astype(np.float64) for array in arrays]
    with jax.enable_x64(True):
        return jax.device_get(jax.jit(partial(output_and_gradients, convolve))(*arrays))


def assert_close(actual, expected, tolerance=1e-5):
    for i, (a, b) in enumerate(zip(actual, expected, strict=True)):
        what = "output" if i == 0 else f"gradient of argument {i}"
        assert a.shape == b.shape, what
        error = np.abs(np.asarray(a, np.float64) - b).max()
        assert error <= tolerance * np.abs(b).max(), what
