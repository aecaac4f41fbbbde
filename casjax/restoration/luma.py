"""Restoring a picture with a network for luma, component by component.

Each component is restored at the resolution in which its file holds it.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from casjax.color import STUDIO_PER_FULL, full_to_studio_range, rounded
from casjax.images.photographs import Coding
from casjax.networks.consistency import project
from casjax.networks.inference import Restorer
from casjax.networks.refinement import restore_component
from casjax.restoration.changes import Pixels, changed, on_grid, strips, to_planes
from casjax.restoration.limits import Limit
from casjax.restoration.sampling import Factors, tolerance_of, undo_upsampling, upsample


def restore_pixels(
    pixels: Pixels,
    restorer: Restorer,
    *,
    coding: Coding,
    chroma: bool,
    components: Sequence[Limit],
    consistent: bool,
    ensemble: bool,
    strength: float,
    grid: tuple[int, int],
) -> Pixels:
    """Restore luma, and chroma where it is wanted.

    Args:
      pixels: uint8 [h, w] (grey) or [h, w, 3].
      restorer: made by `loading.load_restorer`.
      coding: what their channels are.
      chroma: restore colour too, at the resolution that the file holds it in.
      components: what is known of each component in the file, if anything is: its resolution and,
        for `consistent`, its limits.
      consistent: keep to the pictures that the file allows, see `consistency.project`: each
        component to its own samples.
      ensemble: average the eight flips and turns.
      strength: see `changes.changed`.
      grid: row and column of the first whole block, see `choosing.Choice`; where the result is to
        be consistent it is the file's.

    Returns:
      uint8 [h, w] or, in RGB, [h, w, 3]; turned as the file holds it.
    """
    planes = [pixels]
    if coding != "grey":
        planes = [*np.moveaxis(to_planes(pixels, coding), -1, 0)][: 3 if chroma else 1]
    known: Sequence[tuple[npt.NDArray[np.int32] | None, Factors]]
    known = components[: len(planes)] or [(None, (1, 1))] * len(planes)
    changes = []
    for plane, (steps, factors) in zip(planes, known, strict=True):
        seen, inside = on_grid(plane, (0, 0) if consistent or factors != (1, 1) else grid)
        change = _change(
            seen,
            restorer,
            ensemble=ensemble,
            factors=factors,
            steps=steps if consistent else None,
            as_coded=coding != "RGB",
        )
        changes.append(change[inside])
    return changed(pixels, coding, changes, strength=strength)


def _change(
    component: Pixels,
    restorer: Restorer,
    *,
    ensemble: bool,
    factors: Factors,
    steps: npt.NDArray[np.int32] | None,
    as_coded: bool,
) -> npt.NDArray[np.int16]:
    """Return what restoration adds to a component: int16 [h, w], in levels of 0..255."""
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
