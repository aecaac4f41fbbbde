"""Convolution by Winograd's minimal filtering: its fast form on CPUs.

A tile of 4x4 outputs takes 36 multiplications instead of 144 for a 3x3 kernel, and 25 instead of 64
for a 2x2 kernel. With d a tile of the input, g a kernel and * the elementwise product it is

    y = A' [(G g G') * (B' d B)] A        (Lavin and Gray, arXiv:1509.09308, equation 8).

Summed over the input channels, the elementwise products become matrix products of
(tiles, channels in) x (channels in, channels out), one for each of the 36 (25) positions. The
gradients are the same in reverse: with e = A dy A' those of d and g are

    B [(G g G') * e] B'    and    G' [(B' d B) * e] G,

where overlapping tiles of d are summed, and all tiles of g.

What makes this fast under XLA on CPUs:

- Tiles are processed in strips of several hundred, so that the transformed tiles stay in the cache.
  A strip's activation, and the gradient of that, is computed while it is there.
- The images of a batch are stacked into one tall image, with their zero padding in between. A strip
  is then a range of rows, no matter where an image ends, and one grid of tiles serves the
  convolution and its gradients.
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
import numpy as np
from jax import Array, lax

from casjax.models.convolutions.activation import Activation, activate, gradients

TILE = 4  # outputs along a side of a tile
# Approximately: enough rows for efficient matrix products, few enough to stay cached.
TILES_PER_STRIP = 1400
# Matrix products need whole vector registers of channels: 257 are padded to 272, 513 to 528.
CHANNEL_MULTIPLE = 16
PADDING = 1  # rows and columns of zeros on each side of an image


@jax.custom_vjp
def convolve(x: Array, kernel: Array, activation: Activation | None) -> Array:
    """Convolve with stride 1 and one row and column of zeros around the input, and activate.

    The convolution equals `lax.conv_general_dilated(x, kernel, (1, 1), ((1, 1), (1, 1)))` in the
    layouts below: a 3x3 kernel keeps the height and width, a 2x2 kernel adds one to each.

    Args:
      x: float32 [n, h, w, ci], any size from 1x1.
      kernel: float32 [k, k, ci, co], k = 2 or 3.
      activation: of the co channels, or None.

    Returns:
      float32 [n, h + 3 - k, w + 3 - k, co].
    """
    grid = _tile_grid(x.shape, len(kernel))
    y = _convolve_tall(_stack_input(x, grid, len(kernel)), kernel, activation, grid)
    return _unstack(y, grid, *_output_shape(x, kernel))


# The tall image, the kernel, and the activation with the tall result before it.
_Residuals = tuple[Array, Array, tuple[Activation, Array] | None]


def _convolve_forward(
    x: Array, kernel: Array, activation: Activation | None
) -> tuple[Array, _Residuals]:
    grid = _tile_grid(x.shape, len(kernel))
    tall = _stack_input(x, grid, len(kernel))
    tall_y = _convolve_tall(tall, kernel, None, grid)
    y = _unstack(tall_y, grid, *_output_shape(x, kernel))
    activated = None if activation is None else (activation, tall_y)
    return activate(y, activation), (tall, kernel, activated)


def _convolve_backward(residuals: _Residuals, dy: Array) -> tuple[Array, Array, Activation | None]:
    _, kernel, _ = residuals
    size, _, ci, _ = kernel.shape
    n, h, w = dy.shape[0], dy.shape[1] + size - 3, dy.shape[2] + size - 3
    grid = _tile_grid((n, h, w, ci), size)
    tall_dx, dkernel, dactivation = _gradients_tall(residuals, _stack_output(dy, grid), grid)
    dx = _unstack(tall_dx[PADDING:, PADDING:], grid, n, h, w)
    return dx[..., :ci], dkernel[:, :, :ci], dactivation


convolve.defvjp(_convolve_forward, _convolve_backward)


def _output_shape(x: Array, kernel: Array) -> tuple[int, int, int]:
    n, h, w, _ = x.shape
    return n, h + 3 - len(kernel), w + 3 - len(kernel)


class _TileGrid(NamedTuple):
    """Tiles over a tall image: `strips` from top to bottom, each of rows x columns tiles."""

    pitch: int  # pixels from the first row of an image to that of the next
    strips: int
    rows: int
    columns: int


def _tile_grid(shape: tuple[int, ...], size: int) -> _TileGrid:
    """Return the grid for images [n, h, w, ci], a kernel size, and the gradients."""
    n, h, w, _ = shape
    h_out, w_out = h + 3 - size, w + 3 - size
    pitch = h + PADDING if n > 1 else h_out
    rows = math.ceil(((n - 1) * pitch + max(h, h_out)) / TILE)
    columns = math.ceil(max(w, w_out) / TILE)
    # Of the strips with about the right number of tiles, those that cover the fewest rows.
    most = min(rows, max(1, TILES_PER_STRIP * 4 // 3 // columns))
    least = min(most, max(1, TILES_PER_STRIP * 2 // 3 // columns))
    per_strip = min(range(most, least - 1, -1), key=lambda count: -(-rows // count) * count)
    return _TileGrid(pitch, math.ceil(rows / per_strip), per_strip, columns)


def _stack_input(x: Array, grid: _TileGrid, size: int) -> Array:
    """Stack [n, h, w, ci] into a tall image, zero-padded to all that the grid's tiles read."""
    _, h, w, ci = x.shape
    height = grid.strips * grid.rows * TILE + size - 1
    width = grid.columns * TILE + size - 1
    right, channels = width - PADDING - w, -ci % CHANNEL_MULTIPLE
    x = jnp.pad(x, ((0, 0), (0, grid.pitch - h), (PADDING, right), (0, channels)))
    tall = x.reshape(-1, *x.shape[2:])
    return _pad_rows(tall, PADDING, height - PADDING - len(tall))


def _stack_output(y: Array, grid: _TileGrid) -> Array:
    """Stack [n, h, w, co] into the tall image that `_unstack` cuts, with zeros elsewhere."""
    _, h, w, _ = y.shape
    y = jnp.pad(y, ((0, 0), (0, grid.pitch - h), (0, grid.columns * TILE - w), (0, 0)))
    tall = y.reshape(-1, *y.shape[2:])
    return _pad_rows(tall, 0, grid.strips * grid.rows * TILE - len(tall))


def _unstack(tall: Array, grid: _TileGrid, n: int, h: int, w: int) -> Array:
    """Cut n images of h x w out of a tall image, which starts with the first."""
    tall = _pad_rows(tall, 0, n * grid.pitch - len(tall))
    return tall.reshape(n, grid.pitch, *tall.shape[1:])[:, :h, :w]


def _pad_rows(tall: Array, above: int, below: int) -> Array:
    """Add rows of zeros, or cut rows off where a number is negative."""
    zero = jnp.zeros((), tall.dtype)
    return lax.pad(tall, zero, ((above, below, 0), (0, 0, 0), (0, 0, 0)))


def _convolve_tall(
    tall: Array, kernel: Array, activation: Activation | None, grid: _TileGrid
) -> Array:
    """Convolve a tall image [height, width, ci] to [strips * rows * 4, columns * 4, co]."""
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
        return activate(y.reshape(height, grid.columns * TILE, co), activation)

    y = lax.map(convolve_strip, jnp.arange(grid.strips))
    return y.reshape(-1, *y.shape[2:])


def _gradients_tall(
    residuals: _Residuals, tall_dy: Array, grid: _TileGrid
) -> tuple[Array, Array, Activation | None]:
    """Return the gradients of a tall image, the kernel and the activation."""
    tall, kernel, activated = residuals
    size, _, ci, co = kernel.shape
    b_transposed, g, a_transposed = MATRICES[size]
    a, b = _transpose(a_transposed), _transpose(b_transposed)
    kernel = jnp.pad(kernel, ((0, 0), (0, 0), (0, tall.shape[-1] - ci), (0, 0)))
    kernels = _sandwich(g, [list(row) for row in kernel.swapaxes(2, 3)])
    height = grid.rows * TILE

    def add_strip(strip: Array, sums: Any) -> Any:
        tall_dx, dkernels, dactivation = sums
        start = strip * height
        pixels = lax.dynamic_slice_in_dim(tall, start, height + size - 1)
        dy = lax.dynamic_slice_in_dim(tall_dy, start, height)
        if activated is not None:
            activation, tall_y = activated
            y = lax.dynamic_slice_in_dim(tall_y, start, height)
            dy, dslope = gradients(y, activation, dy)
        tiles = _transform_tiles(b_transposed, pixels, grid)
        dy_tiles = _transform_tiles(a, dy, grid)
        if activated is not None:
            # The second row of A is all ones: it gives the sum of a tile's 16 pixels.
            dbias = dy_tiles[1][1].sum(0)
            dactivation = jax.tree.map(jnp.add, dactivation, Activation(dbias, dslope))
        dkernels = [
            [total + lax.dot(d.T, e) for total, d, e in zip(*row, strict=True)]
            for row in zip(dkernels, tiles, dy_tiles, strict=True)
        ]
        products = [
            [lax.dot(e, u).reshape(grid.rows, grid.columns, -1) for e, u in zip(*row, strict=True)]
            for row in zip(dy_tiles, kernels, strict=True)
        ]
        lines = [_overlap([_weighted_sum(w, row) for w in b], 1) for row in products]
        dx = _overlap([_weighted_sum(w, lines) for w in b], 0)
        # The previous strip has started the first rows, which tiles of both cover.
        dx += _pad_rows(lax.dynamic_slice_in_dim(tall_dx, start, size - 1), 0, height)
        return lax.dynamic_update_slice_in_dim(tall_dx, dx, start, 0), dkernels, dactivation

    zeros = jnp.zeros((tall.shape[-1], co), tall.dtype)
    sums = (
        jnp.zeros_like(tall),
        [[zeros] * len(g)] * len(g),
        None if activated is None else Activation(jnp.zeros(co), jnp.zeros(co)),
    )
    tall_dx, dkernels, dactivation = lax.fori_loop(0, grid.strips, add_strip, sums)
    dkernel = jnp.stack([jnp.stack(row) for row in _sandwich(_transpose(g), dkernels)])
    return tall_dx, dkernel, dactivation


def _overlap(lines: Sequence[Array], axis: int) -> Array:
    """Lay tiles 4 pixels apart along an axis and sum where they overlap.

    `lines` are the rows or columns of all tiles: with n tiles along the axis, len(lines) = 4 + k
    of them become 4n + k.
    """

    def shifted(line: Array, tiles: int) -> Array:
        padding = [(0, 0, 0)] * line.ndim
        padding[axis] = (tiles, 1 - tiles, 0)
        return lax.pad(line, jnp.zeros((), line.dtype), padding)

    own = [shifted(line, 0) for line in lines[:TILE]]
    of_tile_before = [shifted(line, 1) for line in lines[TILE:]]
    own[: len(of_tile_before)] = map(operator.add, own, of_tile_before)
    y = jnp.stack(own, axis + 1)
    y = y.reshape(*y.shape[:axis], -1, *y.shape[axis + 2 :])
    return lax.slice_in_dim(y, 0, y.shape[axis] - TILE + len(of_tile_before), axis=axis)


Matrix = Sequence[Sequence[float]]


def _transform_tiles(matrix: Matrix, pixels: Array, grid: _TileGrid) -> list[list[Array]]:
    """Apply `matrix d matrix'` to every tile d of a strip, whose corners are 4 pixels apart.

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
    """Return function(x), kept in memory.

    XLA would rather fuse it into each of its uses and so compute it many times. On CPUs it sees
    through optimization barriers; all that stops it is a branch that it cannot decide.
    """

    def zeros(x: Array) -> list[Array]:
        return [jnp.zeros(y.shape, y.dtype) for y in jax.eval_shape(function, x)]

    bits = lax.bitcast_convert_type(x.ravel()[0].astype(jnp.float32), jnp.int32)
    return lax.cond((bits | 1) != 0, function, zeros, x)


def _sandwich(matrix: Matrix, x: Sequence[Sequence[Array]]) -> list[list[Array]]:
    """Compute `matrix x matrix'` for a square x of arrays."""
    columns = [[_weighted_sum(row, column) for row in matrix] for column in _transpose(x)]
    return [[_weighted_sum(row, line) for row in matrix] for line in _transpose(columns)]


def _transpose(rows: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
    return list(zip(*rows, strict=True))


def _weighted_sum(weights: Iterable[float], terms: Iterable[Array]) -> Array:
    """Sum weight * term, without terms of weight zero and multiplications by one."""
    weighted = [
        term if weight == 1 else -term if weight == -1 else weight * term
        for weight, term in zip(weights, terms, strict=True)
        if weight
    ]
    return functools.reduce(operator.add, weighted)


def _matrices(size: int, points: Sequence[int]) -> tuple[Matrix, Matrix, Matrix]:
    """Return B', G and A' by Cook and Toom's construction: interpolation at points and infinity.

    They are right if and only if sum over j of A'[i, j] G[j, k] B'[j, l] is 1 where l = i + k
    and 0 elsewhere.
    """
    others = [[other for other in points if other != point] for point in points]
    b_transposed = [[*np.poly(roots)[::-1].tolist(), 0.0] for roots in others]
    b_transposed.append(np.poly(points)[::-1].tolist())
    scales = [
        1 / math.prod(point - other for other in roots)
        for point, roots in zip(points, others, strict=True)
    ]
    g = [[scale * p**k for k in range(size)] for p, scale in zip(points, scales, strict=True)]
    g.append([0.0] * (size - 1) + [1.0])
    a_transposed = [[*(float(p**i) for p in points), float(i == TILE - 1)] for i in range(TILE)]
    return b_transposed, g, a_transposed


MATRICES = {2: _matrices(2, (0, 1, -1, 2)), 3: _matrices(3, (0, 1, -1, 2, -2))}
