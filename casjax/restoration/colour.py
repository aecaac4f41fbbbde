"""Restoring a whole picture with a colour network, which is told the quantisation tables."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from casjax.images.photographs import Coding, Photograph
from casjax.jpeg import quantization_tables
from casjax.networks.colour_restorer import ColourRestorer
from casjax.networks.refinement import mean_over_turns
from casjax.restoration.changes import Pixels, changed, on_grid, to_planes
from casjax.restoration.limits import Limit
from casjax.restoration.quality import estimate_quality
from casjax.restoration.sampling import keep_to, tolerance_of

NEUTRAL = 128  # the chroma of grey

Tables = npt.NDArray[np.int32]
"""The quantisation steps of luma and chroma, [2, 8, 8]."""


def restore_pixels(
    pixels: Pixels,
    restorer: ColourRestorer,
    *,
    coding: Coding,
    tables: Tables,
    limits: Sequence[Limit],
    ensemble: bool,
    strength: float,
    grid: tuple[int, int],
) -> Pixels:
    """Restore all planes in one pass, by adding the network's changes to them.

    Args:
      pixels: uint8 [h, w] (grey), which is treated as having neutral chroma, or [h, w, 3].
      restorer: made by `loading.load_restorer`.
      coding: what their channels are.
      tables: see `tables_of`.
      limits: what the first components are kept to, see `sampling.keep_to`, one for each.
      ensemble: average over the eight flips and rotations.
      strength: see `changes.changed`.
      grid: row and column of the first whole block, see `choosing.Choice`.

    Returns:
      uint8 [h, w] or, in RGB, [h, w, 3], in the file's orientation.
    """
    if coding == "grey":
        planes = np.full((*pixels.shape, 3), NEUTRAL, np.uint8)
        planes[..., 0] = pixels
    else:
        planes = to_planes(pixels, coding)
    seen, inside = on_grid(planes, grid)

    def change(picture: Pixels) -> npt.NDArray[np.float16]:
        # Tables would turn with the picture, but the network is told nothing of their directions.
        of_picture: npt.NDArray[np.float16] = restorer(picture[None], tables)[0]
        return of_picture

    all_changes = mean_over_turns(change, seen).astype(np.float16) if ensemble else change(seen)
    changes = all_changes[inside]
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
