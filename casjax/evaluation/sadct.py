"""Pointwise shape-adaptive DCT (SA-DCT), the method without a neural network in Table II.

Foi, Katkovnik and Egiazarian, "Pointwise Shape-Adaptive DCT for High-Quality Denoising and
Deblocking of Grayscale and Color Images", IEEE Transactions on Image Processing 16(5), 2007;
implemented from its description, with the parameters of its authors' released scripts, version
1.40; the programs that these call are published only as machine code.

JPEG's artifacts are treated as white noise. From every pixel, lines in eight directions grow until
the picture changes by more than that noise; the octagon between their ends is a neighbourhood
without edges, whose DCT is sparse. All neighbourhoods are restored twice, by thresholding their
coefficients and then by a Wiener filter that takes the first result as the truth, and averaged
where they overlap.

Luma is float32 in [0, 1] here. Neighbourhoods have any shape: their pixels are kept in flat arrays,
and lines of equal length, from any neighbourhood, are transformed together by one matrix product.
"""

import functools
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

import jax
import numpy as np
import scipy.fft

from casjax.color import rounded
from casjax.jpeg import quantization_table

VERSION = 2  # raised whenever its results change, so that older scores are not taken for its own
# As steps (x, y), 45 degrees apart: neighbours enclose a sector of the octagon.
DIRECTIONS = ((1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1))
# Pixels of a line, including the one it starts from; the second stage has shorter ones.
THRESHOLDING_LENGTHS = (1, 2, 3, 5, 7, 9)
WIENER_LENGTHS = (1, 2, 3, 5, 6)
# The share of a fitted line, rather than of the mean, in the estimate from a line of each length.
LINEAR = (0.25, 0.3, 0.15, 0.1, 0.03, 0.0)
CHUNK = 512  # neighbourhoods at once: their arrays fit into the processor's cache
# Lines in one matrix product: too few for BLAS to use several threads, which would take longer
# while other processes keep the cores busy.
BLOCK = 64


def restore(degraded: np.ndarray | jax.Array, *, quality: int) -> np.ndarray:
    """Restore JPEG images by SA-DCT.

    `functools.partial(restore, quality=20)` is a restorer for `evaluator.evaluate`. It runs on the
    host and takes about half a minute per megapixel.

    Args:
      degraded: uint8 [n, h, w, 1] in 0..255, any height and width.
      quality: libjpeg quality factor in 1..100 that the images were saved with.

    Returns:
      uint8 [n, h, w, 1] in 0..255.

    Raises:
      ValueError: `degraded` has another shape or type, or `quality` is not one integer in 1..100.
    """
    degraded = np.asarray(degraded)
    if degraded.dtype != np.uint8 or degraded.ndim != 4 or degraded.shape[3] != 1:
        raise ValueError(f"expected uint8 [n, h, w, 1], got {degraded.dtype} {degraded.shape}")
    sigma = noise_level(quality)
    restored = np.empty_like(degraded)
    for i, image in enumerate(degraded):
        luma = _restore_image(image[..., 0].astype(np.float32) / 255, sigma)
        restored[i, ..., 0] = rounded(luma * 255)
    return restored


def noise_level(quality: int) -> float:
    """Return the standard deviation, in [0, 1], of the white noise that models the artifacts.

    The article fits it to the mean of the nine lowest-frequency quantisation steps.
    """
    steps = np.asarray(quantization_table(quality))
    if steps.ndim != 2:
        raise ValueError(f"expected one quality for all images, got {quality}")
    return float((7.65 * steps[:3, :3].mean()) ** 0.65 / 1150)


def _restore_image(noisy: np.ndarray, sigma: float) -> np.ndarray:
    """Restore float32 [h, w] in two stages."""
    gamma = max(0.8, 2.4 / math.log(1 + 60 * sigma))

    def hard_threshold(neighbourhoods: Neighbourhoods, coefficients: np.ndarray) -> np.ndarray:
        dct = neighbourhoods.dct
        thresholds = 0.925 * sigma * np.sqrt(2 * np.log(dct.sizes) + 1)
        return (np.abs(coefficients) > thresholds[dct.rows.region]).astype(np.float32)

    def wiener(neighbourhoods: Neighbourhoods, _: np.ndarray) -> np.ndarray:
        energy = np.square(neighbourhoods.transform(pilot)[1])
        return energy / (energy + sigma**2)

    scales = adaptive_scales(noisy, sigma=sigma, gamma=gamma)
    pilot = _average(noisy, scales, THRESHOLDING_LENGTHS, hard_threshold, prefer_small=True)
    shorter = np.minimum(scales, len(WIENER_LENGTHS) - 1)
    return _average(noisy, shorter, WIENER_LENGTHS, wiener, prefer_small=False)


def adaptive_scales(noisy: np.ndarray, *, sigma: float, gamma: float) -> np.ndarray:
    """Choose the length of a line from each pixel in each direction: anisotropic LPA-ICI.

    A line's local polynomial approximation, between its mean and the line fitted to it, estimates
    its first pixel with a standard deviation that falls with the length. Across an edge it is
    biased. The line chosen is the longest for which the confidence intervals of all estimates up to
    it have a value in common.

    Args:
      noisy: float32 [h, w].
      sigma: standard deviation of the noise.
      gamma: half the width of a confidence interval, in standard deviations of the estimate.

    Returns:
      int8 [h, w, 8], indices into `THRESHOLDING_LENGTHS` for each of `DIRECTIONS`.
    """
    height, width = noisy.shape
    reach = THRESHOLDING_LENGTHS[-1] - 1
    padded = np.pad(noisy, reach, mode="edge")
    scales = np.empty((height, width, len(DIRECTIONS)), np.int8)
    for i, (dx, dy) in enumerate(DIRECTIONS):
        lower, upper = np.full_like(noisy, -np.inf), np.full_like(noisy, np.inf)
        overlapping = np.zeros((height, width), np.int8)
        total, moment = np.zeros_like(noisy), np.zeros_like(noisy)
        for step in range(reach + 1):
            top, left = reach + step * dy, reach + step * dx
            pixels = padded[top : top + height, left : left + width]
            total += pixels
            moment += step * pixels
            length = step + 1
            if length in THRESHOLDING_LENGTHS:
                constant, slope = _weights(length)
                deviation = np.linalg.norm(constant + slope * np.arange(length))
                margin = np.float32(gamma * sigma * deviation)
                estimate = constant * total + slope * moment
                np.maximum(lower, estimate - margin, out=lower)
                np.minimum(upper, estimate + margin, out=upper)
                # The intersection only shrinks: once empty, it counts no further length.
                overlapping += lower <= upper
        scales[..., i] = overlapping - 1
    return scales


def _weights(length: int) -> tuple[np.float32, np.float32]:
    """Return c and s: pixel i of a line has the weight c + s i in the estimate of the first one."""
    share = LINEAR[THRESHOLDING_LENGTHS.index(length)]
    pairs = length * (length + 1)
    constant = (1 - share) / length + share * (4 * length - 2) / pairs
    return np.float32(constant), np.float32(-6 * share / pairs)


def _average(
    noisy: np.ndarray,
    scales: np.ndarray,
    lengths: tuple[int, ...],
    gain: "Gain",
    *,
    prefer_small: bool,
) -> np.ndarray:
    """Restore all neighbourhoods and average them where they overlap; float32 [h, w].

    Each is weighted by the inverse of its estimate's variance, and if small ones are preferred by
    that of its size. (The article has the size in its weights. With it in both stages, PSNR-B at 20
    is 0.08 dB lower on crops of LIVE1, and farther from the published one.)
    """
    total, total_weight = np.zeros(noisy.size, np.float32), np.zeros(noisy.size, np.float32)
    for neighbourhoods in _neighbourhoods(scales, lengths):
        pixels, dct = neighbourhoods
        means, coefficients = neighbourhoods.transform(noisy)
        gains = gain(neighbourhoods, coefficients)
        restored = dct.inverse(gains * coefficients) + means[dct.columns.region]

        # The variance over all pixels, in units of that of the noise; the 1 is the mean's, which no
        # gain touches.
        variances = 1 + np.bincount(dct.rows.region, np.square(gains), len(means))
        weights = 1 / (variances * dct.sizes if prefer_small else variances)
        weights = weights.astype(np.float32)[dct.columns.region]
        np.add.at(total, pixels, weights * restored)
        np.add.at(total_weight, pixels, weights)
    return (total / total_weight).reshape(noisy.shape)


class Neighbourhoods(NamedTuple):
    """Some neighbourhoods in a picture."""

    pixels: np.ndarray  # flat indices into the picture, in the order of the transform
    dct: "ShapeAdaptiveDCT"

    def transform(self, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return each neighbourhood's mean, and the coefficients of the remainder.

        The transform of a constant has energy beyond its first coefficient, unless the shape is a
        rectangle; so the mean is kept separately.
        """
        values, region = picture.ravel()[self.pixels], self.dct.columns.region
        sums = np.bincount(region, values, len(self.dct.sizes))
        means = (sums / self.dct.sizes).astype(np.float32)
        return means, self.dct.forward(values - means[region])


Gain: TypeAlias = Callable[[Neighbourhoods, np.ndarray], np.ndarray]
"""Returns factors in [0, 1] for the coefficients of neighbourhoods, float32 like them."""


def _neighbourhoods(scales: np.ndarray, lengths: tuple[int, ...]) -> Iterator[Neighbourhoods]:
    """Place an octagon around every pixel, without the part outside the picture."""
    height, width, _ = scales.shape
    reach = lengths[-1] - 1
    steps = np.arange(-reach, reach + 1)
    for first in range(0, height * width, CHUNK):
        centres = np.arange(first, min(first + CHUNK, height * width))
        y, x = np.divmod(centres, width)
        masks = octagons(scales[y, x], lengths)
        masks &= _inside(x[:, None] + steps, width)[:, :, None]
        masks &= _inside(y[:, None] + steps, height)[:, None, :]
        dct = ShapeAdaptiveDCT(masks)
        region, column, row = dct.columns.region, dct.columns.line, dct.columns.place
        yield Neighbourhoods(centres[region] + steps[row] * width + steps[column], dct)


def _inside(positions: np.ndarray, size: int) -> np.ndarray:
    return (positions >= 0) & (positions < size)


def octagons(scales: np.ndarray, lengths: tuple[int, ...]) -> np.ndarray:
    """Draw the octagons, convex or not, spanned by the ends of eight lines.

    Args:
      scales: integers [n, 8], indices into `lengths` for each of `DIRECTIONS`.
      lengths: of lines, in pixels, ascending.

    Returns:
      bool [n, side, side], x before y, with the lines' common start in the middle.
    """
    sectors = _sectors(lengths)
    masks = sectors[0, scales[:, 0], scales[:, 1]]
    for i in range(1, len(DIRECTIONS)):
        masks |= sectors[i, scales[:, i], scales[:, (i + 1) % len(DIRECTIONS)]]
    return masks


@functools.cache
def _sectors(lengths: tuple[int, ...]) -> np.ndarray:
    """Draw all triangles between neighbouring lines: bool [8, line, next line, x, y]."""
    reach = lengths[-1] - 1
    side = 2 * reach + 1
    sectors = np.zeros((len(DIRECTIONS), len(lengths), len(lengths), side, side), bool)
    for i, (x, y) in enumerate(DIRECTIONS):
        next_x, next_y = DIRECTIONS[(i + 1) % len(DIRECTIONS)]
        for j, length in enumerate(lengths):
            for k, next_length in enumerate(lengths):
                end, next_end = length - 1, next_length - 1
                a, b = np.mgrid[: end + 1, : next_end + 1]
                a, b = a[inner := a * next_end + b * end <= end * next_end], b[inner]
                places = reach + a * x + b * next_x, reach + a * y + b * next_y
                sectors[i, j, k][places] = True
    return sectors


class ShapeAdaptiveDCT:
    """The orthonormal DCT of regions of any shape, many at once, after Sikora and Makai (1995).

    Each column, closed up over gaps, is transformed by a DCT of its own length; then each row of
    coefficients of one vertical frequency, likewise.

    Attributes:
      sizes: int [n], pixels of each region.
      columns: the order of pixels in flat arrays.
      rows: the order of coefficients in flat arrays.
    """

    def __init__(self, masks: np.ndarray) -> None:
        """Prepare the transform of n regions, bool [n, side, side], x before y."""
        self.sizes = masks.sum((1, 2))
        self.columns = _lines(masks)
        frequencies = np.arange(masks.shape[2]) < masks.sum(2)[..., None]
        self.rows = _lines(frequencies.swapaxes(1, 2))
        # A row's element is its column's coefficient, and the row is that coefficient's frequency.
        self._columns_to_rows = (
            self.columns.starts[self.rows.region, self.rows.place] + self.rows.line
        )

    def forward(self, values: np.ndarray) -> np.ndarray:
        """Transform float32 pixels in the order of `columns` to coefficients in that of `rows`."""
        coefficients = _dct_of_lines(values, self.columns.counts)
        return _dct_of_lines(coefficients[self._columns_to_rows], self.rows.counts)

    def inverse(self, coefficients: np.ndarray) -> np.ndarray:
        """Transform float32 coefficients in the order of `rows` to pixels in that of `columns`."""
        values = np.empty_like(coefficients)
        values[self._columns_to_rows] = _dct_of_lines(coefficients, self.rows.counts, inverse=True)
        return _dct_of_lines(values, self.columns.counts, inverse=True)


class Lines(NamedTuple):
    """The elements set in bool [n, lines, places], line by line, the shorter lines first."""

    region: np.ndarray  # of every element, the first index
    line: np.ndarray  # the second
    place: np.ndarray  # the third
    starts: np.ndarray  # [n, lines], where a line's elements start
    counts: np.ndarray  # [places + 1], how many lines there are of each length


def _lines(masks: np.ndarray) -> Lines:
    lines = masks.reshape(-1, masks.shape[2])
    lengths = lines.sum(1, dtype=np.uint8)
    counts = np.bincount(lengths, minlength=masks.shape[2] + 1)
    order = np.argsort(lengths, kind="stable")[counts[0] :]  # without empty lines
    element, place = np.nonzero(lines[order])
    region, line = np.divmod(order, masks.shape[1])
    starts = np.zeros(len(lines), np.intp)
    starts[order] = np.cumsum(lengths[order], dtype=np.intp) - lengths[order]
    return Lines(region[element], line[element], place, starts.reshape(masks.shape[:2]), counts)


def _dct_of_lines(values: np.ndarray, counts: np.ndarray, *, inverse: bool = False) -> np.ndarray:
    """Transform lines, the shorter first, given how many there are of each length."""
    transformed = np.empty_like(values)
    stop = 0
    for length, count in enumerate(counts):
        start, stop = stop, stop + count * length
        if count and length:
            matrix = _dct_matrix(length) if inverse else _dct_matrix(length).T
            lines = values[start:stop].reshape(count, length)
            whole = count - count % BLOCK
            blocks = lines[:whole].reshape(-1, BLOCK, length) @ matrix
            transformed[start:stop] = np.concatenate([*blocks, lines[whole:] @ matrix]).ravel()
    return transformed


@functools.cache
def _dct_matrix(length: int) -> np.ndarray:
    """Return the orthonormal DCT-II, float32 [frequency, place]."""
    return scipy.fft.dct(np.eye(length), axis=0, norm="ortho").astype(np.float32)
