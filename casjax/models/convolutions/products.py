"""Convolution as matrix products and shifts: its fast form for bfloat16 on CPUs.

With the pixels of all images in one list, row after row, the taps (i, j) of a kernel look ahead by
i * width + j pixels. So k stretches of the list, each a row of the image after the one before,
stand side by side as channels; one matrix product takes all of them through each column j of the
kernel; and what the columns give is shifted by j and summed:

    y[p] = sum over j of z[p + j, j],    z[p, j] = sum over i of x[p + i * width] kernel[i, j].

The last columns and rows of an image, where the taps look out of it, are cut off.

What makes this fast under XLA on CPUs:

- A product of bfloat16 that is summed to float32 runs on the processor's units for it (AMX,
  AVX512_BF16). One with a result in bfloat16 does not, and no convolution does.
- bfloat16 that is only moved is moved as uint16 ("words" below), because XLA's CPU backend would
  widen it to float32 and narrow it again.
- The list is taken in strips, whose products and sums stay in the cache, and of which k copies are
  made, where one matrix product for each tap would want k * k.
"""

import functools
import math
import operator
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import DTypeLike

PIXELS_PER_STRIP = 4096
PIXELS_PER_GRADIENT_STRIP = 2048
CHANNEL_MULTIPLE = 16  # 257 channels are padded to 272: products are half as fast again


@jax.custom_vjp
def convolve(x: Array, kernel: Array) -> Array:
    """Convolves with stride 1 and without padding; sums are float32 until all taps are in.

    Args:
      x: bfloat16 or float32 [n, h, w, ci], h and w at least k.
      kernel: [k, k, ci, co], the same dtype.

    Returns:
      [n, h + 1 - k, w + 1 - k, co], the same dtype.
    """
    return _convolve_forward(x, kernel)[0]


def _convolve_forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    n, h, w, ci = x.shape
    size = len(kernel)
    words = jnp.pad(_words(x), ((0, 0), (0, 0), (0, 0), (0, -ci % CHANNEL_MULTIPLE)))
    words = words.reshape(n * h * w, -1)
    y = _convolve_list(words, kernel, w).reshape(n, h, w, -1)
    return _numbers(y[:, : h + 1 - size, : w + 1 - size], x.dtype), (words, kernel)


def _convolve_backward(residuals: tuple[Array, Array], dy: Array) -> tuple[Array, Array]:
    words, kernel = residuals
    rim = len(kernel) - 1
    n, h, w = dy.shape[0], dy.shape[1] + rim, dy.shape[2] + rim
    # What was cut off of y has no gradient. These zeros are also what lies before the first
    # column and row of an image, because there the list goes on with the end of what is before.
    dy_words = jnp.pad(_words(dy), ((0, 0), (0, rim), (0, rim), (0, 0))).reshape(n * h * w, -1)
    dy_words = jnp.pad(dy_words, ((rim * (w + 1), 0), (0, 0)))
    dx = _convolve_list(dy_words, kernel[::-1, ::-1].swapaxes(2, 3), w)[: n * h * w]
    dx = _numbers(dx.reshape(n, h, w, -1), dy.dtype)
    return dx, _kernel_gradient(words, dy_words, kernel, w)


convolve.defvjp(_convolve_forward, _convolve_backward)


def _convolve_list(words: Array, kernel: Array, width: int) -> Array:
    """Convolves a list of words [pixels, ci] to one as long, whose end is zero."""
    size, _, ci, co = kernel.shape
    kernel = jnp.pad(kernel, ((0, 0), (0, 0), (0, words.shape[-1] - ci), (0, 0)))
    columns = kernel.swapaxes(1, 2).reshape(-1, size * co)
    count = len(words) - (size - 1) * (width + 1)
    strips, length, start_of = _strips(count, PIXELS_PER_STRIP)

    def convolve_strip(strip: Array, y: Array) -> Array:
        start = start_of(strip)
        z = _product(_stack_rows(words, start, length, kernel, width), columns)
        shifted = (z[j : j + length, j * co : (j + 1) * co] for j in range(size))
        sums = functools.reduce(operator.add, shifted).astype(kernel.dtype)
        return lax.dynamic_update_slice_in_dim(y, _words(sums), start, axis=0)

    y = jnp.zeros((len(words), co), words.dtype)
    return lax.fori_loop(0, strips, convolve_strip, y)


def _kernel_gradient(words: Array, dy: Array, kernel: Array, width: int) -> Array:
    """Sums `x[p + i * width + j]' dy[p]` over the pixels p of lists of words, for all taps.

    In the list of dy pixel 0 has as many zeros before it as the taps look ahead.
    """
    size, _, ci, co = kernel.shape
    ahead = (size - 1) * (width + 1)
    count = len(words) - ahead
    strips, length, start_of = _strips(count, PIXELS_PER_GRADIENT_STRIP)
    identity = jnp.eye(co, dtype=kernel.dtype)

    def add_strip(strip: Array, sums: Array) -> Array:
        start = start_of(strip)
        new = start + jnp.arange(length) >= strip * length  # where it does not overlap
        slopes = lax.dynamic_slice_in_dim(dy, ahead + start, length)
        slopes = _numbers(jnp.where(new[:, None], slopes, 0), kernel.dtype)
        # A product with the identity transposes many times as fast as a transposition does.
        transposed = _product(identity, slopes, contract=1)
        shifted = [jnp.pad(transposed, ((0, 0), (j, size - 1 - j))) for j in range(size)]
        slopes = jnp.concatenate(shifted).astype(kernel.dtype)
        return sums + _product(slopes, _stack_rows(words, start, length, kernel, width))

    sums = jnp.zeros((size * co, size * words.shape[-1]))
    sums = lax.fori_loop(0, strips, add_strip, sums)
    taps = sums.reshape(size, co, size, -1).transpose(2, 0, 3, 1)
    return taps[:, :, :ci].astype(kernel.dtype)


def _strips(count: int, most: int) -> tuple[int, int, Callable[[Array], Array]]:
    """How many strips there are, their length, and where each starts: the last may overlap."""
    strips = math.ceil(count / most)
    length = math.ceil(count / strips)
    return strips, length, lambda strip: jnp.minimum(strip * length, count - length)


def _stack_rows(words: Array, start: Array, length: int, kernel: Array, width: int) -> Array:
    """What the rows of a kernel see of a strip, side by side, and what its columns see beyond."""
    size = len(kernel)
    rows = [
        lax.dynamic_slice_in_dim(words, start + i * width, length + size - 1) for i in range(size)
    ]
    return _numbers(jnp.concatenate(rows, axis=1), kernel.dtype)


def _product(a: Array, b: Array, contract: int = 0) -> Array:
    """The matrix product, or with ``contract=1`` that with b transposed, in float32."""
    return lax.dot_general(
        a, b, (((1,), (contract,)), ((), ())), preferred_element_type=jnp.float32
    )


def _words(x: Array) -> Array:
    return lax.bitcast_convert_type(x, jnp.uint16) if x.dtype == jnp.bfloat16 else x


def _numbers(words: Array, dtype: DTypeLike) -> Array:
    return lax.bitcast_convert_type(words, dtype)
