"""Luma: the one channel that the paper trains and scores on, as MATLAB's `rgb2ycbcr` gives it."""

import numpy as np
import numpy.typing as npt


def rgb_to_luma(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the BT.601 studio-range luma of an RGB image, 16 (black) to 235 (white).

    Y = round(16 + (65.481 R + 128.553 G + 24.966 B) / 255), a half rounded up. This is MATLAB's
    `rgb2ycbcr` on uint8; the luma inside JFIF files is another one, with the range 0 to 255.

    Args:
      rgb: uint8 [..., 3] in 0..255, sRGB as stored (gamma-encoded).

    Returns:
      uint8 [...] in 16..235.

    Raises:
      ValueError: `rgb` is not uint8 with three channels last.
    """
    if rgb.dtype != np.uint8 or rgb.shape[-1:] != (3,):
        raise ValueError(f"expected a uint8 [..., 3] image, got {rgb.dtype} {list(rgb.shape)}")
    # In thousandths, so that the rounding is exact; the largest sum, 6e7, fits int32.
    weighted = rgb.astype(np.int32) @ np.array([65_481, 128_553, 24_966], np.int32)
    return (16 + (weighted + 255_000 // 2) // 255_000).astype(np.uint8)
