"""The pictures consistent with a JPEG file, and the one of them nearest to a restored picture.

The encoder rounded each DCT coefficient to a multiple of its quantisation step: the original lies
within half a step of what the decoder shows. These limits on all coefficients define a convex set,
and since the DCT is orthonormal, the nearest picture in it has each coefficient clipped.
"""

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from casjax.jpeg import DCT

ORTHONORMAL_DCT = (DCT / (8192 * np.sqrt(8))).astype(np.float32)
ROWS = 512  # projected at once; bounds the memory


def project(
    restored: npt.NDArray[np.float32],
    decoded: npt.NDArray[np.uint8],
    steps: npt.NDArray[np.int32],
    *,
    tolerance: float = 1,
) -> npt.NDArray[np.float32]:
    """Return the picture nearest to `restored` from which the JPEG file could have been made.

    A block is left unchanged if no coefficients explain its decoded pixels: some were clipped to
    0 or 255, which hides the coefficients in the file.

    Args:
      restored: float32 [h, w] in 0..255, not yet rounded.
      decoded: uint8 [h, w] in 0..255: one component as the decoder outputs it, its block
        grid starting at the top left.
      steps: integers [8, 8], that component's quantisation steps, vertical frequency first.
      tolerance: levels by which pixels may lie off what follows from coefficients.

    Returns:
      float32 [h, w]; may lie slightly outside 0..255.
    """
    projected = np.empty_like(restored)
    for start in range(0, len(restored), ROWS):
        rows = slice(start, start + ROWS)
        projected[rows] = _project(restored[rows], decoded[rows], steps, tolerance)
    return projected


@jax.jit
def _project(
    restored: jax.Array, decoded: jax.Array, steps: jax.Array, tolerance: float
) -> jax.Array:
    height, width = decoded.shape
    shown = _blocks(decoded.astype(jnp.float32) - 128)
    wanted = _blocks(restored - 128)
    step = steps[:, None, :].astype(jnp.float32)

    centre = jnp.round(_dct(shown) / step) * step
    explains = jnp.abs(_inverse_dct(centre) - shown).max((1, 3), keepdims=True) <= tolerance
    allowed = jnp.clip(_dct(wanted), centre - step / 2, centre + step / 2)
    blocks = jnp.where(explains, _inverse_dct(allowed), wanted)
    padded = blocks.reshape(blocks.shape[0] * 8, -1)
    return padded[:height, :width] + 128


def _blocks(picture: jax.Array) -> jax.Array:
    """Cut [h, w] into [block row, y, block column, x]; the edge is repeated in the last blocks."""
    height, width = picture.shape
    padded = jnp.pad(picture, ((0, -height % 8), (0, -width % 8)), mode="edge")
    return padded.reshape(padded.shape[0] // 8, 8, padded.shape[1] // 8, 8)


def _dct(blocks: jax.Array) -> jax.Array:
    d = ORTHONORMAL_DCT
    return jnp.einsum("ky,aybx,lx->akbl", d, blocks, d, precision="highest")


def _inverse_dct(coefficients: jax.Array) -> jax.Array:
    d = ORTHONORMAL_DCT
    return jnp.einsum("ky,akbl,lx->aybx", d, coefficients, d, precision="highest")
