"""Improvements to a restorer without training: averaging flips and turns, and consistency."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import numpy.typing as npt

from casjax.color import rounded
from casjax.networks.consistency import project
from casjax.networks.inference import Restorer

TURNS = 8  # quarter turns, plain and mirrored


def refined(restorer: Restorer, *, ensemble: bool, steps: npt.NDArray[np.int32] | None) -> Restorer:
    """Return a restorer, of one picture at a time, that improves on another one.

    Args:
      restorer: made by `inference.make_restorer`.
      ensemble: average over flips and turns, at eight times the work.
      steps: integers [8, 8], the quantisation steps of the JPEG, to keep to pictures consistent
        with it, see `consistency.project`; None for no such limit.
    """

    def restore(degraded: np.ndarray | jax.Array) -> np.ndarray:
        [picture] = np.asarray(degraded)[..., 0]
        restored = restore_component(restorer, picture, ensemble=ensemble)
        if steps is not None:
            restored = project(np.asarray(restored, np.float32), picture, steps)
        return rounded(restored)[None, ..., None]

    return restore


def restore_component(
    restorer: Restorer, degraded: npt.NDArray[np.uint8], *, ensemble: bool
) -> npt.NDArray[Any]:
    """Restore a component, uint8 [h, w]: to uint8, or unrounded to float32 with an ensemble."""

    def restore(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        restored: npt.NDArray[np.uint8] = restorer(picture[None, ..., None])[0, ..., 0]
        return restored

    return mean_over_turns(restore, degraded) if ensemble else restore(degraded)


def mean_over_turns(
    restore: Callable[[npt.NDArray[np.uint8]], npt.NDArray[Any]], picture: npt.NDArray[np.uint8]
) -> npt.NDArray[np.float32]:
    """Return the mean of what a function makes of the eight flips and turns of a picture.

    Args:
      restore: of a picture, returns numbers for each of its pixels, in the same shape; it is
        called eight times, with pictures of whole blocks of 8x8.
      picture: uint8 [h, w] or [h, w, c].

    Returns:
      float32 of the same shape, not rounded.
    """
    height, width = picture.shape[:2]
    # Continued to whole blocks, so that they stay whole when turned.
    beyond = [(0, -height % 8), (0, -width % 8)]
    whole = np.pad(picture, beyond + [(0, 0)] * (picture.ndim - 2), mode="edge")
    total = np.zeros(whole.shape, np.float32)
    for turn in range(TURNS):
        mirrored = whole[:, ::-1] if turn >= 4 else whole
        turned = np.rot90(restore(np.ascontiguousarray(np.rot90(mirrored, turn))), -turn)
        total += turned[:, ::-1] if turn >= 4 else turned
    return total[:height, :width] / np.float32(TURNS)
