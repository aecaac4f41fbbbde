"""Convolution by Winograd's minimal filtering: its fast form on CPUs.

A tile of 4x4 outputs takes 36 multiplications instead of 144 for a 3x3 kernel, and 25 instead of 64
for a 2x2 kernel. With d a tile of the input, g a kernel and * the elementwise product it is

    y = A' [(G g G') * (B' d B)] A        (Lavin and Gray, arXiv:1509.09308, equation 8).

Summed over the input channels, the elementwise products become matrix products of
(tiles, channels in) x (channels in, channels out), one for each of the 36 (25) positions.

What makes this fast under XLA on CPUs:

- Tiles are taken in strips of some hundreds, so that the transformed tiles stay in the cache.
- The images of a batch stand under each other in one tall image, with the zeros that pad them in
  between. A strip is then a range of rows, no matter where an image ends, and one grid of tiles
  serves the convolution, its input gradient and its kernel gradient.
- The transforms are sums of shifted and strided slices, which XLA vectorises over the channels.

The error in float32 is below 1e-5 of the largest magnitude of the result.
"""

import functools
import math
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

TILE = 4  # outputs along a side of a tile
# Enough rows for efficient matrix products, few enough for the transformed tiles to stay cached.
TILES_PER_STRIP = 900
# Matrix products want whole vector registers of channels: 257 are padded to 272, 513 to 528.
CHANNEL_MULTIPLE = 16
PADDING = 1  # rows and columns of zeros on each side of an image


@jax.custom_vjp
def convolve(x: Array, kernel: Array) -> Array:
    """Convolves with stride 1 and one row and column of zeros around the input.

    Equals `lax.conv_general_dilated(x, kernel, (1, 1), ((1, 1), (1, 1)))` in the layouts below: a
    3x3 kernel keeps the height and width, a 2x2 kernel adds one to each.

    Args:
      x: float32 [n, h, w, ci], any size from 1x1.
      kernel: float32 [k, k, ci, co], k = 2 or 3.

    Returns:
      float32 [n, h + 3 - k, w + 3 - k, co].
    """
    return _convolve_forward(x, kernel)[0]


def _convolve_forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    n, h, w, _ = x.shape
    size = len(kernel)
    grid = _tile_grid(n, h, w, size)
    tall = _stack(x, grid, PADDING, size)
    y = _convolve_tall(tall, kernel, grid)
    return _unstack(y, grid, n, h + 3 - size, w + 3 - size), (tall, kernel)


def _convolve_backward(residuals: tuple[Array, Array], dy: Array) -> tuple[Array, Array]:
    tall, kernel = residuals
    size, _, ci, co = kernel.shape
    n, h, w = dy.shape[0], dy.shape[1] + size - 3, dy.shape[2] + size - 3
    grid = _tile_grid(n, h, w, size)
    # The full correlation that gives dx pads dy with what x was not padded with. The distance
    # between images is then the same, and this tall image serves both gradients.
    dy_padding = size - 1 - PADDING
    tall_dy = _stack(dy, grid, dy_padding, size)
    flipped = kernel[::-1, ::-1].swapaxes(2, 3)
    dx = _unstack(_convolve_tall(tall_dy, flipped, grid), grid, n, h, w)
    dkernel = _kernel_gradient(tall, tall_dy[:, dy_padding:], dy_padding, size, grid)
    return dx, dkernel[:, :, :ci, :co]


convolve.defvjp(_convolve_forward, _convolve_backward)


class _TileGrid(NamedTuple):
    """Tiles over a tall image: `strips` under each other, each of rows x columns tiles."""

    pitch: int  # pixels from the first row of an image to that of the next
    strips: int
    rows: int
    columns: int


def _tile_grid(n: int, h: int, w: int, size: int) -> _TileGrid:
    """The grid for n images of h x w pixels and a kernel of a size, and for their gradients."""
    pitch = h + PADDING
    h, w = max(h, h + 3 - size), max(w, w + 3 - size)  # the larger of input and output
    all_rows, columns = math.ceil(((n - 1) * pitch + h) / TILE), math.ceil(w / TILE)
    rows = math.ceil(all_rows / max(1, round(all_rows * columns / TILES_PER_STRIP)))
    return _TileGrid(pitch, math.ceil(all_rows / rows), rows, columns)


def _stack(x: Array, grid: _TileGrid, padding: int, size: int) -> Array:
    """Stacks [n, h, w, c] to a tall image, zero-padded to all that the tiles of the grid read."""
    n, h, w, c = x.shape
    height = grid.strips * grid.rows * TILE + size - 1
    width = grid.columns * TILE + size - 1
    right, channels = width - padding - w, -c % CHANNEL_MULTIPLE
    x = jnp.pad(x, ((0, 0), (0, grid.pitch - h), (padding, right), (0, channels)))
    bottom = height - padding - n * grid.pitch
    return _pad_rows(x.reshape(-1, *x.shape[2:]), padding, bottom)


def _unstack(tall: Array, grid: _TileGrid, n: int, h: int, w: int) -> Array:
    """Cuts n images of h x w out of a tall image that has no padding above the first."""
    tall = _pad_rows(tall, 0, n * grid.pitch - len(tall))
    return tall.reshape(n, grid.pitch, *tall.shape[1:])[:, :h, :w]


def _pad_rows(tall: Array, above: int, below: int) -> Array:
    """Adds rows of zeros, or cuts rows off where a number is negative."""
    zero = jnp.zeros((), tall.dtype)
    return lax.pad(tall, zero, ((above, below, 0), (0, 0, 0), (0, 0, 0)))


def _convolve_tall(tall: Array, kernel: Array, grid: _TileGrid) -> Array:
    """Convolves a tall image [height, width, ci] to [strips * rows * 4, columns * 4, co]."""
    size, _, ci, co = kernel.shape
    b_transposed, g, a_transposed = MATRICES[size]
    kernel = jnp.pad(kernel, ((0, 0), (0, 0), (0, tall.shape[-1] - ci), (0, 0)))
    kernels = _sandwich(g, [list(row) for row in kernel])
    height = grid.rows * TILE

    def convolve_strip(strip: Array) -> Array:
        pixels = lax.dynamic_slice_in_dim(tall, strip * height, height + size - 1)
        products = [
            [lax.dot(d, u).reshape(grid.rows, grid.columns, co) for d, u in zip(*row, strict=True)]
            for row in zip(_transform_tiles(b_transposed, pixels, grid), kernels, strict=True)
        ]
        lines = [jnp.stack([_weighted_sum(a, row) for a in a_transposed], 2) for row in products]
        y = jnp.stack([_weighted_sum(a, lines) for a in a_transposed], 1)
        return y.reshape(height, grid.columns * TILE, co)

    y = lax.map(convolve_strip, jnp.arange(grid.strips))
    return y.reshape(-1, *y.shape[2:])


def _kernel_gradient(
    tall: Array, tall_dy: Array, dy_padding: int, size: int, grid: _TileGrid
) -> Array:
    """Sums over all tiles the transpose of the filtering: G' [(B' d B) * (A dy A')] G."""
    b_transposed, g, a_transposed = MATRICES[size]
    height = grid.rows * TILE

    def add_strip(strip: Array, sums: list[list[Array]]) -> list[list[Array]]:
        pixels = lax.dynamic_slice_in_dim(tall, strip * height, height + size - 1)
        dy = lax.dynamic_slice_in_dim(tall_dy, strip * height + dy_padding, height)
        tiles = _transform_tiles(b_transposed, pixels, grid)
        dy_tiles = _transform_tiles(_transpose(a_transposed), dy, grid)
        return [
            [total + lax.dot(d.T, e) for total, d, e in zip(*row, strict=True)]
            for row in zip(sums, tiles, dy_tiles, strict=True)
        ]

    zeros = jnp.zeros((tall.shape[-1], tall_dy.shape[-1]), tall.dtype)
    sums = lax.fori_loop(0, grid.strips, add_strip, [[zeros] * len(g)] * len(g))
    return jnp.stack([jnp.stack(row) for row in _sandwich(_transpose(g), sums)])


Matrix = Sequence[Sequence[float]]


def _transform_tiles(matrix: Matrix, pixels: Array, grid: _TileGrid) -> list[list[Array]]:
    """Applies `matrix d matrix'` to every tile d of a strip, whose corners are 4 pixels apart.

    The result is one array [rows * columns, channels] for each position in the transformed tile.
    """

    def transform(pixels: Array, axis: int, tiles: int) -> list[Array]:
        span = (tiles - 1) * TILE + 1
        taps = [lax.slice_in_dim(pixels, i, i + span, TILE, axis) for i in range(len(matrix[0]))]
        return [_weighted_sum(row, taps) for row in matrix]

    lines = _computed_once(lambda pixels: transform(pixels, 0, grid.rows), pixels)
    return [
        [position.reshape(-1, pixels.shape[-1]) for position in transform(line, 1, grid.columns)]
        for line in lines
    ]


def _computed_once(function: Callable[[Array], list[Array]], x: Array) -> list[Array]:
    """Returns function(x), kept in memory.

    XLA would rather fuse it into each of its uses and so compute it many times. On CPUs it looks
    through optimization barriers; the one fence it respects is a branch it cannot decide.
    """

    def zeros(x: Array) -> list[Array]:
        return [jnp.zeros(y.shape, y.dtype) for y in jax.eval_shape(function, x)]

    bits = lax.bitcast_convert_type(x.ravel()[0].astype(jnp.float32), jnp.int32)
    return lax.cond((bits | 1) != 0, function, zeros, x)


def _sandwich(matrix: Matrix, x: Sequence[Sequence[Array]]) -> list[list[Array]]:
    """Computes `matrix x matrix'` for a square x of arrays."""
    columns = [[_weighted_sum(row, column) for row in matrix] for column in _transpose(x)]
    return [[_weighted_sum(row, line) for row in matrix] for line in _transpose(columns)]


def _transpose(rows: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
    return list(zip(*rows, strict=True))


def _weighted_sum(weights: Iterable[float], terms: Iterable[Array]) -> Array:
    """Sums weight * term, without the terms of weight zero and the multiplications by one."""
    weighted = [
        term if weight == 1 else -term if weight == -1 else weight * term
        for weight, term in zip(weights, terms, strict=True)
        if weight
    ]
    return functools.reduce(operator.add, weighted)


# B', G and A' for the kernel sizes 3 and 2, by the construction of Cook and Toom: interpolation at
# the points 0, 1, -1, 2, -2 (not for size 2) and infinity. They are right if, and only if,
# sum over j of A'[i, j] G[j, k] B'[j, l] is 1 where l = i + k and 0 elsewhere.
MATRICES: dict[int, tuple[Matrix, Matrix, Matrix]] = {
    3: (
        (
            (4, 0, -5, 0, 1, 0),
            (0, -4, -4, 1, 1, 0),
            (0, 4, -4, -1, 1, 0),
            (0, -2, -1, 2, 1, 0),
            (0, 2, -1, -2, 1, 0),
            (0, 4, 0, -5, 0, 1),
        ),
        (
            (1 / 4, 0, 0),
            (-1 / 6, -1 / 6, -1 / 6),
            (-1 / 6, 1 / 6, -1 / 6),
            (1 / 24, 1 / 12, 1 / 6),
            (1 / 24, -1 / 12, 1 / 6),
            (0, 0, 1),
        ),
        (
            (1, 1, 1, 1, 1, 0),
            (0, 1, -1, 2, -2, 0),
            (0, 1, 1, 4, 4, 0),
            (0, 1, -1, 8, -8, 1),
        ),
    ),
    2: (
        (
            (2, -1, -2, 1, 0),
            (0, -2, -1, 1, 0),
            (0, 2, -3, 1, 0),
            (0, -1, 0, 1, 0),
            (0, 2, -1, -2, 1),
        ),
        (
            (1 / 2, 0),
            (-1 / 2, -1 / 2),
            (-1 / 6, 1 / 6),
            (1 / 6, 1 / 3),
            (0, 1),
        ),
        (
            (1, 1, 1, 1, 0),
            (0, 1, -1, 2, 0),
            (0, 1, 1, 4, 0),
            (0, 1, -1, 8, 1),
        ),
    ),
}
