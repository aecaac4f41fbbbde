"""Greyscale JPEG, and the coding of a single component, which colour uses too.

The integer DCT, quantisation and integer inverse DCT are those of libjpeg's default `islow` codec
(jfdctint.c, jcdctmgr.c, jidctint.c).
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from casjax.jpeg.tables import quantization_table

# The 8-point DCT of islow, row k the k-th frequency: sqrt(8) times the orthonormal DCT in 13-bit
# fixed point. The fast algorithm of Loeffler, Ligtenberg and Moschytz (ICASSP 1989) rounds its
# constants, not these products of them, so the last digits of equal cosines differ. Its inverse
# runs the same flow graph backwards, which makes it exactly the transpose.
DCT = np.array(
    [
        [8192, 8192, 8192, 8192, 8192, 8192, 8192, 8192],
        [11363, 9633, 6437, 2260, -2260, -6437, -9633, -11363],
        [10703, 4433, -4433, -10703, -10703, -4433, 4433, 10703],
        [9633, -2259, -11362, -6436, 6436, 11362, 2259, -9633],
        [8192, -8192, -8192, 8192, 8192, -8192, -8192, 8192],
        [6437, -11362, 2261, 9633, -9633, -2261, 11362, -6437],
        [4433, -10704, 10704, -4433, -4433, 10704, -10704, 4433],
        [2260, -6436, 9633, -11363, 11363, -9633, 6436, -2260],
    ],
    np.int32,
)


def degrade(luma: jax.Array | np.ndarray, quality: ArrayLike) -> jax.Array:
    """Return what a JPEG decoder shows after the image is saved at the given quality.

    Identical in every pixel to saving each image as a one-channel JPEG with libjpeg and decoding
    it. The block grid starts at the top left corner; the last blocks are filled by repeating the
    image's edge. May be called inside `jit` and `pmap`.

    Args:
      luma: uint8 [n, h, w, 1] in 0..255, any height and width.
      quality: libjpeg quality factor in 1..100, one integer for all images or integers [n]; may be
        traced.

    Returns:
      uint8 [n, h, w, 1] in 0..255.

    Raises:
      ValueError: `luma` or `quality` has the wrong shape or type, or `quality` is out of range; see
        `quantization_table` for the limits of that check.
    """
    if luma.dtype != jnp.uint8 or luma.ndim != 4 or luma.shape[3] != 1:
        raise ValueError(f"expected uint8 [n, h, w, 1], got {luma.dtype} {list(luma.shape)}")
    steps = quantization_table(quality)
    if steps.shape[:-2] not in ((), luma.shape[:1]):
        raise ValueError(
            f"expected one quality or one for each of {luma.shape[0]} images, "
            f"got the shape {list(steps.shape[:-2])}"
        )
    return code(luma[..., 0], steps)[..., None]


@jax.jit
def code(samples: jax.Array, steps: jax.Array) -> jax.Array:
    """Encode and decode one component of a picture, padded to whole blocks by repeating its edge.

    Args:
      samples: integers [..., h, w] in 0..255.
      steps: int32 [..., 8, 8], the quantisation tables, vertical frequency first. Their leading
        axes broadcast to those of the samples.

    Returns:
      uint8 [..., h, w] in 0..255.
    """
    *_, h, w = samples.shape
    padded = pad_by_edge(samples, height=-(-h // 8) * 8, width=-(-w // 8) * 8)
    # [a block row, y, b block column, x], the letters below: a reshape that moves no pixel. A
    # coefficient's vertical frequency k and horizontal frequency l take the place of y and x.
    *images, height, width = padded.shape
    blocks = padded.reshape(*images, height // 8, 8, width // 8, 8)
    coefficients = _forward_dct(blocks.astype(jnp.int32) - 128)
    quantised = _quantise(coefficients, steps[..., None, :, None, :])
    decoded = jnp.clip(_inverse_dct(quantised) + 128, 0, 255).astype(jnp.uint8)
    return decoded.reshape(padded.shape)[..., :h, :w]


def pad_by_edge(samples: jax.Array, *, height: int, width: int) -> jax.Array:
    """Enlarge [..., h, w] to a height and width by repeating its last row and column."""
    *images, h, w = samples.shape
    padding = [(0, 0)] * len(images) + [(0, height - h), (0, width - w)]
    return jnp.pad(samples, padding, mode="edge")


def _forward_dct(blocks: jax.Array) -> jax.Array:
    """Return 8 times the orthonormal DCT, with two more bits kept between rows and columns."""
    rows = jnp.einsum("...aybx,lx->...aybl", blocks, DCT)
    columns = jnp.einsum("...aybl,ky->...akbl", _shift_right(rows, 11), DCT)
    return _shift_right(columns, 15)


def _quantise(coefficients: jax.Array, steps: jax.Array) -> jax.Array:
    """Round to multiples of the steps, halves away from zero, and drop the DCT's factor of 8."""
    divisor = 8 * steps
    multiples = (jnp.abs(coefficients) + divisor // 2) // divisor
    return jnp.sign(coefficients) * multiples * steps


def _inverse_dct(coefficients: jax.Array) -> jax.Array:
    columns = jnp.einsum("...akbl,ky->...aybl", coefficients, DCT)
    rows = jnp.einsum("...aybl,lx->...aybx", _shift_right(columns, 11), DCT)
    return _shift_right(rows, 18)


def _shift_right(x: jax.Array, bits: int) -> jax.Array:
    """Divide by 2**bits and round to nearest, halves up."""
    return (x + (1 << (bits - 1))) >> bits
