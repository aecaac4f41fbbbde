"""Restoring a whole picture with a colour network, which is told the quantisation tables."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from casjax.color import rgb_to_ycbcr, rounded
from casjax.images.photographs import Coding, Photograph
from casjax.jpeg import quantization_tables
from casjax.networks.colour_restorer import ColourRestorer
from casjax.networks.refinement import mean_over_turns
from casjax.restoration.changes import Pixels, changed, strips
from casjax.restoration.limits import Limit, limits_of
from casjax.restoration.quality import estimate_quality
from casjax.restoration.sampling import keep_to, tolerance_of

GRID = 8  # pixels: the period of JPEG's blocks
NEUTRAL = 128  # the chroma of grey

Tables = npt.NDArray[np.int32]
"""The quantisation steps of luma and chroma, [2, 8, 8]."""


def restore_in_colour(
    photograph: Photograph,
    restorer: ColourRestorer,
    *,
    tables: Tables,
    consistent: bool,
    ensemble: bool,
    strength: float = 1,
    grid: tuple[int, int] = (0, 0),
) -> Pixels:
    """Restore a photograph, all planes in one pass, by adding the network's changes to it.

    Args:
      photograph: the picture; a grey one is treated as having neutral chroma.
      restorer: made by `loading.load_restorer`.
      tables: see `tables_of`.
      consistent: keep to the pictures that the file allows, see `sampling.keep_to`.
      ensemble: average over the eight flips and rotations.
      strength: see `changes.changed`.
      grid: row and column of the first whole block, see `choosing.Choice`.

    Returns:
      uint8 [h, w] or, in RGB, [h, w, 3], in the file's orientation.

    Raises:
      ValueError: `consistent` is set, but the file's own components are not available.
    """
    return restore_pixels(
        photograph.pixels,
        restorer,
        coding=photograph.coding,
        tables=tables,
        limits=limits_of(photograph) if consistent else [],
        ensemble=ensemble,
        strength=strength,
        grid=grid,
    )


def restore_pixels(
    pixels: Pixels,
    restorer: ColourRestorer,
    *,
    coding: Coding,
    tables: Tables,
    ensemble: bool,
    strength: float = 1,
    limits: Sequence[Limit] = (),
    grid: tuple[int, int] = (0, 0),
) -> Pixels:
    """Restore pixels, uint8 [h, w] (grey) or [h, w, 3], as `restore_in_colour` does.

    The first components are kept to what ``limits`` allow, one limit for each.
    """
    planes = _planes(pixels, coding)
    top, left = (-place % GRID for place in grid)  # networks expect it at the top left
    seen = np.pad(planes, ((top, 0), (left, 0), (0, 0)), mode="edge") if top or left else planes

    def change(picture: Pixels) -> npt.NDArray[np.float16]:
        # Tables would turn with the picture, but the network is told nothing of their directions.
        of_picture: npt.NDArray[np.float16] = restorer(picture[None], tables)[0]
        return of_picture

    all_changes = mean_over_turns(change, seen).astype(np.float16) if ensemble else change(seen)
    changes = all_changes[top:, left:]
    for i, (steps, factors) in enumerate(limits):
        off = tolerance_of(factors, as_coded=coding != "RGB")
        keep_to(changes[..., i], planes[..., i], steps, factors, tolerance=off)
    count = 1 if coding == "grey" else 3
    return changed(pixels, coding, [changes[..., i] for i in range(count)], strength=strength)


def tables_of(photograph: Photograph, quality: int | None) -> Tables:
    """Return the quantisation tables that the network is told for a photograph.

    They are libjpeg's for a quality factor or, without one, the file's own. A grey file's table is
    combined with libjpeg's chroma table of the nearest quality.

    Raises:
      ValueError: there is neither, or the file lacks a table that it refers to.
    """
    if quality is not None:
        return np.asarray(quantization_tables(quality))
    if photograph.header is None:
        raise ValueError("the JPEG quality, which the network needs, is unknown: give --qf")
    luma, *others = photograph.header.steps
    if others:
        return np.stack([luma, others[0]]).astype(np.int32)
    nearest = estimate_quality(luma).factor
    return np.stack([luma, quantization_tables(nearest)[1]]).astype(np.int32)


def _planes(pixels: Pixels, coding: Coding) -> Pixels:
    """Return Y, Cb and Cr, uint8 [h, w, 3]."""
    if coding == "YCbCr":
        return pixels
    planes = np.full((*pixels.shape[:2], 3), NEUTRAL, np.uint8)
    if coding == "grey":
        planes[..., 0] = pixels
        return planes
    for rows in strips(pixels):
        planes[rows] = rounded(rgb_to_ycbcr(pixels[rows]))
    return planes
