"""Recognising from its pixels that a JPEG file was a coarser JPEG before.

On the first file's block grid, wherever it lies after cropping, coefficients still cluster around
multiples of its steps, blurred by the second file's rounding. Each former quality factor and grid
predicts where they cluster (as in `traces`, after Fan and de Queiroz 2003). On the file's own grid
the likeliest is taken if it explains them better than a smoothly decaying distribution. On the 63
others coefficients are hardly distributed in another way, so one is taken if it leads the rest:
that shows a former JPEG even where the blur is nearly as wide as its steps.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from casjax.jpeg import ANNEX_K_LUMA
from casjax.networks.consistency import ORTHONORMAL_DCT
from casjax.restoration.quality import libjpeg_tables
from casjax.restoration.traces import CROWD, FREQUENCIES, MARGIN, MARGIN_OF_EACH, ODD, Trace

GRID = 8  # pixels: the period of blocks
WINDOW = 2 * GRID - 1  # pixels: holds a block of every grid
WINDOWS = 4096  # analysed, spread over the picture
COARSER = 1.4  # ratio of former to present steps, on average, above which they show and matter
WAVES = 4  # frequencies in each direction that are computed
LOW = [(row, column) for row in range(WAVES) for column in range(WAVES) if row + column < WAVES]
BINS = np.arange(0.25, 1024, 0.5)  # the middles of histograms of magnitudes
FEWEST = 8  # coefficients for each grid, on average, that a frequency needs to be considered
ROUNDED = 0.4  # standard deviation of a coefficient from rounding pixels to integers
BLUR = 1.5  # times that of uniform errors over the file's steps, on a grid other than the file's
# A former JPEG on the file's own grid must be likelier than none by `traces.MARGIN`, and on another
# grid likelier than on any third by this. Of 25 photographs of BSDS500 saved once at 30, 50, 75 and
# 90 none leads by more than 33 nats; half of those saved twice at (30, 50), on two grids, lead by
# more than 800, and by more than 0.1 for each coefficient.
LEAD, LEAD_OF_EACH = 100.0, 0.02
# Coefficients that must take part: drawings have few distinct blocks, whose values may lie at such
# multiples by chance.
ENOUGH = 200


class _Evidence(NamedTuple):
    """How much likelier each table is than none, by grid and table.

    Attributes:
      nats: [grids, tables], over all coefficients.
      used: [grids, tables], how many coefficients that is concluded from.
      frequencies: [grids, tables], by how many frequencies, without the mean, this grid is the
        likeliest. Drawings enlarged by whole numbers have only means at multiples of some step.
    """

    nats: npt.NDArray[np.float64]
    used: npt.NDArray[np.float64]
    frequencies: npt.NDArray[np.int64]


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
    if not len(tables) or min(luma.shape) < WINDOW:
        return None
    counts = _histograms(luma)
    own = _evidence(counts[:, :1], tables, steps, is_aligned=True)
    others = _evidence(counts[:, 1:], tables, steps, is_aligned=False)
    found = _likeliest(own, MARGIN, MARGIN_OF_EACH), _likeliest(others, LEAD, LEAD_OF_EACH)
    places = [
        (nats, place + i, table) for i, each in enumerate(found) for nats, place, table in each
    ]
    if not places:
        return None
    _, place, table = max(places)
    return Trace(int(np.flatnonzero(coarser)[table]) + 1, divmod(place, GRID))


def _likeliest(
    evidence: _Evidence, margin: float, margin_of_each: float
) -> list[tuple[float, int, int]]:
    """Return the likeliest grid and table, with its nats, if it is so by a margin; or nothing.

    The margin is over no former JPEG and, where there are other grids, over them.
    """
    grid, table = map(int, np.unravel_index(np.argmax(evidence.nats), evidence.nats.shape))
    nats, used = evidence.nats[grid, table], evidence.used[grid, table]
    if used < ENOUGH or evidence.frequencies[grid, table] < FREQUENCIES:
        return []
    rivals = np.delete(evidence.nats[:, table], grid)
    ahead = nats - max(rivals, default=0.0)
    return [(nats, grid, table)] if ahead >= max(margin, margin_of_each * used) else []


def _histograms(luma: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Count the magnitudes of coefficients: [LOW, grids, BINS], grids by row and then column.

    Windows with a pixel clipped to 0 or 255 are left out, because their coefficients are unknown;
    those with equal blocks of the file, as in drawings and plain backgrounds, count once.
    """
    windows = np.lib.stride_tricks.sliding_window_view(luma, (WINDOW, WINDOW))[::GRID, ::GRID]
    rows, columns = windows.shape[:2]
    spread = np.linspace(0, rows * columns, min(rows * columns, WINDOWS), endpoint=False, dtype=int)
    chosen = windows[spread // columns, spread % columns]
    chosen = chosen[(chosen.min((1, 2)) > 0) & (chosen.max((1, 2)) < 255)]
    blocks = chosen[:, :GRID, :GRID].reshape(-1, GRID * GRID)
    chosen = chosen[np.unique(blocks, axis=0, return_index=True)[1]]
    transform = np.zeros((GRID, WAVES, WINDOW), np.float32)
    for offset in range(GRID):
        transform[offset, :, offset : offset + GRID] = ORTHONORMAL_DCT[:WAVES]
    every = transform.reshape(-1, WINDOW)
    found = np.abs(every @ (chosen.astype(np.float32) - 128) @ every.T)
    places = np.minimum(found * 2, len(BINS) - 1).astype(np.int32)
    places = places.reshape(-1, GRID, WAVES, GRID, WAVES)
    start = len(BINS) * np.arange(GRID * GRID, dtype=np.int32).reshape(GRID, GRID)
    size = GRID * GRID * len(BINS)
    counts = [
        np.bincount((places[:, :, row, :, column] + start).ravel(), minlength=size)
        for row, column in LOW
    ]
    return np.stack(counts).reshape(len(LOW), GRID * GRID, len(BINS)).astype(np.float32)


def _evidence(
    counts: npt.NDArray[np.float32],
    tables: npt.NDArray[np.int32],
    steps: npt.NDArray[np.int32],
    *,
    is_aligned: bool,
) -> _Evidence:
    shape = counts.shape[1], len(tables)
    nats, used, frequencies = np.zeros(shape), np.zeros(shape), np.zeros(shape, int)
    for (row, column), counted in zip(LOW, counts, strict=True):
        formers, which = np.unique(tables[:, row, column], return_inverse=True)
        near = steps[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2]
        own = int(steps[row, column])
        blur = 0.0 if is_aligned else np.hypot(ROUNDED, BLUR * np.sqrt(np.mean(near**2.0) / 12))
        is_mean = (row, column) == (0, 0)
        sums, numbers = np.zeros((2, shape[0], len(formers)))
        for i, former in enumerate(formers.tolist()):
            seen = slice(0 if is_mean else former, None)  # from half the former step, in bins
            values, weights = BINS[seen], counted[:, seen]
            together = weights.sum(0)
            if former <= own or together.sum() < FEWEST * len(counted):
                continue
            ratios = _ratios(values, together, former, own=own, blur=blur, is_mean=is_mean)
            logs = weights * np.log((1 - ODD) * ratios + ODD)
            sums[:, i] = _crowded(logs, weights, former) if is_mean else logs.sum(1)
            numbers[:, i] = weights.sum(1)
        nats += sums[:, which]
        used += numbers[:, which]
        leads = (numbers > 0) & (sums == sums.max(0))
        frequencies += leads[:, which] & (not is_mean)
    return _Evidence(nats, used, frequencies)


def _ratios(
    values: npt.NDArray[np.float64],
    weights: npt.NDArray[np.float32],
    former: int,
    *,
    own: int,
    blur: float,
    is_mean: bool,
) -> npt.NDArray[np.float64]:
    """Return p(value | former step) / p(value) for magnitudes.

    Magnitudes at the lowest frequency are taken as uniform; others decay exponentially, and their
    multiples geometrically, at the likeliest rates for the weights of the values.
    """
    nearest = np.rint(values / former)
    mean_of_nearest = max(float(np.average(nearest, weights=weights)), 1)
    stop = 1.0 if is_mean else min(1 / mean_of_nearest, 1 - 1e-6)
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
    decay = max(float(np.average(values, weights=weights)) - former / 2, 0.1)
    rarity = np.minimum((values - former / 2) / decay, 500)  # does not overflow
    return density * decay * np.exp(rarity)


def _crowded(
    logs: npt.NDArray[np.float64], weights: npt.NDArray[np.float32], former: int
) -> npt.NDArray[np.float64]:
    """Sum the logs over bins, those of the means at one multiple at most `CROWD` times."""
    starts = np.flatnonzero(np.diff(np.rint(BINS / former), prepend=-1))
    sizes = np.add.reduceat(weights, starts, axis=1)
    shares = np.minimum(1, CROWD / np.maximum(sizes, 1))
    crowded: npt.NDArray[np.float64] = (np.add.reduceat(logs, starts, axis=1) * shares).sum(1)
    return crowded
