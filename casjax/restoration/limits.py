"""What a JPEG file says of its components, which limits what they may have been."""

import numpy as np
import numpy.typing as npt

from casjax.images.photographs import Photograph
from casjax.restoration.sampling import Factors

Limit = tuple[npt.NDArray[np.int32], Factors]
"""A component's quantisation steps, [8, 8], and its rows and columns of pixels per sample."""


def limits_of(photograph: Photograph) -> list[Limit]:
    """Return the limits of a JPEG file's components, luma first.

    Raises:
      ValueError: the file's own components are not available, it lacks a table that it refers to,
        or a component is sampled at a fraction of the finest one.
    """
    header = photograph.header
    if not header or not photograph.has_steps:
        raise ValueError("--consistent is for JPEG files in YCbCr or grey, which this is not")
    return list(zip(header.steps, header.factors, strict=True))


def can_be_held(photograph: Photograph) -> bool:
    """Return whether results can be kept to what a file's coefficients allow."""
    try:
        return bool(limits_of(photograph))
    except ValueError:
        return False
