"""Colour JPEG: YCbCr (jccolor.c, jdcolor.c), its chroma usually subsampled.

Chroma is halved by averaging (jcsample.c) and doubled by a triangle filter (jdsample.c, "fancy
upsampling").
"""

from functools import partial
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax import lax
from jax.typing import ArrayLike

from casjax.jpeg.luma import code, pad_by_edge

Planes = TypeVar("Planes", npt.NDArray[np.uint8], jax.Array)

# Rows and columns of pixels per chroma sample, in the order of Pillow's numbers.
SAMPLINGS = {"4:4:4": (1, 1), "4:2:2": (1, 2), "4:2:0": (2, 2)}

# BT.601 (ITU-T T.871) in 16-bit fixed point: libjpeg rounds its constants to five decimals first.
_RGB_TO_YCBCR = (19595, 38470, 7471), (-11059, -21709, 32768), (32768, -27439, -5329)
_RED_OF_CR, _BLUE_OF_CB, _GREEN_OF_CB, _GREEN_OF_CR = 91881, 116130, -22554, -46802
_BITS, _HALF = 16, 1 << 15


def degrade_rgb(
    rgb: jax.Array | np.ndarray, tables: ArrayLike, *, sampling: str | ArrayLike
) -> jax.Array:
    """Return what a JPEG decoder shows after each image is saved in colour with its tables.

    Identical in every pixel to saving and decoding with libjpeg, for any height and width. May be
    called inside `jit` and `pmap`. Arguments and errors are those of `degrade_to_planes`.

    Returns:
      uint8 [n, h, w, 3] RGB in 0..255.
    """
    return planes_to_rgb(degrade_to_planes(rgb, tables, sampling=sampling))


def degrade_to_planes(
    rgb: jax.Array | np.ndarray, tables: ArrayLike, *, sampling: str | ArrayLike
) -> jax.Array:
    """Return the decoded planes of colour JPEGs, before conversion to RGB clips and rounds them.

    Args:
      rgb: uint8 [n, h, w, 3] in 0..255, any height and width.
      tables: quantisation steps of luma and of chroma, integers [2, 8, 8] for all images or
        [n, 2, 8, 8], in 1..255 (baseline JPEG), vertical frequency first; may be traced.
        `quantization_tables` returns libjpeg's.
      sampling: a name in `SAMPLINGS` (libjpeg's default is "4:2:0"); or for each image its index
        there, integers [n], which may be traced. Then chroma is computed in all three ways.

    Returns:
      uint8 [n, h, w, 3]: JFIF's Y, Cb and Cr in 0..255, chroma upsampled to full resolution.

    Raises:
      ValueError: an argument has the wrong shape or type, or a value is out of range; the values
        of JAX arrays, which may not be computed yet, are not checked.
    """
    if rgb.dtype != jnp.uint8 or rgb.ndim != 4 or rgb.shape[3] != 3:
        raise ValueError(f"expected uint8 [n, h, w, 3], got {rgb.dtype} {list(rgb.shape)}")
    n = len(rgb)
    tables = _integers(tables, "tables", shapes=((2, 8, 8), (n, 2, 8, 8)), within=(1, 255))
    if not isinstance(sampling, str):
        places = _integers(sampling, "sampling", shapes=((n,),), within=(0, len(SAMPLINGS) - 1))
        return _planes(rgb, tables, places, samplings=tuple(SAMPLINGS))
    if sampling not in SAMPLINGS:
        raise ValueError(f"{sampling=}: expected one of {', '.join(SAMPLINGS)}")
    return _planes(rgb, tables, 0, samplings=(sampling,))


def planes_to_rgb(planes: Planes) -> Planes:
    """Convert JFIF's YCbCr to RGB as libjpeg does, in integers.

    Args:
      planes: uint8 [..., 3], of NumPy, for which nothing is compiled, or JAX.

    Returns:
      uint8 [..., 3], likewise.
    """
    if isinstance(planes, jax.Array):
        return _planes_to_rgb_on_device(planes)
    return _planes_to_rgb(planes, np)


def _planes_to_rgb(planes: Any, library: Any) -> Any:
    y, cb, cr = library.moveaxis(planes.astype(np.int32), -1, 0)
    cb, cr = cb - 128, cr - 128
    red = y + ((_RED_OF_CR * cr + _HALF) >> _BITS)
    green = y + ((_GREEN_OF_CB * cb + _GREEN_OF_CR * cr + _HALF) >> _BITS)
    blue = y + ((_BLUE_OF_CB * cb + _HALF) >> _BITS)
    return library.clip(library.stack([red, green, blue], axis=-1), 0, 255).astype(np.uint8)


_planes_to_rgb_on_device = jax.jit(partial(_planes_to_rgb, library=jnp))


def _integers(
    value: ArrayLike, name: str, *, shapes: tuple[tuple[int, ...], ...], within: tuple[int, int]
) -> jax.Array:
    if not isinstance(value, jax.Array):
        value = np.asarray(value)
        if np.any((value < within[0]) | (value > within[1])):
            raise ValueError(f"{name} must lie in {within[0]}..{within[1]}, got {value}")
    if not jnp.issubdtype(value.dtype, jnp.integer) or value.shape not in shapes:
        expected = " or ".join(str(list(shape)) for shape in shapes)
        raise ValueError(
            f"{name}: expected integers {expected}, got {value.dtype} {list(value.shape)}"
        )
    return jnp.asarray(value, jnp.int32)


@partial(jax.jit, static_argnames="samplings")
def _planes(
    rgb: jax.Array, tables: jax.Array, places: jax.Array | int, *, samplings: tuple[str, ...]
) -> jax.Array:
    """Encode and decode each image with the sampling at its index; 0 is the first for all."""
    planes = _rgb_to_planes(rgb)
    luma, chroma = planes[:, :1], planes[:, 1:]
    luma_steps, chroma_steps = (tables[..., i, None, :, :] for i in (0, 1))  # one for each plane
    decoded, *others = (_code_chroma(chroma, chroma_steps, SAMPLINGS[name]) for name in samplings)
    for place, other in enumerate(others, start=1):
        decoded = jnp.where(jnp.equal(places, place)[:, None, None, None], other, decoded)
    return jnp.moveaxis(jnp.concatenate([code(luma, luma_steps), decoded], axis=1), 1, -1)


def _rgb_to_planes(rgb: jax.Array) -> jax.Array:
    """Convert uint8 [n, h, w, 3] to YCbCr, int32 [n, 3, h, w]; chroma halves round down."""
    red, green, blue = jnp.moveaxis(rgb.astype(jnp.int32), -1, 0)
    offsets = _HALF, (128 << _BITS) + _HALF - 1, (128 << _BITS) + _HALF - 1
    weighted = [
        (r * red + g * green + b * blue + offset) >> _BITS
        for (r, g, b), offset in zip(_RGB_TO_YCBCR, offsets, strict=True)
    ]
    return jnp.stack(weighted, axis=1)


def _code_chroma(chroma: jax.Array, steps: jax.Array, factors: tuple[int, int]) -> jax.Array:
    """Encode and decode int32 [..., h, w], subsampled: uint8 [..., h, w]."""
    *_, h, w = chroma.shape
    rows, columns = factors
    samples = code(_downsample(chroma, factors), steps)
    # Samples that only fill up the blocks are not filtered.
    samples = samples[..., : -(-h // rows), : -(-w // columns)]
    return _upsample(samples, factors)[..., :h, :w]


def _downsample(chroma: jax.Array, factors: tuple[int, int]) -> jax.Array:
    """Average samples, rounding halves down and up in alternate columns.

    The edge is repeated as in libjpeg: at the bottom only until the number of rows is even, and on
    the right before averaging, because the rounding of the averages shows there.
    """
    rows, columns = factors
    if columns == 1:
        return chroma
    *_, h, w = chroma.shape
    width = columns * 8
    chroma = pad_by_edge(chroma, height=-(-h // rows) * rows, width=-(-w // width) * width)
    sums = chroma[..., ::2] + chroma[..., 1::2]
    if rows == 2:
        sums = sums[..., ::2, :] + sums[..., 1::2, :]
    return (sums + rows - 1 + np.arange(sums.shape[-1]) % 2) >> rows


def _upsample(samples: jax.Array, factors: tuple[int, int]) -> jax.Array:
    """Double samples: 3/4 of a pixel's own plus 1/4 of the nearer neighbour, along each axis."""
    rows, columns = factors
    if columns == 1:
        return samples
    if samples.shape[-1] <= 2:  # too narrow for libjpeg's filter
        return samples.repeat(rows, axis=-2).repeat(2, axis=-1)
    sums = samples.astype(jnp.int32)
    if rows == 2:
        sums = _filter(sums, axis=-2)
    # Rounding alternates here too: by adding 1/4 and 2/4, or 8/16 and 7/16.
    bits, half = (2, np.array([1, 2])) if rows == 1 else (4, np.array([8, 7]))
    pixels = _filter(sums, axis=-1)
    return ((pixels + np.tile(half, sums.shape[-1])) >> bits).astype(jnp.uint8)


def _filter(samples: jax.Array, *, axis: int) -> jax.Array:
    """Double axis -2 or -1, scaled by four; samples at the ends are their own neighbours."""
    padding = [(0, 0)] * samples.ndim
    shape = list(samples.shape)
    padding[axis] = 1, 1
    padded = jnp.pad(samples, padding, mode="edge")
    before, after = (lax.slice_in_dim(padded, i, i + shape[axis], axis=axis) for i in (0, 2))
    pairs = jnp.stack([3 * samples + before, 3 * samples + after], axis=axis)
    shape[axis] *= 2
    return pairs.reshape(shape)
