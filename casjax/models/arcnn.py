"""AR-CNN, a four-layer network that CAS-CNN is compared with (Dong et al., ICCV 2015)."""

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from casjax.models import convolutions
from casjax.models.chains import Convolution
from casjax.models.initial import Initializer, Kind, initial_bias, initial_kernel

DEVIATION = 0.001  # of the normal distribution of the AR-CNN paper's first kernels


class ARCNN(nn.Module):
    """Feature extraction 9x9x64, enhancement 7x7x32, mapping 1x1x16, reconstruction 5x5x1.

    Every layer pads its input by repeating the edge, ReLU follows all but the last, and the output
    is the picture itself, not a residual: 106,561 parameters.

    Attributes:
      initializer: ``"paper"``, kernels from a normal distribution of deviation 0.001 and zero
        biases, or ``"image_carrying"`` which starts from the identity; see `initial_kernel`.
      dtype: ``"float32"`` or ``"bfloat16"``: the dtype of activations and products; the last
        layer, which outputs the picture, and the parameters are always float32.
      convolution: the formulation, see `casjax.models.convolutions.resolve`.
    """

    initializer: Initializer
    dtype: Literal["float32", "bfloat16"]
    convolution: convolutions.Formulation

    alignment: ClassVar[int] = 1
    halo: ClassVar[int] = 4 + 3 + 0 + 2

    @nn.compact
    def __call__(self, degraded: jax.Array) -> tuple[jax.Array]:
        """Restore `degraded`, float [n, h, w, 1] in [0, 1], to a 1-tuple of the same shape."""
        features = self._layer("conv1", 9, 64)(degraded)
        enhanced = self._layer("conv2", 7, 32)(features)
        mapped = self._layer("conv3", 1, 16)(enhanced)
        return (self._layer("conv4", 5, 1, output=True)(mapped),)

    def _layer(self, name: str, size: int, features: int, *, output: bool = False) -> Convolution:
        if self.initializer == "paper":
            kernel_init, bias_init = nn.initializers.normal(DEVIATION), _no_bias
        else:
            kind: Kind = "output" if output else "conv"
            kernel_init = partial(initial_kernel, self.initializer, kind)
            bias_init = partial(initial_bias, self.initializer, kind)
        return Convolution(
            size,
            features,
            kernel_init=kernel_init,
            bias_init=bias_init,
            rectified=not output,
            dtype="float32" if output else self.dtype,
            convolution=self.convolution,
            name=name,
        )


def _no_bias(_: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    return jnp.zeros(shape[-1])


def parameters_from_matlab(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Convert the authors' released weights to the parameters of `ARCNN`.

    Args:
      arrays: what `scipy.io.loadmat` reads from one of the released `.mat` files:
        `weights_conv1`, `_conv2`, `_conv22` and `_conv3`, each [channels in, height * width,
        channels out] with rows varying fastest, and `biases_*` with them.

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
