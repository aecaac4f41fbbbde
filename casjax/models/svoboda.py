"""L4 and L8, the residual networks that CAS-CNN is compared with (Svoboda et al., WSCG 2016).

Both output the degraded picture plus an increment. Every layer pads its input by repeating the edge
(their paper does not say), and ReLU follows all but the last. Kernels are initialised as in He et
al. (ICCV 2015), the last one scaled by a hundredth: training starts near the degraded picture.
"""

from typing import ClassVar, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from casjax.models import convolutions
from casjax.models.chains import Convolution


class _ResidualNetwork(nn.Module):
    """The parts that both have in common.

    Attributes:
      dtype: ``"float32"`` or ``"bfloat16"``: the dtype of activations and products; the last
        layer, which outputs the increment, and the parameters are always float32.
      convolution: the formulation, see `casjax.models.convolutions.resolve`.
    """

    dtype: Literal["float32", "bfloat16"]
    convolution: convolutions.Formulation

    alignment: ClassVar[int] = 1

    def _hidden(self, name: str, size: int, features: int, x: jax.Array) -> jax.Array:
        return self._layer(name, size, features, self.dtype, variance=2.0)(x)

    def _increment(self, name: str, size: int, x: jax.Array) -> jax.Array:
        return self._layer(name, size, 1, "float32", variance=2e-4)(x)

    def _layer(
        self, name: str, size: int, features: int, dtype: str, *, variance: float
    ) -> Convolution:
        return Convolution(
            size,
            features,
            kernel_init=nn.initializers.variance_scaling(variance, "fan_in", "normal"),
            bias_init=lambda _, shape: jnp.zeros(shape[-1]),
            rectified=features > 1,
            dtype=dtype,
            convolution=self.convolution,
            name=name,
        )


class L4(_ResidualNetwork):
    """11x11x48, 3x3x64, 3x3x64, 5x5x1: 71,920 weights."""

    halo: ClassVar[int] = 5 + 1 + 1 + 2

    @nn.compact
    def __call__(self, degraded: jax.Array) -> tuple[jax.Array]:
        """Restore `degraded`, float [n, h, w, 1] in [0, 1], to a 1-tuple of the same shape."""
        x = self._hidden("conv1", 11, 48, degraded)
        x = self._hidden("conv2", 3, 64, x)
        x = self._hidden("conv3", 3, 64, x)
        return (degraded + self._increment("conv4", 5, x),)


class L8(_ResidualNetwork):
    """11x11x32, 3x3x64 three times, 1x1x64, 5x5x64, 1x1x128, 5x5x1: 220,064 weights.

    Both 1x1 layers take the 32 channels of the first layer besides the 64 of the previous one.
    """

    halo: ClassVar[int] = 5 + 1 + 1 + 1 + 0 + 2 + 0 + 2

    @nn.compact
    def __call__(self, degraded: jax.Array) -> tuple[jax.Array]:
        """Restore `degraded`, float [n, h, w, 1] in [0, 1], to a 1-tuple of the same shape."""
        first = self._hidden("conv1", 11, 32, degraded)
        x = self._hidden("conv2", 3, 64, first)
        x = self._hidden("conv3", 3, 64, x)
        x = self._hidden("conv4", 3, 64, x)
        x = self._hidden("conv5", 1, 64, jnp.concatenate([first, x], axis=-1))
        x = self._hidden("conv6", 5, 64, x)
        x = self._hidden("conv7", 1, 128, jnp.concatenate([first, x], axis=-1))
        return (degraded + self._increment("conv8", 5, x),)
