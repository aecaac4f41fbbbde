"""What follows a convolution: a bias and PReLU."""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Activation(NamedTuple):
    """The float32 parameters of a layer besides its kernel.

    Attributes:
      bias: ``[c]``, added to the convolution.
      slope: ``[c]`` or ``[]``, by which what is negative then is multiplied.
    """

    bias: jax.Array
    slope: jax.Array


def activate(y: jax.Array, activation: Activation | None) -> jax.Array:
    """Adds a bias to ``[..., c]`` and applies PReLU, in float32, to the dtype of ``y``.

    None leaves ``y`` as it is.
    """
    return y if activation is None else _activate(y, activation)


@jax.checkpoint  # Its gradient keeps y alone, and computes the rest anew while it reads that.
def _activate(y: jax.Array, activation: Activation) -> jax.Array:
    z = y.astype(jnp.float32) + activation.bias
    return jnp.where(z >= 0, z, activation.slope * z).astype(y.dtype)
