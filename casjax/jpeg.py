"""JPEG compression artifacts, computed on the device: grayscale JPEG without its entropy coder.

What Huffman coding packs it also unpacks, so the loss lies wholly in the integer DCT, the
quantisation and the integer inverse DCT. Here they are the ones of libjpeg's default `islow` codec
(jfdctint.c, jcdctmgr.c, jidctint.c), to the bit.
"""

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

# The 8-point DCT of islow, row k the k-th frequency: sqrt(8) times the orthonormal DCT in 13-bit
# fixed point. The fast algorithm of Loeffler, Ligtenberg and Moschytz (ICASSP 1989) rounds its
# constants, not these products of them, hence last digits that differ among equal cosines. Its
# inverse runs the same flow graph backwards, which makes it exactly the transpose.
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
    """Return what a JPEG decoder shows after the image was saved at the given quality.

    Equal in every pixel to saving each image as a one-channel JPEG with libjpeg and decoding it.
    The grid of blocks starts at the top left corner; the last blocks are filled up by repeating the
    image's edge. May be called inside `jit` and `pmap`.

    Args:
      luma: uint8 [n, h, w, 1] in 0..255, any height and width.
      quality: libjpeg quality factor in 1..100, one integer for all images or integers [n]; may be
        traced.

    Returns:
      uint8 [n, h, w, 1] in 0..255.

    Raises:
      ValueError: `luma` or `quality` has another shape or type, or `quality` is out of range; see
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
    return _encode_and_decode(luma, steps)


def quantization_table(quality: ArrayLike) -> jax.Array:
    """Return libjpeg's luminance quantisation table: Annex K's, scaled by the quality factor.

    Args:
      quality: integers [...] in 1..100. May be traced: then, and when it is a JAX array, whose
        values are perhaps not computed yet, its range is not checked.

    Returns:
      int32 [..., 8, 8] in 1..255, vertical frequency first.

    Raises:
      ValueError: `quality` is not integral, or a Python or NumPy value outside 1..100.
    """
    if not isinstance(quality, jax.Array):
        quality = np.asarray(quality)
        if np.any((quality < 1) | (quality > 100)):
            raise ValueError(f"JPEG quality must lie in 1..100, got {quality}")
    if not jnp.issubdtype(quality.dtype, jnp.integer):
        raise ValueError(f"JPEG quality must be an integer, got {quality.dtype}")
    return scaled_table(ANNEX_K_LUMA, jnp.asarray(quality, jnp.int32))


def scaled_table(base: np.ndarray, quality: jax.Array, *, limit: int = 255) -> jax.Array:
    """Scale a table of quality 50 [8, 8] by quality factors [...]: int32 [..., 8, 8] (jcparam.c).

    Steps are at most `limit`: 255 in baseline files, 32767 in others.
    """
    quality = quality[..., None, None]
    percent = jnp.where(quality < 50, 5000 // quality, 200 - 2 * quality)
    return jnp.clip((base * percent + 50) // 100, 1, limit)


@jax.jit
def _encode_and_decode(luma: jax.Array, steps: jax.Array) -> jax.Array:
    n, h, w, _ = luma.shape
    padded = jnp.pad(luma[..., 0], ((0, 0), (0, -h % 8), (0, -w % 8)), mode="edge")
    # [n image, a block row, y, b block column, x], the letters below: cutting moves no pixel. A
    # coefficient's vertical frequency k and horizontal frequency l take the places of y and x.
    blocks = padded.reshape(n, padded.shape[1] // 8, 8, padded.shape[2] // 8, 8)
    coefficients = _forward_dct(blocks.astype(jnp.int32) - 128)
    quantised = _quantise(coefficients, steps[..., None, :, None, :])
    decoded = jnp.clip(_inverse_dct(quantised) + 128, 0, 255).astype(jnp.uint8)
    return decoded.reshape(padded.shape)[:, :h, :w, None]


def _forward_dct(blocks: jax.Array) -> jax.Array:
    """Eight times the orthonormal DCT; two more bits are kept between rows and columns."""
    rows = jnp.einsum("naybx,lx->naybl", blocks, DCT)
    columns = jnp.einsum("naybl,ky->nakbl", _shift_right(rows, 11), DCT)
    return _shift_right(columns, 15)


def _quantise(coefficients: jax.Array, steps: jax.Array) -> jax.Array:
    """Round to multiples of the steps, a half away from zero, and drop the DCT's factor of 8."""
    divisor = 8 * steps
    multiples = (jnp.abs(coefficients) + divisor // 2) // divisor
    return jnp.sign(coefficients) * multiples * steps


def _inverse_dct(coefficients: jax.Array) -> jax.Array:
    columns = jnp.einsum("nakbl,ky->naybl", coefficients, DCT)
    rows = jnp.einsum("naybl,lx->naybx", _shift_right(columns, 11), DCT)
    return _shift_right(rows, 18)


def _shift_right(x: jax.Array, bits: int) -> jax.Array:
    """Divide by 2**bits and round to nearest, a half up."""
    return (x + (1 << (bits - 1))) >> bits
