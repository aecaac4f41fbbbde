"""Inputs and outputs of colour networks: the decoded planes of a JPEG, its tables, and RGB.

Planes are Y, Cb and Cr, with chroma upsampled to full resolution. Files hold them in 0..255;
networks use MATLAB's range, 16 / 255 to 235 / 255 for luma and to 240 / 255 for chroma.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from casjax.color import YCBCR_TO_RGB
from casjax.models import variable_shapes
from casjax.networks.weights import are_weights_of, load_weights

CONDITION = 2  # numbers that describe the tables to a network

# What a network sees of a plane is its distance from ZERO times GAIN.
GAIN = np.array([219, 224, 224], np.float32) / 255**2
ZERO = np.float32(-16) * 255 / np.array([219, 224, 224], np.float32)
_NEUTRAL = np.array([0, 128, 128], np.float32)


def is_for_colour(model: Any) -> bool:
    """Return whether a network takes and returns the three planes, not luma alone."""
    return getattr(model, "channels", 1) > 1


def condition_of(tables: ArrayLike) -> jax.Array:
    """Measure how coarse the quantisation is: the mean log of the steps of luma and of chroma.

    Args:
      tables: integers [..., 2, 8, 8], at least 1; may be traced.

    Returns:
      float32 [..., 2] in 0 (all steps 1) to 1 (all 255, the coarsest of baseline JPEG).
    """
    steps = jnp.asarray(tables).astype(jnp.float32)
    return jnp.mean(jnp.log(steps), axis=(-2, -1)) / np.log(np.float32(255))


def to_network(planes: ArrayLike) -> jax.Array:
    """Map the planes of files, [..., 3] in 0..255, to a network's input: float32 [..., 3]."""
    return (jnp.asarray(planes).astype(jnp.float32) - ZERO) * GAIN


def from_network(planes: jax.Array) -> jax.Array:
    """Invert `to_network`; the result, float32, is neither rounded nor clipped."""
    return planes / GAIN + ZERO


def to_rgb(planes: jax.Array) -> jax.Array:
    """Convert a network's output, [..., 3], to RGB: float32, where files have the range [0, 1].

    Linear and not clipped, so that gradients always reach the planes.
    """
    centred = (from_network(planes) - _NEUTRAL) / 255
    # Written out because a matrix product over three channels is slow, and imprecise on some
    # accelerators.
    y, cb, cr = (jnp.asarray(YCBCR_TO_RGB[:, i]) * centred[..., i, None] for i in range(3))
    return y + cb + cr


def restored_planes(
    model: Any, variables: Mapping[str, Any], planes: jax.Array, tables: jax.Array
) -> jax.Array:
    """Restore the planes of files.

    Args:
      model: the network.
      variables: of the network.
      planes: numbers [n, h, w, 3] in 0..255, with h and w multiples of `model.alignment`.
      tables: numbers [n, 2, 8, 8], at least 1: the quantisation tables of luma and chroma.

    Returns:
      float32 [n, h, w, 3], clipped to 0..255 and not rounded.
    """
    finest, *_ = model.apply(variables, to_network(planes), condition_of(tables))
    return jnp.clip(from_network(finest), 0, 255)


def load_start(path: Path, model: nn.Module, shapes: Any) -> Any:
    """Read initial weights for training; a colour network can start from those for luma.

    Args:
      path: as `weights.load_weights` takes it.
      model: the network to be trained.
      shapes: of its variables.

    Raises:
      FileNotFoundError: there are no weights at ``path``.
      ValueError: they are of another network, or damaged.
    """
    if is_for_colour(model):
        for_luma = variable_shapes(model.clone(channels=1, condition=0))
        if are_weights_of(path, for_luma):
            return grow(load_weights(path, for_luma), shapes)
    return load_weights(path, shapes)


def grow(variables: Any, shapes: Any) -> Any:
    """Make the variables of a colour network from those of the same network for luma.

    All weights from chroma and from the condition, and all to the increments of chroma, are zero:
    the network restores luma as the one for luma does, and leaves chroma unchanged.

    Args:
      variables: for luma, nested dicts of arrays.
      shapes: for colour, nested in the same way, of anything with ``shape``.
    """

    def widen(leaf: Any, wanted: Any) -> Any:
        wide = np.zeros(wanted.shape, np.float32)
        wide[tuple(slice(size) for size in np.shape(leaf))] = leaf  # luma comes first in each layer
        return wide

    return jax.tree.map(widen, variables, shapes)
