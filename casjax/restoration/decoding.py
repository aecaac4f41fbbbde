"""Decoding a JPEG file with more precision than decoders do, for files that no network improves.

Libjpeg takes each coefficient for the middle of its quantisation interval, and rounds samples to
integers before it enlarges chroma and converts colours. Here coefficients get their expected value
under Laplacian distributions, whose scales are estimated from the file itself (J. R. Price and
M. Rabbani, "Dequantization bias for JPEG decompression", ITCC 2000), as in jpegli; and nothing is
rounded before the end.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from casjax.images.coefficients import Coefficients
from casjax.images.photographs import Photograph
from casjax.networks.consistency import ORTHONORMAL_DCT
from casjax.restoration.changes import Pixels, changed
from casjax.restoration.limits import can_be_held, limits_of
from casjax.restoration.sampling import Factors, interpolate

BLOCK_ROWS = 32  # decoded at once; bounds the memory
# Blocks are grouped by their mean magnitude, because scales differ between flat and busy regions:
# on eight images of LIVE1 four groups gain 0.05 dB at 90 over one, eight 0.01 dB more.
GROUPS = 4
FEWEST = 256  # blocks of a group


def decode(photograph: Photograph, *, chroma: bool = True, strength: float = 1) -> Pixels:
    """Decode a photograph for which `can_be_decoded` holds.

    Args:
      photograph: the picture.
      chroma: decode chroma, too; else it stays as libjpeg decodes it.
      strength: see `changes.changed`.

    Returns:
      uint8 [h, w] or, in RGB, [h, w, 3], in the file's orientation.
    """
    assert photograph.coefficients is not None
    planes = np.atleast_3d(photograph.pixels)
    components = list(zip(photograph.coefficients, limits_of(photograph), strict=False))
    changes = [
        _change(planes[..., i], coefficients, steps, factors)
        for i, (coefficients, (steps, factors)) in enumerate(
            components if chroma else components[:1]
        )
    ]
    return changed(photograph.pixels, photograph.coding, changes, strength=strength)


def can_be_decoded(photograph: Photograph) -> bool:
    """Return whether a file's coefficients can be read, and its luma is what they give.

    It is not in damaged files that decoders salvage.
    """
    if photograph.coefficients is None or not can_be_held(photograph):
        return False
    steps, factors = limits_of(photograph)[0]
    luma = np.atleast_3d(photograph.pixels)[..., 0]
    coefficients = photograph.coefficients[0]
    rows, columns = (-(-size // 8) for size in luma.shape)
    if factors != (1, 1) or coefficients.shape[:2] != (rows, columns):
        return False
    for start in range(0, rows, BLOCK_ROWS):
        samples = _samples(coefficients[start : start + BLOCK_ROWS].astype(np.float32) * steps)
        seen = luma[8 * start : 8 * (start + BLOCK_ROWS)]
        given = samples[: len(seen), : seen.shape[1]].clip(0, 255)
        if np.abs(given - seen).max() > 1:
            return False
    return True


def expected_offsets(
    blocks: int, nonzero: npt.NDArray[np.integer], total: npt.NDArray[np.integer]
) -> npt.NDArray[np.float32]:
    """Estimate by how much coefficients exceed their expected magnitude, in steps.

    A Laplacian distribution with the density exp(-|x| / b) / 2b, quantised with a step q, gives
    zero with probability 1 - g, and a magnitude k > 0 with probability g^(2k - 1) (1 - g^2), where
    g = exp(-q / 2b). The likeliest g solves a quadratic equation (Price and Rabbani, eq. 11);
    within the interval of k, the mean lies by coth(q / 2b) / 2 - b / q steps below k (eq. 5).

    Where some blocks are busier than others, large coefficients are more frequent than that. So
    magnitudes above one get the b that follows from the mean of those above zero, 1 / (1 - g^2).

    Args:
      blocks: their number.
      nonzero: integers [...], how many of their coefficients at some frequencies are not zero.
      total: the sums of their magnitudes.

    Returns:
      float32 [2, ...] in 0..0.5, for a magnitude of one and for greater ones.
    """
    zeros, a, b = blocks - nonzero, 2 * total + blocks, 2 * total - nonzero
    of_all = (np.sqrt(zeros**2 + 4.0 * a * b) - zeros) / (2 * np.maximum(a, 1))
    of_nonzero = np.sqrt(1 - nonzero / np.maximum(total, 1))
    ratio = -2 * np.log(np.stack([of_all, of_nonzero]).clip(1e-9, 1 - 1e-9))  # q / b
    return (0.5 / np.tanh(ratio / 2) - 1 / ratio).astype(np.float32)


def _change(
    pixels: npt.NDArray[np.uint8],
    coefficients: Coefficients,
    steps: npt.NDArray[np.int32],
    factors: Factors,
) -> npt.NDArray[np.float16]:
    """Return what to add to a component, [h, w], in levels."""
    change = np.empty(pixels.shape, np.float16)
    height, width = (-(-size // factor) for size, factor in zip(pixels.shape, factors, strict=True))
    groups = _groups(coefficients)
    offsets = _offsets_of(coefficients, groups)
    for start in range(0, len(coefficients), BLOCK_ROWS):
        near = slice(max(0, start - 1), start + BLOCK_ROWS + 1)  # for interpolation
        multiples = coefficients[near].astype(np.float32)
        of_one, of_more = (each[groups[near]] for each in offsets)
        multiples -= np.sign(multiples) * np.where(np.abs(multiples) > 1, of_more, of_one)
        samples = _samples(multiples * steps)[: height - 8 * near.start, :width]
        above = 8 * (start - near.start) * factors[0]
        rows = slice(8 * start * factors[0], 8 * (start + BLOCK_ROWS) * factors[0])
        seen = pixels[rows]
        enlarged = interpolate(samples, factors)[above : above + len(seen), : seen.shape[1]]
        change[rows] = enlarged.clip(0, 255) - seen
    return change


def _groups(coefficients: Coefficients) -> npt.NDArray[np.uint8]:
    """Group blocks by their mean magnitude: from 0, for the flattest, [block rows, columns]."""
    means = np.concatenate([each[..., 1:].mean(-1) for each in _magnitudes(coefficients)])
    count = max(1, min(GROUPS, means.size // FEWEST))
    borders = np.quantile(means, np.arange(1, count) / count)
    return np.searchsorted(borders, means).astype(np.uint8)


def _offsets_of(
    coefficients: Coefficients, groups: npt.NDArray[np.uint8]
) -> npt.NDArray[np.float32]:
    """Return `expected_offsets` of each group: float32 [2, groups, 8, 8]."""
    count = int(groups.max()) + 1
    nonzero, total = np.zeros((2, count, 64), np.int64)
    row = 0
    for magnitudes in _magnitudes(coefficients):
        here = groups[row : row + len(magnitudes)]
        row += len(magnitudes)
        for group in range(count):
            of_group = magnitudes[here == group]
            nonzero[group] += np.count_nonzero(of_group, axis=0)
            total[group] += of_group.sum(0, dtype=np.int64)
    blocks = np.bincount(groups.ravel(), minlength=count)
    offsets = [expected_offsets(*each) for each in zip(blocks, nonzero, total, strict=True)]
    stacked = np.stack(offsets, axis=1).reshape(2, count, 8, 8)
    stacked[..., 0, 0] = 0  # the lowest frequency is no Laplacian distribution around zero
    return stacked


def _magnitudes(coefficients: Coefficients) -> Iterator[npt.NDArray[np.int16]]:
    """Yield some block rows of magnitudes at a time, [block rows, block columns, 64]."""
    for start in range(0, len(coefficients), BLOCK_ROWS):
        magnitudes = np.abs(coefficients[start : start + BLOCK_ROWS])
        yield magnitudes.reshape(*magnitudes.shape[:2], 64)


def _samples(coefficients: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the samples of blocks of coefficients, in 0..255 if not clipped."""
    d = ORTHONORMAL_DCT
    blocks: npt.NDArray[np.float32] = np.einsum(
        "ky,rckl,lx->rycx", d, coefficients, d, optimize=True
    )
    return blocks.reshape(8 * len(blocks), -1) + np.float32(128)
