"""One picture in, one picture out: a network for colour, told the quantisation tables."""

import functools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from casjax.color import rgb_to_ycbcr
from casjax.images.photographs import Coding, Photograph
from casjax.jpeg import quantization_tables
from casjax.networks import colour, pretrained
from casjax.networks.colour_restorer import ColourRestorer, make_colour_restorer
from casjax.networks.memory import default_memory, largest_tile
from casjax.restoration.changes import Pixels, changed, rounded, strips
from casjax.restoration.quality import estimate_quality
from casjax.restoration.sampling import Factors, keep_to, tolerance_of
from casjax.restoration.traces import find_trace

BUCKET = 64  # pixels: pictures of many sizes share few compilations
GRID = 8  # pixels: the period of its blocks
TURNS = 8  # quarter turns, and the same in the mirror
NEUTRAL = 128  # the chroma of grey

Tables = npt.NDArray[np.int32]
"""The quantisation steps of luma and chroma, [2, 8, 8]."""

Limit = tuple[npt.NDArray[np.int32], Factors]
"""Of a component the quantisation steps, [8, 8], and rows and columns of pixels a sample."""


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
    """Restore a photograph, all planes in one pass; what the network changes is added to it.

    Args:
      photograph: the picture; a grey one is taken for one of neutral chroma.
      restorer: made by `load_colour_restorer`.
      tables: see `tables_of`.
      consistent: keep to the pictures that the file allows, see `sampling.keep_to`.
      ensemble: average the eight flips and turns.
      strength: see `changes.changed`.
      grid: row and column of the first whole block, see `choosing.Choice`.

    Returns:
      uint8 [h, w] or, in RGB, [h, w, 3]; turned as the file holds it.

    Raises:
      ValueError: `consistent` without the file's own components.
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
    """Restore pixels, uint8 [h, w] (grey) or [h, w, 3]; as `restore_in_colour`, which see.

    With ``limits`` the first components keep to what they allow.
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
    """Find the quantisation tables of a photograph.

    Those of its file, or libjpeg's of a quality factor, which is told from the pixels if it is not
    given and the file has no tables. A grey file's table goes with libjpeg's for chroma of the
    quality that is nearest to it.

    Raises:
      ValueError: nothing tells the quality, or the file lacks a table that it names.
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
            raise ValueError("nothing tells the JPEG quality that the network is to be told")
        quality = trace.quality
    return np.asarray(quantization_tables(quality))


def is_for_colour(model: str) -> bool:
    """Whether a network, named as for `pretrained.load_network`, is there and for colour."""
    try:
        options = pretrained.describe_network(model).get("model", {})
    except FileNotFoundError:  # to be said by who loads it
        return False
    return options.get("channels", 1) > 1


@functools.cache
def load_colour_restorer(model: str, memory: int | None) -> ColourRestorer:
    """Load a network and make its restorer, with the largest tile for `memory` bytes.

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
    return make_colour_restorer(network.model, network.variables, tile=tile, bucket=BUCKET)


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
    """Return the mean of the changes of the eight flips and turns of a picture, [h, w, 3]."""
    total = np.zeros(planes.shape, np.float32)
    for turn in range(TURNS):
        mirrored = planes[:, ::-1] if turn >= 4 else planes
        seen = np.ascontiguousarray(np.rot90(mirrored, turn))
        # Tables turn with the picture, but the network is told of no directions in them.
        change = np.rot90(restorer(seen[None], tables)[0], -turn)
        total += change[:, ::-1] if turn >= 4 else change
    return (total / TURNS).astype(np.float16)
