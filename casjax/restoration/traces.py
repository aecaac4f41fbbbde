"""The JPEG quality that a picture was once saved with, estimated from its pixels alone.

Quantisation leaves DCT coefficients at multiples of the steps, plus the error of rounding to uint8.
Each quality factor has its own multiples; the likeliest one wins if it explains the coefficients
better than no quantisation does (after Fan and de Queiroz, "Identification of bitmap
compression history", IEEE Transactions on Image Processing 2003).
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from casjax.color import rgb_to_ycbcr
from casjax.jpeg import ANNEX_K_LUMA
from casjax.networks.consistency import ORTHONORMAL_DCT
from casjax.restoration.quality import libjpeg_tables

BLOCKS = 512  # analysed, spread over the picture
NOISE = 0.35  # deviation of a coefficient from rounding luma, and then R, G and B, to integers
ODD = 0.05  # share of coefficients that may lie anywhere, for whatever reason
SMALL = 1.5  # coefficients up to here are practically zero, and say nothing about their step
FEWEST = 8  # coefficients needed to use a frequency
# Means of blocks at one multiple that count in full: in a flat area with some noise all means are
# alike, and some step always has a multiple there. The other frequencies are flat there, too.
CROWD = 8
FREQUENCIES = 2  # besides the mean, that must take part
# By how many nats the result must be likelier than its rivals, including no quantisation: over all
# coefficients, and per coefficient against no quantisation. Clean photographs have -0.1.
MARGIN, MARGIN_OF_EACH = 20.0, 0.1
ALIKE = 3  # quality factors this close are not rivals


class Trace(NamedTuple):
    """The traces of a former JPEG in pixels.

    Attributes:
      quality: the libjpeg quality factor of luma, 1..100.
      grid: row and column, 0..7, where its first whole block starts.
    """

    quality: int
    grid: tuple[int, int]


def find_trace(picture: npt.NDArray[np.uint8]) -> Trace | None:
    """Estimate the quality factor of a decoded JPEG, which may be turned, mirrored or transposed.

    The block grid then starts at the top left or, if a border of cut-off blocks has moved to the
    top or the left, behind that border.

    Args:
      picture: uint8 [h, w] (grey) or [h, w, 3] (RGB) in 0..255.

    Returns:
      None if the pixels show no trace of one, as above quality 98, or after scaling or another
      compression, or if too few can be used.
    """
    rows, columns = ({0, size % 8} for size in picture.shape[:2])
    grids = [(row, column) for row in sorted(rows) for column in sorted(columns)]
    found = [_evidence(_coefficients(picture[row:, column:])) for row, column in grids]
    evidence = np.stack([each.nats for each in found])  # [grid, straight or transposed, quality]
    which, _, best = (int(i) for i in np.unravel_index(np.argmax(evidence), evidence.shape))
    rivals = np.abs(np.arange(100) - best) > ALIKE
    margin = evidence.max() - max(0.0, evidence[..., rivals].max())
    if margin < MARGIN or evidence.max() < MARGIN_OF_EACH * found[which].used:
        return None
    if found[which].frequencies < FREQUENCIES:
        return None
    return Trace(best + 1, grids[which])


def _coefficients(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return the DCT coefficients of luma in some blocks: float32 [blocks, 8, 8].

    Blocks with a pixel clipped to 0 or 255 are left out, because their coefficients are unknown.
    """
    rows, columns = picture.shape[0] // 8, picture.shape[1] // 8
    chosen = np.linspace(0, rows * columns, min(rows * columns, BLOCKS), endpoint=False)
    blocks = (
        picture[8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
        for row, column in (divmod(int(place), columns) for place in chosen)
    )
    whole = [block for block in blocks if block.min() > 0 and block.max() < 255]
    if not whole:
        return np.zeros((0, 8, 8), np.float32)
    # Equal blocks, as in drawings and plain backgrounds, count once.
    distinct = np.unique(np.stack(whole), axis=0)
    luma = distinct if picture.ndim == 2 else rgb_to_ycbcr(distinct)[..., 0]
    d = ORTHONORMAL_DCT
    return np.asarray(d @ (luma.astype(np.float32) - 128) @ d.T)


class _Evidence(NamedTuple):
    """How much likelier each quality is than none.

    Attributes:
      nats: [2, 100], for upright blocks and for transposed ones.
      used: the number of coefficients used.
      frequencies: the number of frequencies used, without the mean.
    """

    nats: npt.NDArray[np.float64]
    used: int
    frequencies: int


def _evidence(coefficients: npt.NDArray[np.float32]) -> _Evidence:
    tables = libjpeg_tables(ANNEX_K_LUMA, limit=255)
    evidence, count, frequencies = np.zeros((2, 100)), 0, 0
    for row, column in np.ndindex(8, 8):
        values = coefficients[:, row, column]
        is_mean = (row, column) == (0, 0)
        if not is_mean:
            values = np.abs(values)
            values = values[values > SMALL]
        if len(values) < FEWEST:
            continue
        count += len(values)
        frequencies += not is_mean
        ratios = _log_ratios_of_mean if is_mean else _log_ratios
        both = np.stack([tables[:, row, column], tables[:, column, row]])
        steps, which = np.unique(both, return_inverse=True)
        evidence += np.array([ratios(values, step).sum() for step in steps])[which.reshape(2, 100)]
    return _Evidence(evidence, count, frequencies)


def _share_of_crowd(values: npt.NDArray[np.float32], step: int) -> npt.NDArray[np.float64]:
    """Return the share with which each mean of a block counts: less where many are alike."""
    _, which, sizes = np.unique(np.rint(values / step), return_inverse=True, return_counts=True)
    return np.minimum(1, CROWD / sizes[which])


def _log_ratios(values: npt.NDArray[np.float32], step: int) -> npt.NDArray[np.float32]:
    """Return log p(value | step) / p(value) for magnitudes above `SMALL`.

    Magnitudes fall off exponentially, their multiples of the step geometrically, both at the
    likeliest rate.
    """
    multiples = np.maximum(np.rint(values / step), 1)
    stop = min(1 / multiples.mean(), 1 - 1e-6)
    chance = stop * (1 - stop) ** (multiples - 1)
    decay = max(values.mean() - SMALL, 0.1)
    smooth = np.exp(-(values - SMALL) / decay) / decay
    return np.log((1 - ODD) * chance * _noise(values - multiples * step, step) / smooth + ODD)


def _log_ratios_of_mean(values: npt.NDArray[np.float32], step: int) -> npt.NDArray[np.float64]:
    """Return the same for the lowest frequency, where all multiples are about equally frequent."""
    offsets = values - np.rint(values / step) * step
    ratios = np.log((1 - ODD) * step * _noise(offsets, step) + ODD)
    return ratios * _share_of_crowd(values, step)


def _noise(offsets: npt.NDArray[np.float32], step: int) -> npt.NDArray[np.float32]:
    """Return the density of the distance from the nearest multiple, or from its neighbours."""
    distances = offsets[:, None] + step * np.array([-1, 0, 1], np.float32)
    densities = np.exp(-0.5 * (distances / NOISE) ** 2).sum(-1)
    return densities / np.float32(NOISE * np.sqrt(2 * np.pi))
