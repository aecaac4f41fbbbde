"""One picture in, one picture out: an array, or a photograph with what its file says.

`luma` and `colour` apply networks, and `decoding` does without; `changes` adds what they find.
"""

import numpy as np
import numpy.typing as npt

from casjax.images.photographs import Coding, Photograph
from casjax.jpeg import SAMPLINGS, quantization_tables
from casjax.networks import pretrained
from casjax.restoration import colour, decoding, luma
from casjax.restoration.changes import Pixels, as_shown, strips
from casjax.restoration.choosing import BEST_RESTORED, Choice, default_network
from casjax.restoration.limits import Limit, limits_of
from casjax.restoration.loading import load_restorer
from casjax.restoration.options import Options
from casjax.restoration.quality import estimate_quality
from casjax.restoration.traces import find_trace


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
      memory: bytes for the network's features; default as `networks.memory.default_memory`.

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
    if quality is None and (model is None or pretrained.made_for(model).is_for_colour):
        quality = trace.quality if trace else None
        if quality is None:
            raise ValueError("the image shows no trace of JPEG: name its quality or a model")
    if model is None:
        assert quality is not None
        if quality > BEST_RESTORED:
            return image.copy()
        model = default_network(quality, luma=coding == "grey")
    restorer = load_restorer(model, memory)
    grid = trace.grid if trace else (0, 0)
    if pretrained.made_for(model).is_for_colour:
        assert quality is not None
        return colour.restore_pixels(
            image,
            restorer,
            coding=coding,
            tables=np.asarray(quantization_tables(quality)) if tables is None else tables,
            limits=limits[:1] if coding == "grey" else limits,
            ensemble=ensemble,
            strength=strength,
            grid=grid,
        )
    return luma.restore_pixels(
        image,
        restorer,
        coding=coding,
        chroma=chroma,
        components=limits,
        consistent=bool(limits),
        ensemble=ensemble,
        strength=strength,
        grid=grid,
    )


def restore_photograph(photograph: Photograph, choice: Choice, options: Options) -> Pixels:
    """Restore a photograph as was chosen and asked for: uint8 [h, w] or, in RGB, [h, w, 3].

    Raises:
      FileNotFoundError: there is no such network.
      ValueError: the result is to be consistent, but the file's own components are not available;
        nothing tells the quality to a network for colour; or the network is damaged, or
        `options.memory` is too small for it.
    """
    if choice.method == "none":
        return shown(photograph)
    if choice.method == "decoding":
        chroma = options.chroma or not options.luma
        return decoding.decode(photograph, chroma=chroma, strength=options.strength)
    restorer = load_restorer(choice.model, options.memory)
    if pretrained.made_for(choice.model).is_for_colour:
        return colour.restore_pixels(
            photograph.pixels,
            restorer,
            coding=photograph.coding,
            tables=colour.tables_of(photograph, choice.told),
            limits=limits_of(photograph) if choice.consistent else [],
            ensemble=options.ensemble,
            strength=options.strength,
            grid=choice.grid,
        )
    known = choice.consistent or photograph.has_steps
    return luma.restore_pixels(
        photograph.pixels,
        restorer,
        coding=photograph.coding,
        chroma=options.chroma,
        components=limits_of(photograph) if known else [],
        consistent=choice.consistent,
        ensemble=options.ensemble,
        strength=options.strength,
        grid=choice.grid,
    )


def shown(photograph: Photograph) -> Pixels:
    """Return the photograph as a viewer shows it, unrestored: uint8 [h, w] or RGB [h, w, 3]."""
    shown = np.empty_like(photograph.pixels)
    for rows in strips(shown):
        shown[rows] = as_shown(photograph.pixels[rows], photograph.coding)
    return shown


def _checked(tables: npt.ArrayLike) -> colour.Tables:
    found = np.asarray(tables)
    if found.shape != (2, 8, 8) or found.dtype.kind not in "iu" or found.min() < 1:
        raise ValueError(
            "expected tables of luma and chroma, integers [2, 8, 8] of at least 1, got "
            f"{found.dtype} {list(found.shape)}"
        )
    return found.astype(np.int32)


def _limits(tables: npt.NDArray[np.int32] | None, sampling: str) -> list[Limit]:
    """Return what a file of these tables and this sampling would limit, by component."""
    if sampling not in SAMPLINGS:
        raise ValueError(f"{sampling=}: expected one of {', '.join(SAMPLINGS)}")
    if tables is None:
        raise ValueError(f"{sampling=} needs the quality or the tables")
    of_luma, of_chroma = tables
    return [(of_luma, (1, 1)), *[(of_chroma, SAMPLINGS[sampling])] * 2]
