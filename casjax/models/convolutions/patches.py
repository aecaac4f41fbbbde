"""Convolution of an image, which has few channels: its fast form on CPUs.

Forwards it is XLA's own. Backwards that would transpose all of the result in memory to sum over its
pixels. Here images are taken one by one, and a matrix product of what each tap sees of an image
with the gradient sums over its pixels.
"""

import jax
import jax.numpy as jnp
from jax import Array, lax

from casjax.models.convolutions.activation import Activation, activate

MOST_CHANNELS = 8

_Residuals = tuple[Array, Array, Activation | None, Array]


@jax.custom_vjp
def convolve(x: Array, kernel: Array, activation: Activation | None) -> Array:
    """Convolves with stride 1, without padding, and activates.

    Args:
      x: float32 or bfloat16 [n, h, w, ci], h and w at least k.
      kernel: [k, k, ci, c], the same dtype.
      activation: of the c channels; None leaves them as they are.

    Returns:
      [n, h + 1 - k, w + 1 - k, c], the same dtype.
    """
    return _convolve_forward(x, kernel, activation)[0]


def _convolve_forward(
    x: Array, kernel: Array, activation: Activation | None
) -> tuple[Array, _Residuals]:
    y = _direct(x, kernel)
    return activate(y, activation), (x, kernel, activation, y)


def _convolve_backward(residuals: _Residuals, dy: Array) -> tuple[Array, Array, Activation | None]:
    x, kernel, activation, y = residuals
    size, _, ci, c = kernel.shape
    n, h, w, _ = y.shape

    def add_image(image: Array, sums: tuple[Array, Array]) -> tuple[Array, Array]:
        dtaps, dslope = sums
        dz = dy[image]
        if activation is not None:
            z = y[image].astype(jnp.float32) + activation.bias
            dslope += jnp.where(z < 0, z * dz, 0).sum((0, 1))
            dz = _before(activation, z, dz)
        by_taps = [
            x[image, i : i + h, j : j + w, channel]
            for i in range(size)
            for j in range(size)
            for channel in range(ci)
        ]
        by_bias = jnp.ones((h, w), x.dtype)
        seen = jnp.stack([*by_taps, by_bias]).reshape(-1, h * w)
        dtaps += lax.dot(seen, dz.reshape(-1, c), preferred_element_type=jnp.float32)
        return dtaps, dslope

    zeros = jnp.zeros((size**2 * ci + 1, c)), jnp.zeros(c)
    dtaps, dslope = lax.fori_loop(0, n, add_image, zeros)
    dkernel = dtaps[:-1].reshape(kernel.shape).astype(kernel.dtype)
    dz = dy
    if activation is not None:
        dz = _before(activation, y.astype(jnp.float32) + activation.bias, dy)
    dx = jax.linear_transpose(lambda x: _direct(x, kernel), x)(dz)[0]
    return dx, dkernel, None if activation is None else Activation(dtaps[-1], dslope)


convolve.defvjp(_convolve_forward, _convolve_backward)


def _before(activation: Activation, z: Array, dy: Array) -> Array:
    return jnp.where(z < 0, activation.slope * dy, dy).astype(dy.dtype)


def _direct(x: Array, kernel: Array) -> Array:
    return lax.conv_general_dilated(
        x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
