"""Components with fewer samples than the picture has pixels, and libjpeg's way back to pixels.

Libjpeg doubles the samples of a row or column by a triangle filter (jdsample.c, "fancy
upsampling"): a pixel is 3/4 of its own sample and 1/4 of the neighbour on its side. With other
factors it repeats samples.
"""

import numpy as np
import numpy.typing as npt

# At the worst frequency a round leaves 1/2 of an error with one doubled axis, 3/4 with two. More
# rounds of the latter would rather amplify what was rounded in the pixels.
ROUNDS = 8

Factors = tuple[int, int]
"""Rows and columns of pixels for each sample."""


def upsample(
    samples: npt.NDArray[np.floating], factors: Factors, *, shape: tuple[int, int]
) -> npt.NDArray[np.float32]:
    """Enlarge samples [h, w] to pixels as libjpeg does, before its rounding.

    Args:
      samples: float [h, w], any range.
      factors: rows and columns of pixels for each sample.
      shape: height and width of the picture; what lies beyond is cut off.

    Returns:
      float32 of that shape.
    """
    pixels = np.asarray(samples, np.float32)
    for axis, factor in enumerate(factors):
        pixels = _double(pixels, axis) if factor == 2 else np.repeat(pixels, factor, axis)
    return pixels[: shape[0], : shape[1]]


def undo_upsampling(pixels: npt.NDArray[np.uint8], factors: Factors) -> npt.NDArray[np.uint8]:
    """Find the samples that `upsample` enlarges to these pixels.

    Solved by repeated correction (Van Cittert), because the mean of a sample's pixels would be a
    blurred sample: what was rounded in the pixels leaves errors of a level at most, in practice.

    Args:
      pixels: uint8 [h, w] in 0..255.
      factors: rows and columns of pixels for each sample.

    Returns:
      uint8 [h / rows, w / columns], rounded up.
    """
    if factors == (1, 1):
        return pixels
    padding = [(0, -size % factor) for size, factor in zip(pixels.shape, factors, strict=True)]
    samples = _mean(np.pad(pixels, padding, mode="edge").astype(np.float32), factors)
    if 2 in factors:
        shape = pixels.shape[0], pixels.shape[1]
        for _ in range(ROUNDS):
            # Zeros beyond the picture: what no pixel shows is not corrected.
            error = np.pad(pixels - upsample(samples, factors, shape=shape), padding)
            samples += _mean(error, factors)
    return np.rint(np.clip(samples, 0, 255)).astype(np.uint8)


def _mean(pixels: npt.NDArray[np.float32], factors: Factors) -> npt.NDArray[np.float32]:
    rows, columns = factors
    height, width = pixels.shape
    return pixels.reshape(height // rows, rows, width // columns, columns).mean((1, 3))


def _double(samples: npt.NDArray[np.float32], axis: int) -> npt.NDArray[np.float32]:
    samples = samples if axis == 0 else samples.T
    before = np.concatenate([samples[:1], samples[:-1]])
    after = np.concatenate([samples[1:], samples[-1:]])
    own = np.float32(0.75) * samples
    pairs: npt.NDArray[np.float32] = np.stack(
        [own + np.float32(0.25) * before, own + np.float32(0.25) * after], axis=1
    )
    doubled = pairs.reshape(-1, samples.shape[1])
    return doubled if axis == 0 else doubled.T
