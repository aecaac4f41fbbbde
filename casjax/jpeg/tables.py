"""The quantisation tables that libjpeg derives from a quality factor (jcparam.c)."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

# ITU-T T.81, table K.1: luminance quantisation steps, vertical frequency first.
ANNEX_K_LUMA = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    np.int32,
)

# Table K.2: chrominance, which the eye resolves less.
ANNEX_K_CHROMA = np.full((8, 8), 99, np.int32)
ANNEX_K_CHROMA[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]


def quantization_table(quality: ArrayLike) -> jax.Array:
    """Return libjpeg's luminance quantisation table: Annex K's, scaled by the quality factor.

    Args:
      quality: integers [...] in 1..100. May be traced: then, and when it is a JAX array, whose
        values may not be computed yet, its range is not checked.

    Returns:
      int32 [..., 8, 8] in 1..255, vertical frequency first.

    Raises:
      ValueError: `quality` is not integral, or a Python or NumPy value outside 1..100.
    """
    return quantization_tables(quality)[..., 0, :, :]


def quantization_tables(quality: ArrayLike) -> jax.Array:
    """Return libjpeg's two quantisation tables, luminance and then chrominance.

    Args:
      quality: as `quantization_table` takes it.

    Returns:
      int32 [..., 2, 8, 8] in 1..255, vertical frequency first.

    Raises:
      ValueError: as `quantization_table` does.
    """
    if not isinstance(quality, jax.Array):
        quality = np.asarray(quality)
        if np.any((quality < 1) | (quality > 100)):
            raise ValueError(f"JPEG quality must lie in 1..100, got {quality}")
    if not jnp.issubdtype(quality.dtype, jnp.integer):
        raise ValueError(f"JPEG quality must be an integer, got {quality.dtype}")
    quality = jnp.asarray(quality, jnp.int32)
    both = [scaled_table(base, quality) for base in (ANNEX_K_LUMA, ANNEX_K_CHROMA)]
    return jnp.stack(both, axis=-3)


def scaled_table(
    base: np.ndarray | jax.Array, quality: np.ndarray | jax.Array, *, limit: int = 255
) -> jax.Array:
    """Scale a table of quality 50 [..., 8, 8] by quality factors [...]: int32 [..., 8, 8].

    Steps are at most `limit`: 255 in baseline files, 32767 in others. NumPy quality factors give a
    NumPy array, for which nothing is compiled.
    """
    library = jnp if isinstance(quality, jax.Array) else np
    quality = quality[..., None, None]
    percent = library.where(quality < 50, 5000 // quality, 200 - 2 * quality)
    return library.clip((base * percent + 50) // 100, 1, limit)
