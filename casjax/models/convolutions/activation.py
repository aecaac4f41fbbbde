"""A bias and PReLU, which follow a convolution."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array


class Activation(NamedTuple):
    """The float32 parameters of a layer besides its kernel.

    Attributes:
      bias: ``[c]``, added to the convolution.
      slope: ``[c]`` or ``[]``, by which negative values are then multiplied.
    """

    bias: Array
    slope: Array


def activate(y: Array, activation: Activation | None) -> Array:
    """Add a bias to ``[..., c]`` and apply PReLU, in float32; the result has the dtype of ``y``.

    None leaves ``y`` as it is.
    """
    if activation is None:
        return y
    return _activate(y, Activation(*(jnp.broadcast_to(v, y.shape[-1]) for v in activation)))


def gradients(y: Array, activation: Activation, dy: Array) -> tuple[Array, Array]:
    """Return the gradients of ``y`` and of the slope ``[c]``, from that of `activate`'s result.

    That of the bias is the sum of the former.
    """
    z = y.astype(jnp.float32) + activation.bias
    dslope = jnp.where(z < 0, z * dy, 0).sum(range(y.ndim - 1))
    return jnp.where(z < 0, activation.slope * dy, dy).astype(y.dtype), dslope


@jax.custom_vjp
def _activate(y: Array, activation: Activation) -> Array:
    z = y.astype(jnp.float32) + activation.bias
    return jnp.where(z >= 0, z, activation.slope * z).astype(y.dtype)


def _activate_backward(residuals: tuple[Array, Activation], dy: Array) -> tuple[Array, Activation]:
    y, activation = residuals
    dz, dslope = gradients(y, activation, dy)
    return dz, Activation(dz.astype(jnp.float32).sum(range(y.ndim - 1)), dslope)


_activate.defvjp(lambda *residuals: (_activate(*residuals), residuals), _activate_backward)
