"""The building block of networks with one resolution: a convolution that keeps the size."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from casjax.models import convolutions


class Convolution(nn.Module):
    """A convolution whose input is padded by repeating its edge.

    Attributes:
      size: height and width of the kernel, odd.
      features: channels out.
      kernel_init: takes a key and the shape ``[size, size, channels in, features]``.
      bias_init: takes a key and the same shape; returns ``[features]``.
      dtype: of activations and products; parameters are float32.
      convolution: the formulation, see `casjax.models.convolutions.resolve`.
    """

    size: int
    features: int
    kernel_init: Callable[[jax.Array, tuple[int, ...]], jax.Array]
    bias_init: Callable[[jax.Array, tuple[int, ...]], jax.Array]
    dtype: DTypeLike
    convolution: convolutions.Formulation

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map ``[n, h, w, c]`` to ``[n, h, w, features]``."""
        shape = (self.size, self.size, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape).astype(self.dtype)
        bias = self.param("bias", self.bias_init, shape).astype(self.dtype)
        rim = self.size // 2
        x = jnp.pad(x.astype(self.dtype), ((0, 0), (rim, rim), (rim, rim), (0, 0)), mode="edge")
        if self.features == 1:
            y = convolutions.conv_to_few([x], kernel, self.convolution)[:, rim:-rim, rim:-rim]
        else:
            y = convolutions.conv(x, kernel, self.convolution)
        return y + bias
