"""The only way to apply a network to a picture: any size, in bounded memory, uint8 to uint8.

A picture is padded to a size that the network takes by repeating its edge, and if that is larger
than the tile, it is cut into equal windows. Windows overlap by the context that the network needs
around a block and start on its grid, and those at the border end where the picture does: each pixel
is computed from the same surroundings as in the whole picture.
"""

import contextlib
import functools
import itertools
import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from casjax.models import vary
from casjax.models.cascnn import CASCNN
from casjax.models.convolutions import for_inference
from casjax.networks.graphs import compiled

Restorer: TypeAlias = Callable[[np.ndarray | jax.Array], np.ndarray]
"""Restores pictures: uint8 [n, h, w, 1] to the same; a method for RGB, [n, h, w, 3]."""


class ImageModel(Protocol):
    """What inference needs to know of a network."""

    alignment: Any  # pixels: height and width must be a multiple of this
    halo: Any  # pixels: no block of the grid depends on input pixels farther outside it

    def __hash__(self) -> int:
        """Return the same hash for equal networks."""

    def apply(self, variables: Mapping[str, Any], degraded: jax.Array, /) -> Any:
        """Return the outputs, finest first, of float32 [n, h, w, 1] in [0, 1]."""


def make_restorer(
    model: ImageModel, variables: Mapping[str, Any], *, tile: int, bucket: int = 1
) -> Restorer:
    """Make the function that restores pictures of any size with a network.

    Args:
      model: the network; its `alignment`, its grid, and `halo` place the windows.
      variables: what its `apply` takes, `{"params": ...}`; moved to the device once.
      tile: side in pixels of the largest window that is run at once; `tile` squared pixels
        bound the memory of one step, whatever the number and size of pictures.
      bucket: heights and widths are padded to a multiple of this many pixels, unless the
        network's alignment requires more. With 1 the network's borders are the picture's, as
        for published scores. With 64, say, pictures of many sizes share few compilations, and
        pixels near the right and bottom borders differ slightly.

    Returns:
      A function from uint8 [n, h, w, 1], n, h, w >= 1, to restored uint8 of the same shape, in
      host memory. The result does not depend on `tile` beyond floating-point rounding. The
      function raises ValueError for an array of another type or shape.

    Raises:
      ValueError: `tile` is not on the network's grid or leaves nothing between overlaps, or
        `variables` have no `params`.
    """
    require_tile(model, tile)
    restore = restore_batch(model)
    variables = on_device(variables)

    def restorer(degraded: np.ndarray | jax.Array) -> np.ndarray:
        degraded = checked(degraded, channels=1)
        restored = np.empty_like(degraded)
        fill_in_tiles(
            restored,
            degraded,
            lambda windows, _: restore(variables, windows),
            model,
            tile=tile,
            bucket=bucket,
        )
        return restored

    return restorer


def fill_in_tiles(
    restored: np.ndarray,
    degraded: np.ndarray,
    run: Callable[[np.ndarray, np.ndarray], jax.Array],
    model: ImageModel,
    *,
    tile: int,
    bucket: int,
) -> None:
    """Fill arrays with a network's results for pictures, tile by tile.

    Args:
      restored: [n, h, w, c] of any type; overwritten.
      degraded: uint8 [n, h, w, c].
      run: takes a batch of windows, uint8 [m, height, width, c], and the indices of the pictures
        that they were cut from, [m]; returns the results, of the same shape.
      model: determines the windows.
      tile: see `make_restorer`.
      bucket: see `make_restorer`.
    """
    count, height, width, _ = degraded.shape
    multiple = math.lcm(bucket, model.alignment)
    overlap = context(model)
    rows = _spans(_round_up(height, multiple), tile, overlap)
    columns = _spans(_round_up(width, multiple), tile, overlap)
    windows = [Window(*place) for place in itertools.product(range(count), rows, columns)]
    # One batch runs while the next one waits, so that the device never idles. A CPU would run
    # both at once, with twice the memory and no faster.
    most_in_flight = 1 if jax.default_backend() == "cpu" else 2

    in_flight: deque[tuple[Sequence[Window], jax.Array]] = deque()
    for batch in _batches(windows, tile):
        numbers = np.array([window.picture for window in batch])
        in_flight.append((batch, run(_cut(degraded, batch), numbers)))
        if len(in_flight) == most_in_flight:
            _paste(restored, *in_flight.popleft())
    for batch, pixels in in_flight:
        _paste(restored, batch, pixels)


def checked(degraded: np.ndarray | jax.Array, *, channels: int) -> np.ndarray:
    """Return pictures in host memory.

    Raises:
      ValueError: they are not uint8 [n, h, w, channels], or have no pixels.
    """
    degraded = np.asarray(degraded)
    if degraded.dtype != np.uint8 or degraded.ndim != 4 or degraded.shape[3] != channels:
        raise ValueError(
            f"expected pictures uint8 [n, h, w, {channels}], got {degraded.dtype} "
            f"{list(degraded.shape)}"
        )
    if degraded.size == 0:
        raise ValueError(f"expected pictures with at least one pixel, got {list(degraded.shape)}")
    return degraded


def on_device(variables: Mapping[str, Any]) -> Mapping[str, Any]:
    """Move a network's variables to the default device.

    Raises:
      ValueError: they have no `params`.
    """
    if "params" not in variables:
        raise ValueError(f"expected variables with a tree 'params', got {sorted(variables)}")
    return jax.device_put(variables)


def require_tile(model: ImageModel, tile: int) -> None:
    """Check a tile's side in pixels.

    Raises:
      ValueError: it is not on the network's grid or leaves nothing between overlaps.
    """
    overlap = context(model)
    if tile % model.alignment or tile <= 2 * overlap:
        raise ValueError(
            f"tile={tile}: expected a multiple of {model.alignment} pixels above {2 * overlap}, "
            f"twice the overlap that {type(model).__name__} needs"
        )


def context(model: ImageModel) -> int:
    """Return how many pixels on each side of a window are discarded, on the network's grid."""
    return _round_up(model.halo, model.alignment)


def mixed_where_it_serves(model: Any) -> Any:
    """Return a network to restore photographs with, instead of scoring it: CAS-CNN may be mixed.

    That is faster on some processors. It changes the PSNR of pictures of LIVE1 by up to 0.002 dB.
    """
    return vary(model, dtype="mixed") if isinstance(model, CASCNN) else model


def in_form(model: Any, shape: Sequence[int]) -> Any:
    """Return the network in the form used for inference on pictures [n, h, w, c]."""
    if (
        isinstance(model, CASCNN)
        and model.convolution == "auto"
        and model.dtype in ("float32", "mixed")
    ):
        dtype, convolution = for_inference(model.dtype, math.prod(shape[:3]))
        return model.clone(dtype=dtype, convolution=convolution)
    return model


def full_precision() -> contextlib.AbstractContextManager[Any]:
    """Make float32 products what they are called: accelerators would round to TF32 or bfloat16."""
    return jax.default_matmul_precision("highest")


@functools.cache
def restore_batch(
    model: ImageModel,
) -> Callable[[Mapping[str, Any], np.ndarray | jax.Array], jax.Array]:
    """Return the compiled function `(variables, degraded) -> restored` of a network.

    Both pictures are uint8 [n, h, w, 1] with h and w multiples of `model.alignment`. The finest
    output is clipped to the range of uint8 and rounded, halves to even. Equal networks share one
    function, and so its compilations; for the package's own networks, the traced graph is also
    kept for later runs.
    """

    def restore(variables: Mapping[str, Any], degraded: jax.Array) -> jax.Array:
        network = in_form(model, degraded.shape)
        with full_precision():
            finest, *_ = network.apply(variables, degraded.astype(jnp.float32) / 255)
        return jnp.round(jnp.clip(finest.astype(jnp.float32) * 255, 0, 255)).astype(jnp.uint8)

    return compiled(restore, model, does="restore")


class Span(NamedTuple):
    """A window along one axis, in pixels of the picture; everything outside `kept` is context."""

    start: int
    size: int
    kept: slice


class Window(NamedTuple):
    """A rectangle in one picture of a batch."""

    picture: int
    rows: Span
    columns: Span


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def _spans(padded: int, tile: int, overlap: int) -> list[Span]:
    """Cover an axis of `padded` pixels with spans of equal size."""
    size = min(padded, tile)
    last = padded - size
    starts = [*range(0, last, tile - 2 * overlap), last]
    return [
        Span(
            start,
            size,
            slice(
                start + overlap if start > 0 else 0,
                start + size - overlap if start < last else padded,
            ),
        )
        for start in starts
    ]


def _batches(windows: Sequence[Window], tile: int) -> Iterator[Sequence[Window]]:
    """Group windows into batches of equal size, of at most `tile` squared pixels each."""
    pixels = windows[0].rows.size * windows[0].columns.size
    number = math.ceil(len(windows) / (tile**2 // pixels))
    size = math.ceil(len(windows) / number)
    for first in range(0, len(windows), size):
        batch = windows[first : first + size]
        # Filled by repetition: a shorter last batch would need its own compilation.
        yield [*batch, *[batch[-1]] * (size - len(batch))]


def _cut(pictures: np.ndarray, windows: Sequence[Window]) -> np.ndarray:
    """Copy windows out of pictures, repeating the edge beyond the bottom and the right."""
    _, height, width, _ = pictures.shape

    def pixels(window: Window) -> np.ndarray:
        rows = np.arange(window.rows.start, window.rows.start + window.rows.size)
        columns = np.arange(window.columns.start, window.columns.start + window.columns.size)
        return pictures[window.picture][
            np.ix_(np.minimum(rows, height - 1), np.minimum(columns, width - 1))
        ]

    return np.stack([pixels(window) for window in windows])


def _paste(pictures: np.ndarray, windows: Sequence[Window], pixels: jax.Array) -> None:
    """Copy the kept part of windows into pictures, dropping what lies outside the picture."""
    _, height, width, _ = pictures.shape
    for (picture, rows, columns), restored in zip(windows, np.asarray(pixels), strict=True):
        top, bottom = rows.kept.start, min(rows.kept.stop, height)
        left, right = columns.kept.start, min(columns.kept.stop, width)
        pictures[picture, top:bottom, left:right] = restored[
            top - rows.start : bottom - rows.start, left - columns.start : right - columns.start
        ]
