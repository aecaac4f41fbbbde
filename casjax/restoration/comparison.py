"""A picture of the effect of restoration: before, after, difference, and the largest change."""

import numpy as np
import numpy.typing as npt

CROP = 96  # pixels: side of the part that is shown enlarged
GAIN = 8  # levels shown per level of difference, around middle grey
GAP = 8  # white pixels between pictures

Pixels = npt.NDArray[np.uint8]


def compare(before: Pixels, after: Pixels) -> Pixels:
    """Show before, after and difference side by side, and below them the part that changed most.

    The difference is amplified eight times around middle grey. The part below is a square of at
    most 96 pixels, enlarged by repeating pixels to the same width.

    Args:
      before: uint8 [h, w] (grey) or [h, w, 3] (RGB) in 0..255.
      after: the same size and kind.

    Returns:
      uint8 [height, width, 3].

    Raises:
      ValueError: the two differ in shape.
    """
    if before.shape != after.shape:
        raise ValueError(f"expected two equal shapes, got {before.shape} and {after.shape}")
    before, after = _colour(before), _colour(after)
    change = after.astype(np.int16) - before
    difference = np.clip(128 + GAIN * change, 0, 255).astype(np.uint8)
    rows, columns = _most_changed(np.abs(change).sum(axis=-1))

    width = before.shape[1]
    scale = max(1, width // (columns.stop - columns.start))
    parts = [
        picture[rows, columns].repeat(scale, axis=0).repeat(scale, axis=1)
        for picture in (before, after, difference)
    ]
    return np.concatenate(
        [
            _side_by_side([before, after, difference], width),
            np.full((GAP, 3 * width + 2 * GAP, 3), 255, np.uint8),
            _side_by_side(parts, width),
        ]
    )


def _colour(picture: Pixels) -> Pixels:
    return np.repeat(picture[..., None], 3, axis=-1) if picture.ndim == 2 else picture


def _most_changed(change: npt.NDArray[np.integer]) -> tuple[slice, slice]:
    """Return rows and columns of the square with the largest sum, found by summed areas."""
    height, width = change.shape
    h, w = min(CROP, height), min(CROP, width)
    sums = np.pad(change.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    totals = sums[h:, w:] - sums[:-h, w:] - sums[h:, :-w] + sums[:-h, :-w]
    top, left = np.unravel_index(np.argmax(totals), totals.shape)
    return slice(int(top), int(top) + h), slice(int(left), int(left) + w)


def _side_by_side(pictures: list[Pixels], width: int) -> Pixels:
    """Join pictures of equal height, each on white of the given width."""
    height = len(pictures[0])
    joined = np.full((height, len(pictures) * (width + GAP) - GAP, 3), 255, np.uint8)
    for i, picture in enumerate(pictures):
        left = i * (width + GAP) + (width - picture.shape[1]) // 2
        joined[:, left : left + picture.shape[1]] = picture
    return joined
