"""Recognising from its pixels that a JPEG file was a coarser JPEG before.

On the first file's block grid, wherever it lies after cropping, coefficients still cluster around
multiples of its steps, blurred by the second file's rounding. Each former quality factor and grid
predicts where they cluster; the likeliest is taken if it explains them better than a smoothly
decaying distribution (as in `traces`, after Fan and de Queiroz 2003).
"""

import itertools

import numpy as np
import numpy.typing as npt

from casjax.jpeg import ANNEX_K_LUMA
from casjax.restoration.quality import libjpeg_tables
from casjax.restoration.traces import FREQUENCIES, ODD, Trace, coefficients, share_of_crowd

GRID = 8  # pixels: the period of blocks
COARSER = 1.4  # ratio of former to present steps, on average, above which they show and matter
LOW = [(row, column) for row in range(4) for column in range(4) if row + column < 4]
LINES = 512  # of pixels that are searched for block borders
FEWEST = 8  # coefficients that a frequency needs to be considered
ROUNDED = 0.4  # standard deviation of a coefficient from rounding pixels to integers
BLUR = 1.5  # times that of uniform errors over the file's steps, on a grid other than the file's
# A former JPEG must be likelier than none by this, in nats, over all coefficients and for each one.
MARGIN, MARGIN_OF_EACH = 20.0, 0.1
# Coefficients that must take part: drawings have few distinct blocks, whose values may lie at such
# multiples by chance.
ENOUGH = 200


def find_former(luma: npt.NDArray[np.uint8], steps: npt.NDArray[np.int32]) -> Trace | None:
    """Estimate how a JPEG file had been saved before it was saved again.

    Args:
      luma: uint8 [h, w], as decoded.
      steps: integers [8, 8], its quantisation steps, vertical frequency first.

    Returns:
      The former libjpeg quality factor and block grid; None if the pixels show no coarser former
      JPEG, for example because there was none.
    """
    tables = libjpeg_tables(ANNEX_K_LUMA, limit=255)
    coarser = np.exp(np.mean(np.log(tables) - np.log(steps), axis=(1, 2))) > COARSER
    tables = tables[coarser]
    if not len(tables):
        return None
    best = -np.inf, 0, 0, 0, (0, 0)
    for grid in itertools.product(_borders(luma.T), _borders(luma)):
        found = coefficients(luma[grid[0] :, grid[1] :])
        evidence, counts, frequencies = _evidence(found, tables, steps, is_aligned=grid == (0, 0))
        i = int(np.argmax(evidence))
        best = max(best, (evidence[i], int(counts[i]), int(frequencies[i]), i, grid))
    total, count, used, which, grid = best
    if count < ENOUGH or total < max(MARGIN, MARGIN_OF_EACH * count) or used < FREQUENCIES:
        return None
    return Trace(int(np.flatnonzero(coarser)[which]) + 1, grid)


def _borders(luma: npt.NDArray[np.uint8]) -> list[int]:
    """Return the columns, 0..7, where blocks may begin: 0, and the two likeliest others.

    Neighbouring pixels differ more across block borders than beside them.
    """
    lines = luma[:: max(1, len(luma) // LINES)].astype(np.float32)
    if lines.shape[1] < 3 * GRID:
        return [0]
    steps = np.abs(np.diff(lines, axis=1))
    beside = (steps[:, :-2] + steps[:, 2:]) / 2
    jumps = np.maximum(steps[:, 1:-1] - beside, 0).mean(0)  # the first between columns 1 and 2
    sums = [jumps[(x - 2) % GRID :: GRID].mean() for x in range(GRID)]
    return [0, *(int(x) for x in np.argsort(sums[1:])[:-3:-1] + 1)]


def _evidence(
    coefficients: npt.NDArray[np.float32],
    tables: npt.NDArray[np.int32],
    steps: npt.NDArray[np.int32],
    *,
    is_aligned: bool,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return how much likelier each table is than none, in nats, and what that is concluded from.

    That is the number of coefficients, and of frequencies without the mean.
    """
    evidence = np.zeros(len(tables))
    count, frequencies = np.zeros(len(tables), int), np.zeros(len(tables), int)
    for row, column in LOW:
        values = np.abs(coefficients[:, row, column])
        formers, which = np.unique(tables[:, row, column], return_inverse=True)
        near = steps[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2]
        own = steps[row, column]
        blur = 0.0 if is_aligned else np.hypot(ROUNDED, BLUR * np.sqrt(np.mean(near**2.0) / 12))
        is_mean = (row, column) == (0, 0)
        sums, counts = [], []
        for former in formers:
            seen = values if is_mean else values[values > former / 2]
            if len(seen) < FEWEST or former <= own:
                sums.append(0.0)
                counts.append(0)
                continue
            ratios = _ratios(seen, former, own=own, blur=blur, is_mean=is_mean)
            shares = share_of_crowd(seen, former) if is_mean else 1
            sums.append((shares * np.log((1 - ODD) * ratios + ODD)).sum())
            counts.append(len(seen))
        evidence += np.array(sums)[which]
        count += np.array(counts)[which]
        frequencies += (np.array(counts)[which] > 0) & (not is_mean)
    return evidence, count, frequencies


def _ratios(
    values: npt.NDArray[np.float32], former: int, *, own: int, blur: float, is_mean: bool
) -> npt.NDArray[np.float64]:
    """Return p(value | former step) / p(value) for magnitudes.

    Magnitudes at the lowest frequency are taken as uniform; others decay exponentially, and their
    multiples geometrically, at the likeliest rates.
    """
    nearest = np.rint(values / former)
    stop = 1.0 if is_mean else min(1 / max(nearest.mean(), 1), 1 - 1e-6)
    density = np.zeros(len(values))
    for multiple in (nearest - 1, nearest, nearest + 1):
        offset = values - multiple * former
        if blur:
            noise = np.exp(-0.5 * (offset / blur) ** 2) / (blur * np.sqrt(2 * np.pi))
        else:  # the second file rounded to multiples of its own step
            # The normal distribution function is close to (1 + tanh 0.85 x) / 2.
            above, below = (np.tanh(0.85 * (offset + s * own / 2) / ROUNDED) for s in (1, -1))
            noise = (above - below) / 2 / own
        chance = former if is_mean else stop * (1 - stop) ** (np.maximum(multiple, 1) - 1)
        density += np.where(is_mean | (multiple >= 1), chance * noise, 0)
    if is_mean:
        return density
    decay = max(float(values.mean()) - former / 2, 0.1)
    return density * decay * np.exp((values - former / 2) / decay)
