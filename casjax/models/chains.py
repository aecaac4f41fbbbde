"""The building block of networks with one resolution: a convolution that keeps the size."""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike

from casjax.models import convolutions
from casjax.models.convolutions import Activation, activate, words


class Convolution(nn.Module):
    """A convolution whose input is padded by repeating its edge.

    Attributes:
      size: height and width of the kernel, odd.
      features: channels out.
      kernel_init: takes a key and the shape ``[size, size, channels in, features]``.
      bias_init: takes a key and the same shape; returns ``[features]``.
      rectified: whether ReLU follows.
      dtype: of activations and products; parameters are float32.
      convolution: the formulation, see `casjax.models.convolutions.resolve`.
    """

    size: int
    features: int
    kernel_init: Callable[[jax.Array, tuple[int, ...]], jax.Array]
    bias_init: Callable[[jax.Array, tuple[int, ...]], jax.Array]
    rectified: bool
    dtype: DTypeLike
    convolution: convolutions.Formulation

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map ``[n, h, w, c]`` to ``[n, h, w, features]``."""
        shape = (self.size, self.size, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape).astype(self.dtype)
        bias = self.param("bias", self.bias_init, shape)
        rim = self.size // 2
        x = extended(x, rim).astype(self.dtype)
        if self.features == 1:
            y = convolutions.conv_to_few([x], kernel, self.convolution)[:, rim:-rim, rim:-rim]
        else:
            y = convolutions.conv(x, kernel, self.convolution)
        return activate(y, Activation(bias, slope=jnp.float32(not self.rectified)))


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def extended(images: jax.Array, rim: int) -> jax.Array:
    """Repeat the edge of images ``[n, h, w, c]`` around them: ``[n, h + 2 rim, w + 2 rim, c]``.

    JAX's own gradient of this takes several times as long as the convolution.
    """
    if not rim:
        return images
    around = (rim, rim)
    padded = jnp.pad(words(images), ((0, 0), around, around, (0, 0)), mode="edge")
    return lax.bitcast_convert_type(padded, images.dtype)


def _extended_backward(rim: int, _: None, dy: jax.Array) -> tuple[jax.Array]:
    for axis in (1, 2) if rim else ():
        dy = _folded(dy, rim, axis)
    return (dy,)


def _folded(dy: jax.Array, rim: int, axis: int) -> jax.Array:
    """Add what lies beyond the edges of an axis to the edges."""
    size = dy.shape[axis] - 2 * rim
    if size == 1:
        return dy.sum(axis, keepdims=True)
    before, middle, behind = jnp.split(dy, [rim + 1, rim + size - 1], axis)
    parts = before.sum(axis, keepdims=True), middle, behind.sum(axis, keepdims=True)
    joined = jnp.concatenate([words(part) for part in parts], axis)
    return lax.bitcast_convert_type(joined, dy.dtype)


extended.defvjp(lambda images, rim: (extended(images, rim), None), _extended_backward)
