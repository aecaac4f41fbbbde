"""Improvements to a restorer without training: averaging flips and turns, and consistency."""

import jax
import numpy as np
import numpy.typing as npt

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
        restored = restore_turned(restorer, picture) if ensemble else restorer(degraded)[0, ..., 0]
        if steps is not None:
            restored = project(np.asarray(restored, np.float32), picture, steps)
        rounded = np.rint(np.clip(restored, 0, 255)).astype(np.uint8)
        return rounded[None, ..., None]

    return restore


def restore_turned(restorer: Restorer, degraded: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return the mean of a restorer's results for the eight flips and turns of a picture.

    Args:
      restorer: made by `inference.make_restorer`; it is called eight times.
      degraded: uint8 [h, w].

    Returns:
      float32 [h, w], not rounded.
    """
    height, width = degraded.shape
    whole = in_whole_blocks(degraded)
    total = np.zeros(whole.shape, np.float32)
    for turn in range(TURNS):
        total += _turned_back(restorer(_turned(whole, turn)), turn)
    return total[:height, :width] / np.float32(TURNS)


def in_whole_blocks(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Continue a picture, [h, w, ...], to whole blocks of 8x8, so that they stay so when turned."""
    beyond = [(0, -size % 8) for size in picture.shape[:2]]
    return np.pad(picture, beyond + [(0, 0)] * (picture.ndim - 2), mode="edge")


def _turned(picture: npt.NDArray[np.uint8], turn: int) -> npt.NDArray[np.uint8]:
    """Turn a picture [h, w] by quarters, mirrored from the fifth turn on: [1, h, w, 1]."""
    mirrored = picture[:, ::-1] if turn >= 4 else picture
    return np.ascontiguousarray(np.rot90(mirrored, turn))[None, ..., None]


def _turned_back(pictures: npt.NDArray[np.uint8], turn: int) -> npt.NDArray[np.uint8]:
    picture = np.rot90(pictures[0, ..., 0], -turn)
    return picture[:, ::-1] if turn >= 4 else picture
