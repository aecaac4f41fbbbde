"""Subsampled components, and how libjpeg enlarges them to pixels.

Libjpeg doubles the samples of rows, columns or both with a triangle filter (jdsample.c, "fancy
upsampling"): a pixel is 3/4 of its own sample plus 1/4 of the neighbour on its side. For other
factors it repeats samples.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt

from casjax.color import rounded
from casjax.networks.consistency import project

# At the worst frequency a round leaves 1/2 of an error with one doubled axis, 3/4 with two. More
# rounds for the latter would mainly amplify the pixels' rounding errors.
ROUNDS = 8

DOUBLED = {(1, 2), (2, 1), (2, 2)}  # the factors for which libjpeg filters
STRIP = 256  # rows of samples that are projected at once
MARGIN = 16  # rows beyond a strip that can influence its samples

Factors = tuple[int, int]
"""Rows and columns of pixels for each sample."""


def upsample(
    samples: npt.NDArray[np.floating], factors: Factors, *, shape: tuple[int, int]
) -> npt.NDArray[np.float32]:
    """Enlarge samples [h, w] to pixels as libjpeg does, without its rounding.

    Args:
      samples: float [h, w], any range.
      factors: rows and columns of pixels for each sample.
      shape: height and width of the picture; anything beyond is cropped.

    Returns:
      float32 of that shape.
    """
    pixels = np.asarray(samples, np.float32)
    for axis, factor in enumerate(factors):
        is_doubled = factor == 2 and factors in DOUBLED
        pixels = _double(pixels, axis) if is_doubled else np.repeat(pixels, factor, axis)
    return pixels[: shape[0], : shape[1]]


def interpolate(samples: npt.NDArray[np.float32], factors: Factors) -> npt.NDArray[np.float32]:
    """Enlarge samples to pixels so that the mean of each one's pixels is the sample.

    Encoders take such means, which `upsample` blurs. Where a factor is a power of two, pixels
    follow the polynomial of fourth degree with the means of five samples; for other factors samples
    are repeated.

    Args:
      samples: float32 [h, w], any range.
      factors: rows and columns of pixels for each sample.

    Returns:
      float32 [h * rows, w * columns]. Each pixel depends on samples up to two places away, and
      for a factor of 4 three.
    """
    pixels = samples
    for axis, factor in enumerate(factors):
        if factor.bit_count() > 1:
            pixels = pixels.repeat(factor, axis)
            continue
        for _ in range(factor.bit_length() - 1):
            pixels = _halve(pixels, axis)
    return pixels


def undo_upsampling(pixels: npt.NDArray[np.uint8], factors: Factors) -> npt.NDArray[np.uint8]:
    """Return the samples that `upsample` enlarges to these pixels.

    They are found by repeated correction (Van Cittert), because the mean of a sample's pixels would
    be blurred. In practice the pixels' rounding leaves errors of at most one level.

    Args:
      pixels: uint8 [h, w] in 0..255.
      factors: rows and columns of pixels for each sample.

    Returns:
      uint8 [h / rows, w / columns], rounded up.
    """
    if factors == (1, 1):
        return pixels
    samples = _means(pixels.astype(np.float32), factors)
    if factors in DOUBLED:
        shape = pixels.shape[0], pixels.shape[1]
        for _ in range(ROUNDS):
            error = pixels - upsample(samples, factors, shape=shape)
            # Zeros beyond the picture: nothing is corrected that no pixel shows.
            samples += _means(error, factors, beyond="constant")
    return rounded(samples)


def keep_to(
    changes: npt.NDArray[np.float16],
    pixels: npt.NDArray[np.uint8],
    steps: npt.NDArray[np.int32],
    factors: Factors,
    *,
    tolerance: float,
) -> None:
    """Correct the changes to a component, in place, so that its file allows the result.

    A picture is allowed if the samples that the encoder makes of it, means over blocks of pixels,
    have DCT coefficients within half a step of the file's; see `consistency.project`. To reach the
    nearest allowed picture, move the samples to the nearest allowed ones, and each pixel by as much
    as its sample: the pseudo-inverse of taking means over disjoint blocks is repeating them. So a
    single projection of the samples also projects the picture. The picture that libjpeg decodes is
    itself not allowed, because its filter blurs.

    Args:
      changes: [h, w], in levels; overwritten.
      pixels: uint8 [h, w] in 0..255, the component as the decoder enlarges it.
      steps: integers [8, 8], its quantisation steps.
      factors: rows and columns of pixels for each of its samples.
      tolerance: see `tolerance_of`.
    """
    height, width = pixels.shape
    band = STRIP * factors[0]  # whole blocks; limits the memory
    # Samples are found with libjpeg's filter, so a strip needs some rows beyond its own.
    for start in range(0, height, band):
        near = slice(max(0, start - MARGIN * factors[0]), start + band + MARGIN * factors[0])
        samples = undo_upsampling(pixels[near], factors)
        inner = slice((start - near.start) // factors[0], None)
        samples = samples[inner][:STRIP]
        rows = slice(start, min(start + band, height))
        wanted = np.add(pixels[rows], changes[rows], dtype=np.float32)
        means = _means(wanted, factors)
        correction = project(means, samples, steps, tolerance=tolerance) - means
        for axis, factor in enumerate(factors):
            correction = correction.repeat(factor, axis)
        changes[rows] += correction[: len(wanted), :width].astype(changes.dtype)


def tolerance_of(factors: Factors, *, as_coded: bool) -> float:
    """Return by how many levels samples may differ from those that the coefficients give.

    Args:
      factors: rows and columns of pixels for each sample.
      as_coded: whether pixels are components as decoded, rather than computed from RGB.
    """
    return 1 if as_coded and factors == (1, 1) else 2  # for one rounding, or two


def _means(
    pixels: npt.NDArray[np.float32],
    factors: Factors,
    *,
    beyond: Literal["edge", "constant"] = "edge",
) -> npt.NDArray[np.float32]:
    """Return the mean of each sample's pixels; beyond the picture its edge goes on, or zeros."""
    rows, columns = factors
    padding = [(0, -size % factor) for size, factor in zip(pixels.shape, factors, strict=True)]
    whole = np.pad(pixels, padding, mode=beyond)
    height, width = whole.shape
    return whole.reshape(height // rows, rows, width // columns, columns).mean((1, 3))


def _halve(samples: npt.NDArray[np.float32], axis: int) -> npt.NDArray[np.float32]:
    """Split each sample into two whose mean it is; see `interpolate`."""
    samples = samples if axis == 0 else samples.T
    padded = np.pad(samples, ((2, 2), (0, 0)), mode="edge")
    near, far = padded[3:-1] - padded[1:-3], padded[4:] - padded[:-4]
    slope = near * np.float32(22 / 128) - far * np.float32(3 / 128)
    halves = np.stack([samples - slope, samples + slope], axis=1).reshape(-1, samples.shape[1])
    return halves if axis == 0 else halves.T


def _double(samples: npt.NDArray[np.float32], axis: int) -> npt.NDArray[np.float32]:
    samples = samples if axis == 0 else samples.T
    quarter = np.float32(0.25) * np.pad(samples, ((1, 1), (0, 0)), mode="edge")
    own = np.float32(0.75) * samples
    pairs = np.stack([own + quarter[:-2], own + quarter[2:]], axis=1)
    doubled: npt.NDArray[np.float32] = pairs.reshape(-1, samples.shape[1])
    return doubled if axis == 0 else doubled.T
