"""Colour networks for the evaluator: they take files, whose planes and tables they need."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from casjax.evaluation.restorers import FileRestorer
from casjax.images.photographs import read_photograph
from casjax.networks.colour_restorer import make_colour_restorer
from casjax.restoration.choosing import find_former_of
from casjax.restoration.colour import restore_pixels, tables_of
from casjax.restoration.limits import can_be_held, limits_of

MAX_PIXELS = 10**9  # of a test image


def restorer_of_files(model: Any, variables: Mapping[str, Any], *, tile: int) -> FileRestorer:
    """Make the restorer of a colour network, which takes JPEG files, including grey ones.

    It does what `casjax.restore` does by default with a file that it gives to this network: results
    keep to what the file allows, and a file that was saved twice is restored as the coarser JPEG
    that it was.

    Arguments and errors are those of `inference.make_restorer`.
    """
    restorer = make_colour_restorer(model, variables, tile=tile)

    def restore(file: bytes) -> npt.NDArray[np.uint8]:
        photograph = read_photograph(file, name="test image", max_pixels=MAX_PIXELS)
        former = find_former_of(photograph)
        is_held = not former and can_be_held(photograph)
        return restore_pixels(
            photograph.pixels,
            restorer,
            coding=photograph.coding,
            tables=tables_of(photograph, former.quality if former else None),
            limits=limits_of(photograph) if is_held else [],
            ensemble=False,
            strength=1,
            grid=former.grid if former else (0, 0),
        )

    return FileRestorer(restore, compiles=True)
