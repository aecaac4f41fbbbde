"""What follows a convolution: a bias and PReLU."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array


class Activation(NamedTuple):
    """The float32 parameters of a layer besides its kernel.

    Attributes:
      bias: ``[c]``, added to the convolution.
      slope: ``[c]`` or ``[]``, by which what is negative then is multiplied.
    """

    bias: Array
    slope: Array


def activate(y: Array, activation: Activation | None) -> Array:
    """Adds a bias to ``[..., c]`` and applies PReLU, in float32, to the dtype of ``y``.

    None leaves ``y`` as it is.
    """
    if activation is None:
        return y
    return _activate(y, Activation(*(jnp.broadcast_to(v, y.shape[-1]) for v in activation)))


def gradients(y: Array, activation: Activation, dy: Array) -> tuple[Array, Array]:
    """The gradients of `activate` for that of its result: of ``y``, and of the slope ``[c]``.

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
