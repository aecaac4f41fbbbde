"""Convolution by oneDNN, which jaxlib contains: the fast form for bfloat16 on x86-64 processors.

XLA's CPU compiler uses the processor's best units (AMX, AVX512_BF16) for neither convolutions nor
bfloat16, but it executes custom calls of oneDNN's primitives, which do. An unsuitable call aborts
the process, and the calls are internal to XLA: only this module makes them, and 'auto' chooses them
only where `probe.onednn_works`.

There is no call for the gradient of a kernel. But with the images' rows as the window, columns as
channels and the channels of one operand as columns, that is a convolution too:

    dkernel[i, j, a, b] = sum over rows r, columns c of x[r + i, c + j, a] dy[r, c, b]

convolves S[row, (j, a), column] = x[row, column + j, a], k transposed copies of x, with dy as it
lies in memory. Its products are as large as those of the forward pass, and as fast.
"""

import functools
import json
import math

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import DTypeLike

CONVOLUTION, MATMUL = TARGETS = "__onednn$convolution", "__onednn$matmul"
# In a strip of a kernel's gradient: enough to sum over at once, few enough to stay cached.
PIXELS_PER_STRIP = 2048
FEW_CHANNELS = 3  # of an image
# With fewer input channels, AMX's convolutions by tall kernels are wrong (oneDNN 3.7.3 in jaxlib
# 0.10.2: those of 8 by 12 rows) or cannot be made (15 by 137), which aborts the process.
LEAST_COLUMNS = 16


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def convolve(x: Array, kernel: Array, padding: int, dtype: DTypeLike) -> Array:
    """Convolve with stride 1, summing all taps in float32.

    Args:
      x: bfloat16 or float32 [n, h, w, ci].
      kernel: [k, k, ci, co], the same dtype.
      padding: rows and columns of zeros on each side of an image, less than k.
      dtype: of the result: that of `x`, or float32.

    Returns:
      [n, h + 1 - k + 2 padding, w + 1 - k + 2 padding, co].

    Raises:
      TypeError: `x` and `kernel` differ in dtype, for which oneDNN would abort the process.
    """
    if x.dtype != kernel.dtype:
        raise TypeError(f"expected a picture and a kernel of one dtype: {x.dtype}, {kernel.dtype}")
    if kernel.shape[-1] <= FEW_CHANNELS:
        return _convolve_to_few(x, kernel, padding).astype(dtype)
    return _convolution(x, kernel, padding, dtype)


def _convolve_forward(
    x: Array, kernel: Array, padding: int, dtype: DTypeLike
) -> tuple[Array, tuple[Array, Array]]:
    return convolve(x, kernel, padding, dtype), (x, kernel)


def _convolve_backward(
    padding: int, _: DTypeLike, residuals: tuple[Array, Array], dy: Array
) -> tuple[Array, Array]:
    x, kernel = residuals
    dy = dy.astype(x.dtype)
    opposite = len(kernel) - 1 - padding
    dx = _convolution(dy, kernel[::-1, ::-1].swapaxes(2, 3), opposite, x.dtype)
    if x.shape[-1] <= dy.shape[-1]:
        dkernel = _correlate(x, dy, len(kernel), padding)
    else:  # The operand with fewer channels is the one copied.
        turned = _correlate(dy, x, len(kernel), opposite)
        dkernel = turned[::-1, ::-1].swapaxes(2, 3)
    return dx, dkernel.astype(kernel.dtype)


convolve.defvjp(_convolve_forward, _convolve_backward)


def _convolve_to_few(x: Array, kernel: Array, padding: int) -> Array:
    """Multiply all pixels by all taps at once and sum shifted images, in float32.

    That is several times as fast as a convolution, which computes at least 16 channels.
    """
    planes = _matmul(x.reshape(-1, x.shape[-1]), as_columns(kernel), jnp.float32)
    return sum_of_shifts(planes.reshape(*x.shape[:3], -1), len(kernel), padding)


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


def _correlate(moved: Array, still: Array, size: int, padding: int) -> Array:
    """Sum `moved[r + i - padding, c + j - padding, a] still[r, c, b]` over rows, columns, images.

    Args:
      moved: [n, h, w, a], taken as zero outside.
      still: [n, h + 2 padding + 1 - size, w + 2 padding + 1 - size, b], the same dtype.
      size: of i and j.
      padding: rows and columns before the first.

    Returns:
      float32 [size, size, a, b].
    """
    (n, h, w, a), (_, _, columns, b), dtype = moved.shape, still.shape, moved.dtype
    width = max(columns, LEAST_COLUMNS)
    pitch = h + padding  # The images are stacked vertically, with zeros in between.
    rows = n * pitch
    strips = math.ceil(rows * width / PIXELS_PER_STRIP)
    # Of the strip lengths close to that, the one that covers the fewest rows.
    longest, shortest = math.ceil(rows / strips), math.ceil(rows / (2 * strips))
    strip = min(range(longest, shortest - 1, -1), key=lambda length: -rows % length)
    total = math.ceil(rows / strip) * strip
    sides = (padding, width + size - 1 - w - padding)
    moved = _stack(_words(moved), pitch, sides, padding, total + size - 1)
    still = _stack(_words(still), pitch, (0, width - columns), 0, total)

    def add_strip(index: Array, sums: Array) -> Array:
        seen = lax.dynamic_slice_in_dim(moved, index * strip, strip + size - 1).swapaxes(1, 2)
        seen = jnp.concatenate([seen[:, :, j : j + width] for j in range(size)], axis=1)
        window = lax.dynamic_slice_in_dim(still, index * strip, strip)
        seen, window = (lax.bitcast_convert_type(words, dtype) for words in (seen, window))
        return sums + _convolution(seen[None], window[:, None], 0, jnp.float32)

    sums = jnp.zeros((1, size, size * a, b))
    return lax.fori_loop(0, total // strip, add_strip, sums).reshape(size, size, a, b)


def _stack(x: Array, pitch: int, sides: tuple[int, int], above: int, rows: int) -> Array:
    """Stack images, each `pitch` rows high and with zeros at its sides, to `rows` rows."""
    n, h, _, channels = x.shape
    x = jnp.pad(x, ((0, 0), (0, pitch - h), sides, (0, 0))).reshape(n * pitch, -1, channels)
    return jnp.pad(x, ((above, rows - above - n * pitch), (0, 0), (0, 0)))


def _words(x: Array) -> Array:
    """Reinterpret bfloat16 as integers for moving it: XLA's CPU backend would compute with it."""
    return lax.bitcast_convert_type(x, jnp.uint16) if x.dtype == jnp.bfloat16 else x


def _matmul(a: Array, b: Array, dtype: DTypeLike) -> Array:
    """Multiply matrices, summing in float32, to a dtype."""
    config: dict[str, object] = {"onednn_matmul_config": {}}
    result = jax.ShapeDtypeStruct((len(a), b.shape[1]), dtype)
    return _call(MATMUL, config, result, a, b)


def _convolution(x: Array, kernel: Array, padding: int, dtype: DTypeLike) -> Array:
    """Convolve [n, h, w, ci] with [kh, kw, ci, co], summing in float32, to a dtype."""
    n, h, w, _ = x.shape
    height, width, _, co = kernel.shape
    shape = n, h + 2 * padding + 1 - height, w + 2 * padding + 1 - width, co
    images = {"data": {"batch_dim": 0, "feature_dim": 3, "spatial_dims": [1, 2]}}
    taps = {"filter": {"input_feature_dim": 2, "output_feature_dim": 3, "spatial_dims": [0, 1]}}
    window = {
        "pad_left": [padding, padding],
        "pad_right": [padding, padding],
        "strides": [1, 1],
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
