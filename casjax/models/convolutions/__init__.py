"""The convolutions of the networks, each in the formulation that its backend runs fastest.

Arrays are NHWC, kernels HWIO. Every formulation computes the same function of the same
parameters; `resolve` is the one place that chooses between them.
"""

import functools
from collections.abc import Sequence
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike

from casjax.models.convolutions import patches, products, winograd
from casjax.models.convolutions.activation import Activation, activate

Formulation = Literal["auto", "direct", "winograd", "products"]


def resolve(formulation: Formulation, dtype: DTypeLike) -> Formulation:
    """Resolve ``"auto"`` for activations of a dtype.

    On CPU that is Winograd, and sums of matrix products for bfloat16; direct (cuDNN and its kin)
    everywhere else.
    """
    choices = get_args(Formulation)
    if formulation not in choices:
        expected = ", ".join(map(repr, choices))
        raise ValueError(f"model.convolution={formulation!r}: expected one of {expected}")
    if formulation != "auto":
        return formulation
    if jax.default_backend() != "cpu":
        return "direct"
    return "products" if jnp.dtype(dtype) == jnp.bfloat16 else "winograd"


def conv3x3(
    parts: Sequence[jax.Array],
    kernel: jax.Array,
    formulation: Formulation,
    activation: Activation | None = None,
) -> jax.Array:
    """3x3 convolution of the concatenation of ``parts``, with zero padding, and its activation.

    Args:
      parts: ``[n, h, w, c_i]``, float32 or bfloat16, whose ``c_i`` add up to c_in.
      kernel: ``[3, 3, c_in, c_out]``, the same dtype.
      formulation: see `resolve`.
      activation: of the c_out channels; None leaves them as they are.

    Returns:
      ``[n, h, w, c_out]``, the same dtype.
    """
    return _convolve(parts, kernel, formulation, activation)


def conv(x: jax.Array, kernel: jax.Array, formulation: Formulation) -> jax.Array:
    """Convolution without padding, of any size.

    Args:
      x: ``[n, h, w, c_in]``, float32 or bfloat16, h and w at least k.
      kernel: ``[k, k, c_in, c_out]``, the same dtype.
      formulation: see `resolve`; what Winograd's is not for (k other than 3) is direct, and so
        is what products are not for (one channel).

    Returns:
      ``[n, h + 1 - k, w + 1 - k, c_out]``, the dtype of ``x``.
    """
    size = len(kernel)
    chosen = resolve(formulation, x.dtype)
    if chosen == "products" and x.shape[-1] > 1:
        return products.convolve(x, kernel)
    if chosen == "winograd" and size == 3:
        return winograd.convolve(x, kernel, None)[:, 1:-1, 1:-1]
    # XLA's CPU backend runs a convolution without any padding up to five times slower than one
    # with a row of it, which is cut off again. A 1x1 kernel is a matrix product already.
    excess = 1 if size > 1 and jax.default_backend() == "cpu" else 0
    y = lax.conv_general_dilated(
        x, kernel, (1, 1), ((0, excess), (0, 0)), dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return y[:, : x.shape[1] + 1 - size]


def full_conv4x4(
    parts: Sequence[jax.Array],
    kernel: jax.Array,
    formulation: Formulation,
    activation: Activation | None = None,
) -> jax.Array:
    """4x4 full-convolution of stride 2 (Section III-A), twice the height and width; activation.

    Along each axis, output i is the sum of ``kernel[t] * x[(i + t) / 2 - 1]`` over the two taps t
    for which i + t is even, with zeros outside of x, the concatenation of ``parts``:
    ``lax.conv_transpose(x, kernel, (2, 2), "SAME")``, whose own kernel gradient is 50 times too
    slow on CPU.

    Args:
      parts: ``[n, h, w, c_i]``, float32 or bfloat16, whose ``c_i`` add up to c_in.
      kernel: ``[4, 4, c_in, c_out]``, the same dtype.
      formulation: see `resolve`.
      activation: of the c_out channels; None leaves them as they are.

    Returns:
      ``[n, 2h, 2w, c_out]``, the same dtype.
    """
    # Of the 4x4 taps an output pixel sees 2x2, which ones depends on whether its row and column
    # are even. So one 2x2 convolution to 4 * c_out channels, c_out for each of the four cases,
    # does the same multiply-adds; interleaving the cases (depth to space) gives the image, with
    # one row and column too many on each side.
    c_in, c_out = kernel.shape[2:]
    taps = kernel.reshape(2, 2, 2, 2, c_in, c_out)[:, ::-1, :, ::-1]
    taps = taps.transpose(0, 2, 4, 1, 3, 5).reshape(2, 2, c_in, 4 * c_out)
    if activation is not None:
        activation = Activation(*(jnp.tile(jnp.broadcast_to(v, c_out), 4) for v in activation))
    cases = _convolve(parts, taps, formulation, activation)
    n, h, w, _ = cases.shape
    image = cases.reshape(n, h, w, 2, 2, c_out).transpose(0, 1, 3, 2, 4, 5)
    return image.reshape(n, 2 * h, 2 * w, c_out)[:, 1:-1, 1:-1]


def _convolve(
    parts: Sequence[jax.Array],
    kernel: jax.Array,
    formulation: Formulation,
    activation: Activation | None,
) -> jax.Array:
    """Convolution of stride 1 with one row and column of zeros around the input; activation."""
    chosen = resolve(formulation, parts[0].dtype)
    channels, channels_out = kernel.shape[2:]
    if activation is not None:
        activation = Activation(*(jnp.broadcast_to(v, channels_out) for v in activation))
    few = channels <= patches.MOST_CHANNELS
    if chosen == "winograd" and not few:
        return winograd.convolve(_laid_side_by_side(parts), kernel, activation)
    # Padded beforehand: with padding in the convolution itself, a 2x2 kernel's gradient misses
    # XLA's fast path on CPU.
    x = jnp.pad(jnp.concatenate(parts, axis=-1), ((0, 0), (1, 1), (1, 1), (0, 0)))
    if chosen != "direct" and few:
        return patches.convolve(x, kernel, activation)
    if chosen == "products":
        y = products.convolve(x, kernel)
    else:
        y = lax.conv_general_dilated(
            x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
    return activate(y, activation)


def _laid_side_by_side(parts: Sequence[jax.Array]) -> jax.Array:
    """Concatenates channels, as a sum: on CPUs XLA then does it while it pads the result."""
    ends = np.cumsum([part.shape[-1] for part in parts])
    placed = (
        jnp.pad(part, ((0, 0), (0, 0), (0, 0), (end - part.shape[-1], ends[-1] - end)))
        for part, end in zip(parts, ends, strict=True)
    )
    return functools.reduce(jnp.add, placed)


def conv_to_few(parts: Sequence[jax.Array], kernel: jax.Array) -> jax.Array:
    """Convolution to few channels of the concatenation of ``parts``, with zero padding.

    A matrix product gives the k x k taps of every pixel and channel, as many shifted planes are
    summed: the concatenation, 257 channels at full resolution, never exists. Sums are float32
    whatever the dtype, because this is an image and bfloat16 has fewer than 8 bits.

    Args:
      parts: arrays ``[n, h, w, c_i]`` whose ``c_i`` add up to ``c_in``.
      kernel: ``[k, k, c_in, c_out]``, k odd.

    Returns:
      ``[n, h, w, c_out]`` float32.
    """
    _, h, w, _ = parts[0].shape
    size, _, _, c_out = kernel.shape
    count = size**2 * c_out
    taps = kernel.transpose(2, 0, 1, 3).reshape(-1, count)
    taps = jnp.pad(taps, ((0, 0), (0, -count % 16)))  # 16 columns: twice as fast as 9 on CPU
    ends = np.cumsum([part.shape[-1] for part in parts])
    planes = functools.reduce(
        jnp.add,
        (
            _project(part, taps[end - part.shape[-1] : end])
            for part, end in zip(parts, ends, strict=True)
        ),
    )
    rim = size // 2
    planes = jnp.pad(planes, ((0, 0), (rim, rim), (rim, rim), (0, 0)))
    firsts = ((i, j, c_out * (size * i + j)) for i in range(size) for j in range(size))
    shifted = (planes[:, i : i + h, j : j + w, first : first + c_out] for i, j, first in firsts)
    return functools.reduce(jnp.add, shifted)


@jax.custom_vjp
def _project(x: jax.Array, taps: jax.Array) -> jax.Array:
    """``[n, h, w, c]`` times ``[c, taps]``, float32; in the gradient, too, of one dtype.

    JAX's own gradient would multiply bfloat16 with float32, and so widen ``x`` first.
    """
    return jnp.matmul(x, taps, preferred_element_type=jnp.float32)


def _project_forward(
    x: jax.Array, taps: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _project(x, taps), (x, taps)


def _project_backward(
    residuals: tuple[jax.Array, jax.Array], dy: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, taps = residuals
    dy = dy.astype(x.dtype)
    dx = jnp.matmul(dy, taps.T, preferred_element_type=jnp.float32)

    # Image by image on CPUs, where XLA would transpose the gradient of all images while it puts
    # it together.
    groups = len(x) if jax.default_backend() == "cpu" else 1
    dy, x = (array.reshape(groups, -1, array.shape[-1]) for array in (dy, x))

    def add_group(group: jax.Array, dtaps: jax.Array) -> jax.Array:
        # In this order, because what stands first is transposed in memory: that of few channels.
        pixels = (0,)
        return dtaps + lax.dot_general(
            dy[group],
            x[group],
            ((pixels, pixels), ((), ())),
            preferred_element_type=jnp.float32,
        )

    dtaps = lax.fori_loop(0, groups, add_group, jnp.zeros(taps.shape[::-1]))
    return dx.astype(x.dtype), dtaps.T.astype(taps.dtype)


_project.defvjp(_project_forward, _project_backward)
