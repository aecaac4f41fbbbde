"""Convolution by oneDNN, which jaxlib contains: the fast form for bfloat16 on x86-64 processors.

XLA's CPU compiler uses the processor's best units (AMX, AVX512_BF16) for neither convolutions nor
bfloat16, but it executes custom calls of oneDNN's primitives, which do. An unsuitable call aborts
the process, and the calls are internal to XLA: only this module makes them, and 'auto' chooses them
only where `probe.onednn_works`.

There is no call for the gradient of a kernel. But with the images' rows as the window, columns as
channels and the channels of one operand as columns, that is a convolution too:

    dkernel[i, j, a, b] = sum over rows r, columns c of x[r + i, c + j, a] dy[r, c, b]

convolves x[row, a, column], transposed in memory, with dy, which is moved by j columns. Such
convolutions are large enough to be as fast as those of the forward pass are.
"""

import functools
import itertools
import json
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import DTypeLike

CONVOLUTION, MATMUL = TARGETS = "__onednn$convolution", "__onednn$matmul"
# In a strip of a kernel's gradient: enough to sum over at once, few enough to stay cached, which is
# a quarter of it between wide maps.
PIXELS_PER_STRIP = 10_000
WIDE = 128**2  # input channels times output channels
FEW_CHANNELS = 3  # of an image
PLANES_AT_ONCE = 32  # copies of a plane that may exist in full
# Columns, the input channels of a tall convolution, lie below one another in groups of this many,
# which AMX does 1.3 (128 maps) to 1.5 times (512 maps) as fast as 128 columns side by side. With
# fewer than 16, oneDNN 3.7.3 (jaxlib 0.10.2) computes some wrongly, as 8 by 12 rows, and cannot
# make others, as 15 by 137, which aborts the process.
COLUMNS = 32


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def convolve(parts: tuple[Array, ...], kernel: Array, padding: int, dtype: DTypeLike) -> Array:
    """Convolve the concatenation of ``parts`` with stride 1, summing all taps in float32.

    Args:
      parts: bfloat16 or float32 [n, h, w, c_i], whose c_i add up to ci. Gradients are taken of each
        by itself: 257 channels, an image among them, would be slow.
      kernel: [k, k, ci, co], the same dtype.
      padding: rows and columns of zeros on each side of an image, less than k.
      dtype: of the result: that of the parts, or float32.

    Returns:
      [n, h + 1 - k + 2 padding, w + 1 - k + 2 padding, co].

    Raises:
      TypeError: parts and kernel differ in dtype, for which oneDNN would abort the process.
    """
    for part in parts:
        if part.dtype != kernel.dtype:
            raise TypeError(
                f"expected pictures and a kernel of one dtype: {part.dtype}, {kernel.dtype}"
            )
    if kernel.shape[-1] <= FEW_CHANNELS:
        return _convolve_to_few(parts, kernel, padding).astype(dtype)
    return _convolution(_concatenate(parts), kernel, padding, dtype)


def _convolve_forward(
    parts: tuple[Array, ...], kernel: Array, padding: int, dtype: DTypeLike
) -> tuple[Array, tuple[tuple[Array, ...], Array]]:
    return convolve(parts, kernel, padding, dtype), (parts, kernel)


def _convolve_backward(
    padding: int, _: DTypeLike, residuals: tuple[tuple[Array, ...], Array], dy: Array
) -> tuple[tuple[Array, ...], Array]:
    parts, kernel = residuals
    dy = dy.astype(kernel.dtype)
    padding_back = len(kernel) - 1 - padding
    dparts, dkernels = [], []
    for x, taps in zip(parts, split_by_input(kernel, parts), strict=True):
        turned = taps[::-1, ::-1].swapaxes(2, 3)
        if x.shape[-1] <= FEW_CHANNELS:
            dparts.append(_convolve_to_few((dy,), turned, padding_back).astype(dy.dtype))
        else:
            dparts.append(_convolution(dy, turned, padding_back, dy.dtype))
    for _, group in itertools.groupby(parts, lambda x: x.shape[-1] <= FEW_CHANNELS):
        dkernels.append(_gradient_of_kernel(tuple(group), dy, len(kernel), padding))
    return tuple(dparts), jnp.concatenate(dkernels, axis=2).astype(kernel.dtype)


convolve.defvjp(_convolve_forward, _convolve_backward)


def split_by_input(kernel: Array, parts: Sequence[Array]) -> list[Array]:
    """Split a kernel [k, k, ci, co] into those of the parts of its input."""
    ends = list(itertools.accumulate(part.shape[-1] for part in parts))
    return jnp.split(kernel, ends[:-1], axis=2)


def _convolve_to_few(parts: tuple[Array, ...], kernel: Array, padding: int) -> Array:
    """Multiply all pixels by all taps at once and sum shifted images, in float32.

    That is several times as fast as a convolution, which computes at least 16 channels.
    """
    planes = functools.reduce(
        jnp.add,
        (
            matmul(part.reshape(-1, part.shape[-1]), as_columns(taps), jnp.float32)
            for part, taps in zip(parts, split_by_input(kernel, parts), strict=True)
        ),
    )
    return sum_of_shifts(planes.reshape(*parts[0].shape[:3], -1), len(kernel), padding)


def as_columns(kernel: Array) -> Array:
    """Lay the taps of a kernel [k, k, ci, co] side by side: [ci, k * k * co]."""
    return kernel.transpose(2, 0, 1, 3).reshape(kernel.shape[2], -1)


def sum_of_shifts(planes: Array, size: int, padding: int) -> Array:
    """Finish a convolution, given each pixel multiplied by each tap.

    Args:
      planes: [n, h, w, size * size * co], the product with `as_columns`.
      size: of the kernel.
      padding: rows and columns of zeros on each side of an image.

    Returns:
      [n, h + 1 - size + 2 padding, w + 1 - size + 2 padding, co].
    """
    _, h, w, count = planes.shape
    co = count // size**2
    h, w = h + 2 * padding + 1 - size, w + 2 * padding + 1 - size
    planes = jnp.pad(planes, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    taps = ((i, j, (i * size + j) * co) for i in range(size) for j in range(size))
    shifted = (planes[:, i : i + h, j : j + w, first : first + co] for i, j, first in taps)
    return functools.reduce(jnp.add, shifted)


def _gradient_of_kernel(xs: tuple[Array, ...], dy: Array, size: int, padding: int) -> Array:
    """Return that of a kernel between xs [n, h, w, c_i] and dy: float32 [size, size, ci, co]."""
    if sum(x.shape[-1] for x in xs) <= dy.shape[-1]:
        return _correlate(_concatenate(xs), dy, size, padding)
    turned = (_correlate(dy, x, size, size - 1 - padding) for x in xs)  # fewer copies
    return jnp.concatenate([taps[::-1, ::-1].swapaxes(2, 3) for taps in turned], axis=2)


def _correlate(moved: Array, still: Array, size: int, padding: int) -> Array:
    """Sum `moved[r + i - padding, c + j - padding, a] still[r, c, b]` over rows, columns, images.

    Args:
      moved: [n, h, w, a], zero outside.
      still: [n, h + 2 padding + 1 - size, w + 2 padding + 1 - size, b], the same dtype.
      size: the number of values of i and of j.
      padding: rows and columns before the first.

    Returns:
      float32 [size, size, a, b].
    """
    (n, h, w, a), (*_, columns, b) = moved.shape, still.shape
    if size**2 * a <= PLANES_AT_ONCE:
        return _correlate_at_once(moved, still, size, padding)
    groups = math.ceil((columns + size - 1) / COLUMNS)
    width = groups * COLUMNS
    pitch = h + padding  # The images are stacked vertically, with zeros in between.
    rows = n * pitch
    pixels = PIXELS_PER_STRIP / (4 if a * b >= WIDE else 1)
    strips = math.ceil(rows * width / pixels)
    # Of the strip lengths close to that, the one that covers the fewest rows.
    longest, shortest = math.ceil(rows / strips), math.ceil(rows / (2 * strips))
    strip = min(range(longest, shortest - 1, -1), key=lambda length: -rows % length)
    total = math.ceil(rows / strip) * strip
    moved = _stack(words(moved), pitch, (padding, width - w - padding), padding, total + size - 1)
    moved = moved.reshape(-1, groups, COLUMNS, a).swapaxes(2, 3)
    padded = _stack(words(still), pitch, (size - 1, width - columns), 0, total)

    def add_strip(index: Array, sums: list[Array]) -> list[Array]:
        top = index * strip
        seen = lax.dynamic_slice_in_dim(moved, top, strip + size - 1)
        x = lax.bitcast_convert_type(seen.reshape(1, -1, a, COLUMNS), still.dtype)

        def gradient(j: int) -> Array:
            window = lax.dynamic_slice(padded, (top, size - 1 - j, 0), (strip, width, b))
            kernel = lax.bitcast_convert_type(window.reshape(-1, 1, COLUMNS, b), still.dtype)
            return _convolution(x, kernel, 0, jnp.float32, rows_between=groups)

        return [so_far + gradient(j) for j, so_far in enumerate(sums)]

    sums = lax.fori_loop(0, total // strip, add_strip, [jnp.zeros((1, size, a, b))] * size)
    return jnp.concatenate(sums).swapaxes(0, 1)


def _correlate_at_once(moved: Array, still: Array, size: int, padding: int) -> Array:
    """Do what `_correlate` does, for an image, as one matrix product with all its shifts."""
    _, height, width, b = still.shape
    sides = padding, padding
    planes = jnp.pad(words(moved).transpose(3, 0, 1, 2), ((0, 0), (0, 0), sides, sides))
    places = itertools.product(range(size), repeat=2)
    shifted = jnp.stack([planes[..., i : i + height, j : j + width] for i, j in places])
    shifted = shifted.reshape(size**2 * len(planes), -1)
    shifted = lax.bitcast_convert_type(shifted, still.dtype)
    return matmul(shifted, still.reshape(-1, b), jnp.float32).reshape(size, size, -1, b)


def _stack(x: Array, pitch: int, sides: tuple[int, int], above: int, rows: int) -> Array:
    """Stack images, each `pitch` rows high and with zeros at its sides, to `rows` rows."""
    n, h, _, channels = x.shape
    x = jnp.pad(x, ((0, 0), (0, pitch - h), sides, (0, 0))).reshape(n * pitch, -1, channels)
    return jnp.pad(x, ((above, rows - above - n * pitch), (0, 0), (0, 0)))


def _concatenate(parts: tuple[Array, ...]) -> Array:
    """Concatenate channels, in words."""
    joined = jnp.concatenate([words(part) for part in parts], axis=-1)
    return lax.bitcast_convert_type(joined, parts[0].dtype)


def words(x: Array) -> Array:
    """Reinterpret bfloat16 as integers for moving it: XLA's CPU backend would compute with it."""
    return lax.bitcast_convert_type(x, jnp.uint16) if x.dtype == jnp.bfloat16 else x


def matmul(a: Array, b: Array, dtype: DTypeLike, *, transpose_a: bool = False) -> Array:
    """Multiply matrices of one dtype, summing in float32, to a dtype.

    Transposing the first one here costs less than doing so in memory.

    Raises:
      TypeError: they differ in dtype, for which oneDNN would abort the process.
    """
    if a.dtype != b.dtype:
        raise TypeError(f"expected two matrices of one dtype: {a.dtype}, {b.dtype}")
    config: dict[str, object] = {"onednn_matmul_config": {"transpose_a": transpose_a}}
    result = jax.ShapeDtypeStruct((a.shape[1 if transpose_a else 0], b.shape[1]), dtype)
    return _call(MATMUL, config, result, a, b)


def _convolution(
    x: Array, kernel: Array, padding: int, dtype: DTypeLike, *, rows_between: int = 1
) -> Array:
    """Convolve [n, h, w, ci] with [kh, kw, ci, co], summing in float32, to a dtype.

    Results are `rows_between` rows of the input apart.
    """
    n, h, w, _ = x.shape
    height, width, _, co = kernel.shape
    last = h + 2 * padding - height
    shape = n, last // rows_between + 1, w + 2 * padding + 1 - width, co
    images = {"data": {"batch_dim": 0, "feature_dim": 3, "spatial_dims": [1, 2]}}
    taps = {"filter": {"input_feature_dim": 2, "output_feature_dim": 3, "spatial_dims": [0, 1]}}
    window = {
        "pad_left": [padding, padding],
        "pad_right": [padding, padding],
        "strides": [rows_between, 1],
        "window_dilations": [1, 1],
    }
    config = {
        "onednn_conv_config": {
            "dims": 4,
            "input": images,
            "kernel": taps,
            "output": images,
            "window": window,
            "feature_groups": 1,
        }
    }
    return _call(CONVOLUTION, config, jax.ShapeDtypeStruct(shape, dtype), x, kernel)


def leave_compilations_unkept() -> None:
    """Stop JAX from writing compilations to its cache in this process; it still reads them.

    It cannot write those that contain these calls: ``MemoryError: std::bad_alloc`` (jaxlib 0.10.2).
    """
    jax.config.update("jax_persistent_cache_min_compile_time_secs", math.inf)


def _call(target: str, config: object, result: jax.ShapeDtypeStruct, *operands: Array) -> Array:
    leave_compilations_unkept()
    call = jax.ffi.ffi_call(
        target, result, custom_call_api_version=1, legacy_backend_config=json.dumps(config)
    )
    return call(*operands)
