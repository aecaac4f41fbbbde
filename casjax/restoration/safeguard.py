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
# In the diagrams of launch/drawings.py, which networks make up to 0.65 dB worse, at least 0.88 of
# the blocks are flat, and at most 0.62 of the others are different. Both together hold for none of
# its other drawings, and of ten images of LIVE1 at 5, 10 and 30; at 5 some come near.
FLAT, DIFFERENT = 0.85, 0.7
FINE_ENOUGH = 20  # lowest quality factor


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


def is_plain_drawing(luma: npt.NDArray[np.uint8]) -> bool:
    """Return whether nearly all blocks of a JPEG are flat, and many of the others equal each other.

    Args:
      luma: uint8 [h, w], as decoded; the block grid starts at the top left.
    """
    rows, columns = (size // SIDE for size in luma.shape)
    blocks = luma[: rows * SIDE, : columns * SIDE].reshape(rows, SIDE, columns, SIDE)
    is_flat = np.ptp(blocks, axis=(1, 3)) == 0
    if is_flat.size == 0 or is_flat.mean() <= FLAT or is_flat.all():
        return False
    others = blocks.transpose(0, 2, 1, 3)[~is_flat]
    different = {block.tobytes() for block in others}
    return len(different) < DIFFERENT * len(others)


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
