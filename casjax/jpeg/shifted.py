"""Compression whose block grid does not start at the corner of the picture."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


def with_shifted_grid(
    degrade: Callable[[jax.Array], jax.Array],
    images: jax.Array | np.ndarray,
    shift: jax.Array | np.ndarray,
    *,
    period: int,
) -> jax.Array:
    """Degrade images as crops of larger ones, like a file that was saved, cropped and saved again.

    Outside the crop, the larger image repeats its edge.

    Args:
      degrade: maps uint8 [n, h + period, w + period, c] to the same shape; for instance
        `degrade` or `degrade_rgb` at some quality.
      images: uint8 [n, h, w, c].
      shift: integers [n, 2] in 0..period - 1: how many rows and columns of the larger image lie
        above and to the left of the crop; may be traced.
      period: of the grid in pixels: 8, or 16 for subsampled chroma.

    Returns:
      uint8 [n, h, w, c]: the crop.
    """
    _, h, w, c = images.shape
    around = ((0, 0), (period, period), (period, period), (0, 0))
    padded = jnp.pad(images, around, mode="edge")

    def cut(corner: jax.Array, image: jax.Array, size: tuple[int, int]) -> jax.Array:
        return lax.dynamic_slice(image, (*corner, 0), (*size, c))

    shift = jnp.asarray(shift, jnp.int32)
    cut_all = jax.vmap(cut, in_axes=(0, 0, None))
    larger = cut_all(period - shift, padded, (h + period, w + period))
    return cut_all(shift, degrade(larger), (h, w))
