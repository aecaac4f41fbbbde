"""Initial weights and biases of the layers."""

from typing import Literal

import jax
import jax.numpy as jnp

Kind = Literal["conv", "full_conv", "output", "increment"]
Initializer = Literal["paper", "image_carrying"]


def initial_kernel(
    initializer: Initializer, kind: Kind, key: jax.Array, shape: tuple[int, ...]
) -> jax.Array:
    """Return a layer's initial weights, float32 ``shape`` = ``[k, k, c_in, c_out]``.

    ``"paper"``: uniform in ±c_in^-1/2 (Section III-A).
    ``"image_carrying"``: the first channel of each block passes the image through, and each output
    copies that channel at its own scale and weights the others by a tenth; all other weights are
    uniform in ±(k k c_in)^-1/2, Torch's own default, except those to increments, of chroma or of
    all in a residual network, which are zero. Training starts from the degraded image instead of
    far below it.
    """
    limit = _uniform_limit(initializer, shape)
    kernel = jax.random.uniform(key, shape, minval=-limit, maxval=limit)
    if initializer == "paper" or kind == "full_conv":
        return kernel
    if kind == "increment":
        return jnp.zeros_like(kernel)
    kernel = (kernel * 0.1).at[..., 1:].set(0) if kind == "output" else kernel.at[..., 0].set(0)
    middle = shape[0] // 2
    return kernel.at[:, :, 0, 0].set(0).at[middle, middle, 0, 0].set(1)


def initial_bias(
    initializer: Initializer, kind: Kind, key: jax.Array, shape: tuple[int, ...]
) -> jax.Array:
    """Return a layer's initial biases, float32 ``[c_out]``; see `initial_kernel`."""
    limit = _uniform_limit(initializer, shape)
    bias = jax.random.uniform(key, shape[-1:], minval=-limit, maxval=limit)
    if initializer == "paper" or kind == "full_conv":
        return bias
    return bias.at[0].set(0) if kind == "conv" else jnp.zeros_like(bias)


def _uniform_limit(initializer: Initializer, shape: tuple[int, ...]) -> float:
    fan_in = shape[2] if initializer == "paper" else shape[0] * shape[1] * shape[2]
    return fan_in**-0.5
