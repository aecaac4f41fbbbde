"""A JPEG file that was a coarser JPEG before, told from its pixels.

The coefficients of the first file's grid of blocks, wherever it lies after cropping, still gather
about multiples of its steps, blurred by what the second one rounded. Each former quality factor
and grid says where they gather; the likeliest one counts if it explains them better than values
that fall off smoothly (as in `traces`, after Fan and de Queiroz 2003).
"""

import itertools

import numpy as np
import numpy.typing as npt

from casjax.jpeg import ANNEX_K_LUMA
from casjax.restoration.quality import libjpeg_tables
from casjax.restoration.traces import ODD, Trace, coefficients

GRID = 8  # pixels: the period of blocks
COARSER = 1.4  # times the file's steps are former ones, in the mean, that can be told and matter
LOW = [(row, column) for row in range(4) for column in range(4) if row + column < 4]
LINES = 512  # of pixels, that are looked at for the borders of blocks
FEWEST = 8  # coefficients from which on a frequency is looked at
ROUNDED = 0.4  # deviation of a coefficient by rounding pixels to integers
BLUR = 1.5  # times that of uniform errors over the file's steps, on another grid than the file's
# What is found must be likelier than no former JPEG by this, in nats, over all coefficients and
# for each of them.
MARGIN, MARGIN_OF_EACH = 20.0, 0.1


def find_former(luma: npt.NDArray[np.uint8], steps: npt.NDArray[np.int32]) -> Trace | None:
    """Estimate what a JPEG file was saved with before it was saved as it is.

    Args:
      luma: uint8 [h, w], as the decoder shows it.
      steps: integers [8, 8], its quantisation steps, vertical frequency first.

    Returns:
      The quality factor of libjpeg that it had and the grid of blocks then; None if the pixels show
      no coarser former JPEG, as where there was none.
    """
    tables = libjpeg_tables(ANNEX_K_LUMA, limit=255)
    coarser = np.exp(np.mean(np.log(tables) - np.log(steps), axis=(1, 2))) > COARSER
    tables = tables[coarser]
    if not len(tables):
        return None
    best = -np.inf, -np.inf, 0, (0, 0)
    for grid in itertools.product(_borders(luma.T), _borders(luma)):
        found = coefficients(luma[grid[0] :, grid[1] :])
        evidence, count = _evidence(found, tables, steps, is_aligned=grid == (0, 0))
        which = int(np.argmax(evidence))
        best = max(best, (evidence[which], evidence[which] / max(1, count[which]), which, grid))
    total, of_each, which, grid = best
    if total < MARGIN or of_each < MARGIN_OF_EACH:
        return None
    return Trace(int(np.flatnonzero(coarser)[which]) + 1, grid)


def _borders(luma: npt.NDArray[np.uint8]) -> list[int]:
    """Return in which columns, 0..7, blocks may begin: in 0, and the two likeliest others.

    At borders of blocks neighbours differ by more than they do beside them.
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
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Return how much likelier each table is than none, in nats, and of how many coefficients."""
    evidence, count = np.zeros(len(tables)), np.zeros(len(tables), int)
    for row, column in LOW:
        values = np.abs(coefficients[:, row, column])
        formers, which = np.unique(tables[:, row, column], return_inverse=True)
        near = steps[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2]
        own = steps[row, column]
        blur = 0.0 if is_aligned else np.hypot(ROUNDED, BLUR * np.sqrt(np.mean(near**2.0) / 12))
        sums, counts = [], []
        for former in formers:
            is_mean = (row, column) == (0, 0)
            seen = values if is_mean else values[values > former / 2]
            if len(seen) < FEWEST or former <= own:
                sums.append(0.0)
                counts.append(0)
                continue
            ratios = _ratios(seen, former, own=own, blur=blur, is_mean=is_mean)
            sums.append(np.log((1 - ODD) * ratios + ODD).sum())
            counts.append(len(seen))
        evidence += np.array(sums)[which]
        count += np.array(counts)[which]
    return evidence, count


def _ratios(
    values: npt.NDArray[np.float32], former: int, *, own: int, blur: float, is_mean: bool
) -> npt.NDArray[np.float64]:
    """Return p(value | former step) / p(value) for magnitudes.

    Those of the lowest frequency are about as frequent everywhere; others fall off exponentially,
    their multiples geometrically, at the likeliest rates.
    """
    nearest = np.rint(values / former)
    stop = 1.0 if is_mean else min(1 / max(nearest.mean(), 1), 1 - 1e-6)
    density = np.zeros(len(values))
    for multiple in (nearest - 1, nearest, nearest + 1):
        offset = values - multiple * former
        if blur:
            noise = np.exp(-0.5 * (offset / blur) ** 2) / (blur * np.sqrt(2 * np.pi))
        else:  # the second file rounded to multiples of its own step
            # The normal distribution function is near to (1 + tanh 0.85 x) / 2.
            above, below = (np.tanh(0.85 * (offset + s * own / 2) / ROUNDED) for s in (1, -1))
            noise = (above - below) / 2 / own
        chance = former if is_mean else stop * (1 - stop) ** (np.maximum(multiple, 1) - 1)
        density += np.where(is_mean | (multiple >= 1), chance * noise, 0)
    if is_mean:
        return density
    decay = max(float(values.mean()) - former / 2, 0.1)
    return density * decay * np.exp((values - former / 2) / decay)
