"""Adding a network's changes to a picture.

A network that changes nothing thus returns every picture bit for bit, whatever its coding: no
conversion back and forth leaves a trace.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from casjax.color import YCBCR_TO_RGB, rgb_to_ycbcr, rounded, ycbcr_to_rgb
from casjax.images.photographs import Coding
from casjax.jpeg import planes_to_rgb
from casjax.restoration import safeguard

GRID = 8  # pixels: the period of JPEG's blocks
ROWS = 256  # converted at once, whole JPEG blocks; bounds the memory

Pixels = npt.NDArray[np.uint8]


def to_planes(pixels: Pixels, coding: Coding) -> Pixels:
    """Return the planes Y, Cb and Cr of a picture in colour: uint8 [h, w, 3]."""
    if coding == "YCbCr":
        return pixels
    planes = np.empty_like(pixels)
    for rows in strips(pixels):
        planes[rows] = rounded(rgb_to_ycbcr(pixels[rows]))
    return planes


def on_grid(pixels: Pixels, grid: tuple[int, int]) -> tuple[Pixels, tuple[slice, slice]]:
    """Continue the edges at the top and left to where networks expect blocks to start.

    Args:
      pixels: uint8 [h, w] or [h, w, 3].
      grid: row and column of the first whole block, 0..7.

    Returns:
      The larger picture, and where in it the original is.
    """
    top, left = (-place % GRID for place in grid)
    margins = [(top, 0), (left, 0), (0, 0)][: pixels.ndim]
    larger = np.pad(pixels, margins, mode="edge") if top or left else pixels
    return larger, (slice(top, None), slice(left, None))


def changed(
    pixels: Pixels, coding: Coding, changes: Sequence[npt.NDArray[Any]], *, strength: float
) -> Pixels:
    """Add changes to a picture; what `safeguard` names stays as it is.

    Args:
      pixels: uint8 [h, w] (grey) or [h, w, 3].
      coding: what their channels are.
      changes: of luma, or of luma and both components of chroma, numbers [h, w] in levels of
        0..255. Those of chroma are set to zero where there is no colour.
      strength: how much of the changes is made, 0..1; with 0 it is the picture as a decoder shows
        it, to the bit.

    Returns:
      uint8 [h, w] or, in RGB, [h, w, 3].
    """
    restored = np.empty_like(pixels)
    for rows in strips(pixels):
        near = slice(max(0, rows.start - safeguard.REACH), rows.stop + safeguard.REACH)
        inner = slice(rows.start - near.start, rows.stop - near.start)
        if len(changes) == 3:
            _, cb, cr = np.moveaxis(to_planes(pixels[near], coding), -1, 0)
            has_none = safeguard.neutral(cb, cr)[inner]
            changes[1][rows][has_none] = changes[2][rows][has_none] = 0
        weakened = [np.multiply(strength, change[rows], dtype=np.float32) for change in changes]
        restored[rows] = _added(pixels[rows], coding, weakened)
        safeguard.keep_pure(restored[rows], as_shown(pixels[near], coding), inner)
    return restored


def _added(pixels: Pixels, coding: Coding, changes: Sequence[npt.NDArray[Any]]) -> Pixels:
    if coding == "grey":
        return rounded(np.add(pixels, changes[0], dtype=np.float32))
    change = np.stack(changes, axis=-1)
    if coding == "YCbCr":
        ycbcr = pixels.astype(np.float32)
        ycbcr[..., : len(changes)] += change
        restored = rounded(ycbcr_to_rgb(np.clip(ycbcr, 0, 255)))
        unchanged = ~change.any(-1)  # which libjpeg rounds differently now and then
        restored[unchanged] = planes_to_rgb(pixels[unchanged])
        return restored
    return rounded(pixels + change @ YCBCR_TO_RGB[:, : len(changes)].T)


def as_shown(pixels: Pixels, coding: Coding) -> Pixels:
    """Return pixels as a viewer shows them: uint8 [h, w] or RGB [h, w, 3]."""
    return planes_to_rgb(pixels) if coding == "YCbCr" else pixels


def strips(pixels: Pixels) -> Iterator[slice]:
    """Yield the rows of a picture, whole rows of JPEG blocks at a time."""
    return (slice(start, min(start + ROWS, len(pixels))) for start in range(0, len(pixels), ROWS))
