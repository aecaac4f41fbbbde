"""What no network may change: pure white and black stay pure, and grey stays grey.

A window of the size of a JPEG block in which all pixels are pure was clipped by the decoder, or was
never changed by the encoder: there is nothing to restore in it. The same holds for pixels without
colour when colour is restored. Networks miss such values by a level or two, which is visible: the
white background of a product is then not quite white.
"""

import numpy as np
import numpy.typing as npt

SIDE = 8  # pixels of a window: the size of a block, whose position need not be known
SLIGHTLY = 2  # levels
REACH = SIDE - 1  # pixels around a pixel that its windows cover


def keep_pure(restored: npt.NDArray[np.uint8], shown: npt.NDArray[np.uint8], rows: slice) -> None:
    """Reset pure pixels of a restored picture, in place.

    Pixels are pure if all their channels are 0 or 255. They are reset in windows that contain only
    such pixels, and elsewhere if they would change by at most `SLIGHTLY`.

    Args:
      restored: uint8 [h, w] (grey) or [h, w, 3] (RGB).
      shown: the same before restoration, with up to `REACH` extra rows above and below.
      rows: which rows of `shown` are those of `restored`.
    """
    is_pure = (shown == 0) | (shown == 255)
    change = np.abs(restored.astype(np.int16) - shown[rows])
    if shown.ndim == 3:
        is_pure, change = is_pure.all(-1), change.max(-1)
    kept = _in_whole_windows(is_pure)[rows] | (is_pure[rows] & (change <= SLIGHTLY))
    restored[kept] = shown[rows][kept]


def neutral(cb: npt.NDArray[np.uint8], cr: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Find pixels in windows without colour: [h, w] chroma components to bool [h, w]."""
    return _in_whole_windows((cb == 128) & (cr == 128))


def _in_whole_windows(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Keep what lies in windows that are entirely true; outside the picture all is true.

    This is the morphological opening by a square.
    """
    mask = np.pad(mask, REACH, constant_values=True)
    for combine in (np.logical_and, np.logical_or):
        for _ in range(2):
            for step in (1, 2, 4):  # 2, then 4, then 8 rows
                mask = combine(mask[step:], mask[:-step])
            mask = mask.T
    return mask
