"""Restoring a picture with a network for luma, component by component.

Each component is restored at the resolution in which its file holds it.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from casjax.color import STUDIO_PER_FULL, full_to_studio_range, rgb_to_ycbcr, rounded
from casjax.images.photographs import Coding, Photograph
from casjax.networks.consistency import project
from casjax.networks.inference import Restorer
from casjax.networks.refinement import restore_component
from casjax.restoration.changes import Pixels, changed, strips
from casjax.restoration.limits import Limit, limits_of
from casjax.restoration.sampling import Factors, tolerance_of, undo_upsampling, upsample


def restore_in_luma(
    photograph: Photograph,
    restorer: Restorer,
    *,
    chroma: bool,
    consistent: bool,
    ensemble: bool,
    strength: float = 1,
    grid: tuple[int, int] = (0, 0),
) -> Pixels:
    """Restore a photograph with what its file says of its components.

    Args:
      photograph: the picture.
      restorer: made by `loading.load_restorer`.
      chroma: restore colour too, at the resolution that the file holds it in.
      consistent: keep to the pictures that the file allows, see `consistency.project`: each
        component to its own samples.
      ensemble: average the eight flips and turns.
      strength: see `changes.changed`.
      grid: row and column of the first whole block, see `choosing.Choice`; where the result is to
        be consistent it is the file's.

    Returns:
      uint8 [h, w] or, in RGB, [h, w, 3]; turned as the file holds it.

    Raises:
      ValueError: `consistent` without the file's own components.
    """
    return restore_pixels(
        photograph.pixels,
        restorer,
        coding=photograph.coding,
        chroma=chroma,
        components=limits_of(photograph) if consistent or photograph.has_steps else [],
        consistent=consistent,
        ensemble=ensemble,
        strength=strength,
        grid=grid,
    )


def restore_pixels(
    pixels: Pixels,
    restorer: Restorer,
    *,
    coding: Coding,
    chroma: bool,
    ensemble: bool,
    strength: float = 1,
    components: Sequence[Limit] = (),
    consistent: bool = False,
    grid: tuple[int, int] = (0, 0),
) -> Pixels:
    """Restore pixels, uint8 [h, w] (grey) or [h, w, 3], as `restore_in_luma` does.

    What is known of the `components` tells their resolution and, where the result is to be
    `consistent`, limits it.
    """
    planes = _planes(pixels, coding, chroma=chroma)
    known: Sequence[tuple[npt.NDArray[np.int32] | None, Factors]]
    known = components[: len(planes)] or [(None, (1, 1))] * len(planes)
    changes = [
        _change(
            plane,
            restorer,
            ensemble=ensemble,
            factors=factors,
            steps=steps if consistent else None,
            as_coded=coding != "RGB",
            grid=(0, 0) if consistent or factors != (1, 1) else grid,
        )
        for plane, (steps, factors) in zip(planes, known, strict=True)
    ]
    return changed(pixels, coding, changes, strength=strength)


def _planes(pixels: Pixels, coding: Coding, *, chroma: bool) -> list[Pixels]:
    """Return luma and, if wanted, the two planes of chroma, all uint8 [h, w]."""
    if coding == "grey":
        return [pixels]
    count = 3 if chroma else 1
    if coding == "YCbCr":
        return [pixels[..., i] for i in range(count)]
    planes = [np.empty(pixels.shape[:2], np.uint8) for _ in range(count)]
    for rows in strips(pixels):
        ycbcr = rounded(rgb_to_ycbcr(pixels[rows]))
        for i, plane in enumerate(planes):
            plane[rows] = ycbcr[..., i]
    return planes


def _change(
    component: Pixels,
    restorer: Restorer,
    *,
    ensemble: bool,
    factors: Factors = (1, 1),
    steps: npt.NDArray[np.int32] | None = None,
    as_coded: bool = True,
    grid: tuple[int, int] = (0, 0),
) -> npt.NDArray[np.int16]:
    """Return what restoration adds to a component: int16 [h, w], in levels of 0..255."""
    if grid != (0, 0):  # networks expect it at the top left: extend the edge to there
        margins = [(-place % 8, 0) for place in grid]
        (top, _), (left, _) = margins
        continued = np.pad(component, margins, mode="edge")
        return _change(continued, restorer, ensemble=ensemble)[top:, left:]
    samples = undo_upsampling(component, factors)
    degraded = _TO_STUDIO_RANGE[samples]
    restored = restore_component(restorer, degraded, ensemble=ensemble)
    change = np.empty(samples.shape, np.int16)
    for rows in strips(samples):
        wanted = (restored[rows].astype(np.float32) - degraded[rows]) / np.float32(STUDIO_PER_FULL)
        if steps is not None:
            off = tolerance_of(factors, as_coded=as_coded)
            kept = project(samples[rows] + wanted, samples[rows], steps, tolerance=off)
            wanted = kept - samples[rows]
        change[rows] = np.rint(np.clip(samples[rows] + wanted, 0, 255)) - samples[rows]
    if factors != (1, 1):
        shape = component.shape[0], component.shape[1]
        enlarged = upsample(change.astype(np.float32), factors, shape=shape)
        change = np.rint(enlarged).astype(np.int16)
    return change


# Networks use luma from 16 to 235.
_TO_STUDIO_RANGE = rounded(full_to_studio_range(np.arange(256)))
