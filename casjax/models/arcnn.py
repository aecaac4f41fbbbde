"""AR-CNN, the four-layer network that CAS-CNN is compared with (Dong et al., ICCV 2015)."""

from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.typing import DTypeLike


class ARCNN(nn.Module):
    """Feature extraction 9x9x64, enhancement 7x7x32, mapping 1x1x16, reconstruction 5x5x1.

    Every layer sees its input continued by its edge, ReLU follows all but the last, and the
    output is the picture itself, not a residual: 106,561 parameters.

    Attributes:
      kernel_deviation: standard deviation of the normal distribution that the initial
        kernels are drawn from; the AR-CNN paper's 0.001.
      dtype: type that the layers compute in, `float32` or `bfloat16`; the parameters and
        the last layer, which has one channel and makes the picture, are always `float32`.
    """

    alignment: ClassVar[int] = 1
    receptive_radius: ClassVar[int] = 4 + 3 + 0 + 2

    kernel_deviation: float = 0.001
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, degraded: jax.Array) -> tuple[jax.Array]:
        """Restore `degraded`, float [n, h, w, 1] in [0, 1], to a 1-tuple of the same shape."""
        features = nn.relu(self._layer("conv1", degraded, size=9, channels=64, dtype=self.dtype))
        enhanced = nn.relu(self._layer("conv2", features, size=7, channels=32, dtype=self.dtype))
        mapped = nn.relu(self._layer("conv3", enhanced, size=1, channels=16, dtype=self.dtype))
        return (self._layer("conv4", mapped, size=5, channels=1, dtype=jnp.float32),)

    def _layer(
        self, name: str, x: jax.Array, *, size: int, channels: int, dtype: DTypeLike
    ) -> jax.Array:
        border = size // 2
        padded = jnp.pad(x, ((0, 0), (border, border), (border, border), (0, 0)), mode="edge")
        convolution = nn.Conv(
            channels,
            (size, size),
            padding="VALID",
            kernel_init=nn.initializers.normal(self.kernel_deviation),
            dtype=dtype,
            name=name,
        )
        return convolution(padded)


def parameters_from_matlab(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Arrange the authors' released weights as the parameters of `ARCNN`.

    Args:
      arrays: what `scipy.io.loadmat` reads from one of the released `.mat` files:
        `weights_conv1`, `_conv2`, `_conv22` and `_conv3`, each [channels in, height * width,
        channels out] with rows running fastest, and `biases_*` beside them.

    Returns:
      The tree under `params`, float32.

    Raises:
      ValueError: if an array is missing.
    """
    layers = {"conv1": "conv1", "conv2": "conv2", "conv3": "conv22", "conv4": "conv3"}
    missing = {f"{kind}_{layer}" for kind in ("weights", "biases") for layer in layers.values()}
    missing -= arrays.keys()
    if missing:
        raise ValueError(f"not AR-CNN's released weights: no array {', '.join(sorted(missing))}")
    return {
        ours: {
            "kernel": _kernel_from_matlab(arrays[f"weights_{theirs}"]),
            "bias": np.asarray(arrays[f"biases_{theirs}"], np.float32).reshape(-1),
        }
        for ours, theirs in layers.items()
    }


def _kernel_from_matlab(weights: np.ndarray) -> np.ndarray:
    channels_in, area = weights.shape[:2]
    size = round(area**0.5)
    by_column = np.asarray(weights, np.float32).reshape(channels_in, size, size, -1)
    return by_column.transpose(2, 1, 0, 3)
