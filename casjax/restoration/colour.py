"""One picture in, one picture out: a network for colour, told the quantisation tables."""

import functools
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from casjax.color import YCBCR_TO_RGB, rgb_to_ycbcr
from casjax.images.photographs import Coding, Photograph
from casjax.jpeg import quantization_tables
from casjax.networks import colour, pretrained
from casjax.networks.colour_restorer import ColourRestorer, changed_rgb, make_colour_restorer
from casjax.networks.consistency import project
from casjax.networks.memory import default_memory, largest_tile
from casjax.restoration.quality import estimate_quality
from casjax.restoration.traces import find_quality

BUCKET = 64  # pixels: pictures of many sizes share few compilations
ROWS = 256  # that are converted at once, whole blocks of JPEG; bounds the memory
TURNS = 8  # quarter turns, and the same in the mirror
NEUTRAL = 128  # the chroma of grey

Pixels = npt.NDArray[np.uint8]
Tables = npt.NDArray[np.int32]
"""The quantisation steps of luma and chroma, [2, 8, 8]."""


def restore_in_colour(
    photograph: Photograph,
    restorer: ColourRestorer,
    *,
    tables: Tables,
    consistent: bool,
    ensemble: bool,
) -> Pixels:
    """Restore a photograph, all planes in one pass; what the network changes is added to it.

    Args:
      photograph: the picture; a grey one is taken for one of neutral chroma.
      restorer: made by `load_colour_restorer`.
      tables: see `tables_of`.
      consistent: keep to the pictures that the file allows, see `consistency.project`. This is for
        components with a sample for each pixel; chroma with fewer is left out.
      ensemble: average the eight flips and turns.

    Returns:
      uint8 [h, w] or, in RGB, [h, w, 3]; turned as the file holds it.

    Raises:
      ValueError: `consistent` without the file's own components.
    """
    header = photograph.header
    steps: list[npt.NDArray[np.int32] | None] = []
    if consistent:
        if not header or not photograph.has_steps:
            raise ValueError("--consistent is for JPEG files in YCbCr or grey, which this is not")
        for table, factors in zip(header.steps, header.factors, strict=True):
            steps.append(table if factors == (1, 1) else None)
    return restore_pixels(
        photograph.pixels,
        restorer,
        coding=photograph.coding,
        tables=tables,
        steps=steps,
        ensemble=ensemble,
    )


def restore_pixels(
    pixels: Pixels,
    restorer: ColourRestorer,
    *,
    coding: Coding,
    tables: Tables,
    ensemble: bool,
    steps: Sequence[npt.NDArray[np.int32] | None] = (),
) -> Pixels:
    """Restore pixels, uint8 [h, w] (grey) or [h, w, 3]; as `restore_in_colour`, which see.

    With ``steps`` the first components keep to what they allow; None leaves one out.
    """
    planes = _planes(pixels, coding)
    changes = _turned(restorer, planes, tables) if ensemble else restorer(planes[None], tables)[0]
    for i, table in enumerate(steps):
        if table is not None:
            _keep_to(table, planes[..., i], changes[..., i])
    restored = np.empty_like(pixels)
    for rows in _strips(planes):
        if coding == "grey":
            restored[rows] = _rounded(np.add(pixels[rows], changes[rows, :, 0], dtype=np.float32))
        elif coding == "YCbCr":
            restored[rows] = changed_rgb(planes[rows], changes[rows])
        else:
            rgb_change = changes[rows].astype(np.float32) @ YCBCR_TO_RGB.T
            restored[rows] = _rounded(pixels[rows] + rgb_change)
    return restored


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
    quality = quality or find_quality(photograph.pixels)
    if quality is None:
        raise ValueError("nothing tells the JPEG quality that the network is to be told")
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
    for rows in _strips(pixels):
        planes[rows] = _rounded(rgb_to_ycbcr(pixels[rows]))
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


def _keep_to(
    steps: npt.NDArray[np.int32], samples: Pixels, changes: npt.NDArray[np.float16]
) -> None:
    """Change changes of a component, [h, w], so that its file's steps allow the result."""
    for rows in _strips(samples):
        wanted = np.add(samples[rows], changes[rows], dtype=np.float32)
        changes[rows] = project(wanted, samples[rows], steps) - samples[rows]


def _strips(pixels: Pixels) -> Iterator[slice]:
    return (slice(start, start + ROWS) for start in range(0, len(pixels), ROWS))


def _rounded(values: npt.NDArray[np.floating]) -> Pixels:
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)
