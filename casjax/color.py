"""Luma and colour: MATLAB's luma, on which networks are trained and scored, and that of JPEG files.

The two differ only in range: MATLAB's `rgb2ycbcr` has 16..235, JFIF files 0..255.
"""

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import jax

Pixels = TypeVar("Pixels", npt.NDArray[np.uint8], "jax.Array")

STUDIO_PER_FULL = 219 / 255  # levels of MATLAB's luma per level of JFIF's

# ITU-R BT.601 weights; blue and red differences scaled to the range of luma (ITU-T T.871).
_RED, _GREEN, _BLUE = 0.299, 0.587, 0.114
RGB_TO_YCBCR = np.array(
    [
        [_RED, _GREEN, _BLUE],
        [-_RED / 1.772, -_GREEN / 1.772, (1 - _BLUE) / 1.772],
        [(1 - _RED) / 1.402, -_GREEN / 1.402, -_BLUE / 1.402],
    ],
    np.float32,
)
YCBCR_TO_RGB = np.array(
    [
        [1, 0, 1.402],
        [1, -1.772 * _BLUE / _GREEN, -1.402 * _RED / _GREEN],
        [1, 1.772, 0],
    ],
    np.float32,
)


def rgb_to_luma(rgb: Pixels) -> Pixels:
    """Return the BT.601 studio-range luma of an RGB image, 16 (black) to 235 (white).

    Y = round(16 + (65.481 R + 128.553 G + 24.966 B) / 255), halves rounded up. This is MATLAB's
    `rgb2ycbcr` on uint8; the luma in JFIF files differs: its range is 0 to 255.

    Args:
      rgb: uint8 [..., 3] in 0..255, sRGB as stored (gamma-encoded), from NumPy or JAX.

    Returns:
      uint8 [...] in 16..235, from the same library.

    Raises:
      ValueError: `rgb` is not uint8 with three channels last.
    """
    if rgb.dtype != np.uint8 or rgb.shape[-1:] != (3,):
        raise ValueError(f"expected a uint8 [..., 3] image, got {rgb.dtype} {list(rgb.shape)}")
    # In thousandths, so that the rounding is exact; the largest sum, 6e7, fits int32.
    weighted = rgb.astype(np.int32) @ np.array([65_481, 128_553, 24_966], np.int32)
    return (16 + (weighted + 255_000 // 2) // 255_000).astype(np.uint8)


def rgb_to_ycbcr(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return the full-range YCbCr of JFIF files (ITU-T T.871, section 7).

    Args:
      rgb: uint8 [..., 3] in 0..255.

    Returns:
      float32 [..., 3] in 0..255, neither rounded nor clipped; grey has Cb = Cr = 128.
    """
    return rgb @ RGB_TO_YCBCR.T + np.array([0, 128, 128], np.float32)


def ycbcr_to_rgb(ycbcr: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Return the RGB of full-range JFIF YCbCr: the inverse of `rgb_to_ycbcr`.

    Args:
      ycbcr: numbers [..., 3] in 0..255.

    Returns:
      float32 [..., 3], neither rounded nor clipped: some YCbCr colours lie outside RGB.
    """
    centred = np.asarray(ycbcr, np.float32) - np.array([0, 128, 128], np.float32)
    return centred @ YCBCR_TO_RGB.T


def is_grey(rgb: npt.NDArray[Any]) -> bool:
    """Return whether the channels of ``[..., 3]`` are equal."""
    return bool((rgb == rgb[..., :1]).all())


def full_to_studio_range(luma: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
    """Map the luma of JFIF files, 0..255, to that of MATLAB, 16..235: float32, not rounded.

    Both are the same weighted sum of R, G and B; they differ only by this affine map.
    """
    return 16 + np.asarray(luma, np.float32) * np.float32(STUDIO_PER_FULL)


def rounded(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Round numbers of any shape to uint8 in 0..255."""
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)
