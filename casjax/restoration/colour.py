"""Restoring a whole picture with a colour network, which is told the quantisation tables."""

import functools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from casjax.color import rgb_to_ycbcr
from casjax.images.photographs import Coding, Photograph
from casjax.jpeg import quantization_tables
from casjax.networks import colour, pretrained
from casjax.networks.colour_restorer import ColourRestorer, make_colour_restorer
from casjax.networks.inference import for_photographs
from casjax.networks.memory import default_memory, largest_tile
from casjax.networks.refinement import in_whole_blocks
from casjax.restoration.changes import Pixels, changed, rounded, strips
from casjax.restoration.quality import estimate_quality
from casjax.restoration.sampling import Factors, keep_to, tolerance_of
from casjax.restoration.traces import find_trace

BUCKET = 64  # pixels: pictures of many sizes share few compilations
GRID = 8  # pixels: the period of JPEG's blocks
TURNS = 8  # quarter turns, mirrored and not
NEUTRAL = 128  # the chroma of grey

Tables = npt.NDArray[np.int32]
"""The quantisation steps of luma and chroma, [2, 8, 8]."""

Limit = tuple[npt.NDArray[np.int32], Factors]
"""A component's quantisation steps, [8, 8], and its rows and columns of pixels per sample."""


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
      restorer: made by `load_colour_restorer`.
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
    header = photograph.header
    limits: list[Limit] = []
    if consistent:
        if not header or not photograph.has_steps:
            raise ValueError("--consistent is for JPEG files in YCbCr or grey, which this is not")
        limits = list(zip(header.steps, header.factors, strict=True))
    return restore_pixels(
        photograph.pixels,
        restorer,
        coding=photograph.coding,
        tables=tables,
        limits=limits,
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
    changes = _turned(restorer, seen, tables) if ensemble else restorer(seen[None], tables)[0]
    changes = changes[top:, left:]
    for i, (steps, factors) in enumerate(limits):
        off = tolerance_of(factors, as_coded=coding != "RGB")
        keep_to(changes[..., i], planes[..., i], steps, factors, tolerance=off)
    count = 1 if coding == "grey" else 3
    return changed(pixels, coding, [changes[..., i] for i in range(count)], strength=strength)


def tables_of(photograph: Photograph, quality: int | None) -> Tables:
    """Return the quantisation tables of a photograph.

    They are the file's own, or libjpeg's for a quality factor, which is estimated from the pixels
    if it is not given and the file has no tables. A grey file's table is combined with libjpeg's
    chroma table of the nearest quality.

    Raises:
      ValueError: the quality is unknown, or the file lacks a table that it refers to.
    """
    if quality is None and photograph.header is not None:
        luma, *others = photograph.header.steps
        if others:
            return np.stack([luma, others[0]]).astype(np.int32)
        nearest = estimate_quality(luma).factor
        return np.stack([luma, quantization_tables(nearest)[1]]).astype(np.int32)
    if quality is None:
        trace = find_trace(photograph.pixels)
        if trace is None:
            raise ValueError("the JPEG quality, which the network needs, is unknown: give --qf")
        quality = trace.quality
    return np.asarray(quantization_tables(quality))


def is_for_colour(model: str) -> bool:
    """Return whether a network, named as in `pretrained.load_network`, exists and is for colour."""
    try:
        options = pretrained.made_for(model).options
    except FileNotFoundError:  # reported when it is loaded
        return False
    return options.get("channels", 1) > 1


@functools.cache
def load_colour_restorer(model: str, memory: int | None) -> ColourRestorer:
    """Load a network and return its restorer, with the largest tile for `memory` bytes.

    Raises:
      ValueError: the network is for luma alone.
    """
    network = pretrained.load_network(model)
    if not colour.is_for_colour(network.model):
        raise ValueError(f"{model}: a network for luma, expected one for colour")
    tile = largest_tile(
        network.model,
        network.variables,
        memory=default_memory() if memory is None else memory,
        multiple=BUCKET,
    )
    restored_by = for_photographs(network.model)
    return make_colour_restorer(restored_by, network.variables, tile=tile, bucket=BUCKET)


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


def _turned(restorer: ColourRestorer, planes: Pixels, tables: Tables) -> npt.NDArray[np.float16]:
    """Return the mean change over the eight flips and rotations of a picture, [h, w, 3]."""
    height, width, _ = planes.shape
    whole = in_whole_blocks(planes)
    total = np.zeros(whole.shape, np.float32)
    for turn in range(TURNS):
        mirrored = whole[:, ::-1] if turn >= 4 else whole
        seen = np.ascontiguousarray(np.rot90(mirrored, turn))
        # Tables would turn with the picture, but the network is told nothing of their directions.
        change = np.rot90(restorer(seen[None], tables)[0], -turn)
        total += change[:, ::-1] if turn >= 4 else change
    total /= TURNS
    return total[:height, :width].astype(np.float16)
