"""One picture in, one picture out: a luma network on colour pictures.

Each component is restored separately, at the resolution in which its file holds it, and the
network's *changes* are added to the picture. So a network that changes nothing returns every
picture bit for bit, whatever its coding: no conversion back and forth leaves a trace.
"""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from casjax.color import (
    STUDIO_PER_FULL,
    full_to_studio_range,
    rgb_to_ycbcr,
)
from casjax.images.photographs import Coding, Photograph
from casjax.jpeg import SAMPLINGS, quantization_tables
from casjax.networks import pretrained
from casjax.networks.consistency import project
from casjax.networks.inference import Restorer, for_photographs, make_restorer
from casjax.networks.memory import default_memory, largest_tile
from casjax.networks.refinement import restore_turned
from casjax.restoration import colour
from casjax.restoration.changes import Pixels, as_shown, changed, rounded, strips
from casjax.restoration.choosing import BEST_RESTORED, default_network
from casjax.restoration.quality import estimate_quality
from casjax.restoration.sampling import Factors, tolerance_of, undo_upsampling, upsample
from casjax.restoration.traces import find_trace

BUCKET = 64  # pixels: pictures of many sizes share few compilations


def restore_image(
    image: Pixels,
    *,
    quality: int | None = None,
    tables: npt.ArrayLike | None = None,
    sampling: str | None = None,
    model: str | None = None,
    chroma: bool = False,
    ensemble: bool = False,
    strength: float = 1,
    memory: int | None = None,
) -> Pixels:
    """Remove JPEG compression artifacts from a picture.

    Args:
      image: uint8 [h, w] (grey) or [h, w, 3] (RGB) in 0..255: a decoded JPEG, as it was or turned
        or mirrored.
      quality: the JPEG quality factor it was saved with, 1..100: chooses the network. By default
        it is told from the pixels.
      tables: instead, the quantisation tables of luma and chroma, integers [2, 8, 8], vertical
        frequency first.
      sampling: how its chroma was sampled, a name in `jpeg.SAMPLINGS`. With it and `quality` or
        `tables` the result keeps to what such a file allows (see `sampling.keep_to`), which gains
        a little; the image must then be as it was decoded, neither turned nor cropped.
      model: a network that ships, by name, or the workdir of a finished run. By default the one
        for colour, and where none ships, or for grey pictures, that of the nearest quality.
      chroma: with a network for luma, restore colour too, each component by itself.
      ensemble: average the eight flips and turns: eight times the work for a little more quality.
      strength: how much of the changes is made, 0..1; 0 gives back the image to the bit.
      memory: bytes for the network's features; default half of what is free.

    Returns:
      uint8 of the same shape. It is the image as it was where no network is named and its quality
      is above what they are used for, see `choosing.BEST_RESTORED`.

    Raises:
      ValueError: `image` is another kind of array, its pixels show no trace of JPEG and nothing
        else tells the quality, another argument is none of those above, or `memory` is too small.
      FileNotFoundError: there is no such `model`.
    """
    if image.dtype != np.uint8 or image.shape[2:] not in ((), (3,)) or image.ndim < 2:
        raise ValueError(
            f"expected an image uint8 [h, w] or [h, w, 3], got {image.dtype} {list(image.shape)}"
        )
    if not 0 <= strength <= 1:
        raise ValueError(f"expected a strength from 0 to 1, got {strength}")
    coding: Coding = "grey" if image.ndim == 2 else "RGB"
    if tables is not None:
        tables = _checked(tables)
        quality = estimate_quality(tables[0]).factor
    elif quality is not None:
        tables = np.asarray(quantization_tables(quality))
    limits = [] if sampling is None else _limits(tables, sampling)
    trace = find_trace(image) if sampling is None else None
    if quality is None and (model is None or colour.is_for_colour(model)):
        quality = trace.quality if trace else None
        if quality is None:
            raise ValueError("the image shows no trace of JPEG: name its quality or a model")
    if model is None:
        assert quality is not None
        if quality > BEST_RESTORED:
            return image.copy()
        model = default_network(quality, luma=coding == "grey")
    if colour.is_for_colour(model):
        assert quality is not None
        return colour.restore_pixels(
            image,
            colour.load_colour_restorer(model, memory),
            coding=coding,
            tables=np.asarray(quantization_tables(quality)) if tables is None else tables,
            limits=limits[:1] if coding == "grey" else limits,
            ensemble=ensemble,
            strength=strength,
            grid=trace.grid if trace else (0, 0),
        )
    restorer = load_restorer(model, memory)
    components = _components(image, coding, chroma=chroma)
    grid = trace.grid if trace else (0, 0)
    own: Sequence[tuple[npt.NDArray[np.int32] | None, Factors]]
    own = limits[: len(components)] or [(None, (1, 1))] * len(components)
    changes = [
        _change(
            component,
            restorer,
            ensemble=ensemble,
            factors=factors,
            steps=steps,
            as_coded=coding == "grey",
            grid=grid,
        )
        for component, (steps, factors) in zip(components, own, strict=True)
    ]
    return changed(image, coding, changes, strength=strength)


def _checked(tables: npt.ArrayLike) -> colour.Tables:
    found = np.asarray(tables)
    if found.shape != (2, 8, 8) or found.dtype.kind not in "iu" or found.min() < 1:
        raise ValueError(
            "expected tables of luma and chroma, integers [2, 8, 8] of at least 1, got "
            f"{found.dtype} {list(found.shape)}"
        )
    return found.astype(np.int32)


def _limits(tables: npt.NDArray[np.int32] | None, sampling: str) -> list[colour.Limit]:
    """Return what a file of these tables and this sampling would limit, by component."""
    if sampling not in SAMPLINGS:
        raise ValueError(f"{sampling=}: expected one of {', '.join(SAMPLINGS)}")
    if tables is None:
        raise ValueError(f"{sampling=} needs the quality or the tables")
    luma, chroma = tables
    return [(luma, (1, 1)), *[(chroma, SAMPLINGS[sampling])] * 2]


def restore_photograph(
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
      restorer: made by `load_restorer`.
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
    header, coding = photograph.header, photograph.coding
    components = _components(photograph.pixels, coding, chroma=chroma)
    if header and photograph.has_steps:
        changes = [
            _change(
                component,
                restorer,
                ensemble=ensemble,
                factors=factors,
                steps=steps if consistent else None,
                grid=(0, 0) if consistent or factors != (1, 1) else grid,
            )
            for component, factors, steps in zip(
                components, header.factors, header.steps, strict=False
            )
        ]
    elif consistent:
        raise ValueError("--consistent is for JPEG files in YCbCr or grey, which this is not")
    else:
        changes = [_change(c, restorer, ensemble=ensemble, grid=grid) for c in components]
    return changed(photograph.pixels, coding, changes, strength=strength)


@functools.cache
def load_restorer(model: str, memory: int | None) -> Restorer:
    """Load a network and make its restorer, with the largest tile for `memory` bytes."""
    network = pretrained.load_network(model)
    tile = largest_tile(
        network.model,
        network.variables,
        memory=default_memory() if memory is None else memory,
        multiple=BUCKET,
    )
    restored_by = for_photographs(network.model)
    return make_restorer(restored_by, network.variables, tile=tile, bucket=BUCKET)


def shown(photograph: Photograph) -> Pixels:
    """Return the photograph as a viewer shows it, unrestored: uint8 [h, w] or RGB [h, w, 3]."""
    shown = np.empty_like(photograph.pixels)
    for rows in strips(shown):
        shown[rows] = as_shown(photograph.pixels[rows], photograph.coding)
    return shown


def _components(pixels: Pixels, coding: Coding, *, chroma: bool) -> list[Pixels]:
    """Return luma and, if wanted, the two chroma components, all uint8 [h, w]."""
    if coding == "grey":
        return [pixels]
    count = 3 if chroma else 1
    if coding == "YCbCr":
        return [pixels[..., i] for i in range(count)]
    components = [np.empty(pixels.shape[:2], np.uint8) for _ in range(count)]
    for rows in strips(pixels):
        ycbcr = rounded(rgb_to_ycbcr(pixels[rows]))
        for i, component in enumerate(components):
            component[rows] = ycbcr[..., i]
    return components


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
    if ensemble:
        restored: npt.NDArray[Any] = restore_turned(restorer, degraded)
    else:
        restored = restorer(degraded[None, ..., None])[0, ..., 0]
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
