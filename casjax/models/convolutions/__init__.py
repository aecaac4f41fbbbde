"""The convolutions of the networks, each in the formulation that the backend runs fastest.

Arrays are NHWC, kernels HWIO. Every formulation computes the same function of the same
parameters; only `resolve` chooses between them.
"""

import functools
from collections.abc import Sequence
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike

from casjax.models.convolutions import onednn, probe, winograd
from casjax.models.convolutions.activation import Activation, activate
from casjax.models.convolutions.onednn import as_columns, split_by_input, sum_of_shifts, words

Formulation = Literal["auto", "direct", "winograd", "onednn"]

# With fewer channels, Winograd's transforms take longer than its products save.
CHANNELS_FOR_WINOGRAD = 64
# How many times as fast as with oneDNN float32 CAS-CNN is with Winograd: a training step, and the
# restoration of a large picture.
GAIN_OF_WINOGRAD, GAIN_OF_WINOGRAD_IN_INFERENCE = 1.7, 1.4
# With fewer pixels at once, CAS-CNN restores sooner with XLA's own convolutions, even from the
# cache of compilations: Winograd's compile in 8 s instead of 0.7, load in 0.9 s instead of 0.1, and
# run in 0.7 to 0.9 of the time.
PIXELS_FOR_WINOGRAD = 512**2


def resolve(
    formulation: Formulation, dtype: DTypeLike, kernel: Sequence[int]
) -> Literal["direct", "winograd", "onednn"]:
    """Choose the formulation of a layer from the dtype of its activations and its kernel's shape.

    ``"auto"`` is direct (cuDNN and the like), but on CPUs oneDNN where that works, and Winograd for
    wide 3x3 and full-convolutions in float32, or where oneDNN does not work. Code that lowers for
    a backend other than JAX's default must name a formulation. Kernels that Winograd does not
    support (other sizes, one channel) are direct.

    Raises:
      ValueError: there is no such formulation, or it is oneDNN's and that does not work here.
    """
    size, _, *channels = kernel
    for_winograd = size in winograd.MATRICES and min(channels) > 1
    if formulation == "auto":
        if jax.default_backend() != "cpu":
            return "direct"
        works = probe.onednn_works(dtype)
        wide = min(channels) >= CHANNELS_FOR_WINOGRAD and jnp.dtype(dtype) == jnp.float32
        if works and not (for_winograd and wide):
            return "onednn"
        formulation = "winograd"
    if formulation == "onednn" and (fault := probe.fault_in(dtype)):
        raise ValueError(f"model.convolution='onednn': not used here ({fault}); use 'auto'")
    if formulation not in get_args(Formulation):
        expected = ", ".join(map(repr, get_args(Formulation)))
        raise ValueError(f"model.convolution={formulation!r}: expected one of {expected}")
    return "direct" if formulation == "winograd" and not for_winograd else formulation


def for_inference(
    dtype: Literal["float32", "mixed"], pixels: int
) -> tuple[Literal["float32", "mixed"], Formulation]:
    """Choose dtype and formulation in which a command restores so many pixels by CAS-CNN soonest.

    Args:
      dtype: float32; or mixed, where float32 may replace it.
      pixels: of the pictures restored at once.

    Returns:
      The dtype and formulation. JAX cannot cache compilations with oneDNN's calls, which mixed
      consists of: it is chosen where they pay all the same.
    """
    if jax.default_backend() != "cpu" or pixels < PIXELS_FOR_WINOGRAD:
        return "float32", "direct"
    if dtype == "mixed" and probe.verdict()["bfloat16_gain"] > GAIN_OF_WINOGRAD_IN_INFERENCE:
        return "mixed", "auto"
    return "float32", "winograd"


def fastest_dtype() -> Literal["float32", "bfloat16"]:
    """Return the activations' dtype in which JAX's default backend trains CAS-CNN fastest."""
    if jax.default_backend() != "cpu":
        return "bfloat16"
    return "bfloat16" if probe.verdict()["bfloat16_gain"] > GAIN_OF_WINOGRAD else "float32"


def conv3x3(
    parts: Sequence[jax.Array],
    kernel: jax.Array,
    formulation: Formulation,
    activation: Activation | None = None,
) -> jax.Array:
    """Convolve the concatenation of ``parts`` by 3x3, with zero padding, and activate the result.

    Args:
      parts: ``[n, h, w, c_i]``, float32 or bfloat16, whose ``c_i`` add up to c_in.
      kernel: ``[3, 3, c_in, c_out]``, the same dtype.
      formulation: see `resolve`.
      activation: of the c_out channels, or None.

    Returns:
      ``[n, h, w, c_out]``, the same dtype.
    """
    return _convolve(parts, kernel, 1, formulation, activation)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def mixed_conv3x3(
    parts: Sequence[jax.Array],
    kernel: jax.Array,
    formulation: Formulation,
    activation: Activation | None,
) -> jax.Array:
    """Do what `conv3x3` does, in float32, and compute the gradient of the convolution in bfloat16.

    A training step by 8 on two cores with AMX takes 0.8 of the time that it does without.
    """
    return conv3x3(parts, kernel, formulation, activation)


def _mixed_conv3x3_forward(
    parts: Sequence[jax.Array],
    kernel: jax.Array,
    formulation: Formulation,
    activation: Activation | None,
) -> tuple[jax.Array, Any]:
    y = conv3x3(parts, kernel, formulation)
    operands = jax.tree.map(lambda x: x.astype(jnp.bfloat16), (parts, kernel))
    return activate(y, activation), (operands, y, activation)


def _mixed_conv3x3_backward(formulation: Formulation, residuals: Any, dy: jax.Array) -> Any:
    operands, y, activation = residuals
    _, to_convolution = jax.vjp(activate, y, activation)
    dy, dactivation = to_convolution(dy)
    _, to_operands = jax.vjp(functools.partial(conv3x3, formulation=formulation), *operands)
    gradients = to_operands(dy.astype(jnp.bfloat16))
    return *jax.tree.map(_float32, gradients), dactivation


mixed_conv3x3.defvjp(_mixed_conv3x3_forward, _mixed_conv3x3_backward)


def conv(x: jax.Array, kernel: jax.Array, formulation: Formulation) -> jax.Array:
    """Convolve without padding, with a kernel of any size.

    Args:
      x: ``[n, h, w, c_in]``, float32 or bfloat16, h and w at least k.
      kernel: ``[k, k, c_in, c_out]``, the same dtype.
      formulation: see `resolve`.

    Returns:
      ``[n, h + 1 - k, w + 1 - k, c_out]``, the dtype of ``x``.
    """
    return _convolve([x], kernel, 0, formulation, None)


def full_conv4x4(
    parts: Sequence[jax.Array],
    kernel: jax.Array,
    formulation: Formulation,
    activation: Activation | None = None,
) -> jax.Array:
    """Full-convolve by 4x4 with stride 2 (Section III-A), doubling the size, and activate.

    Along each axis, output i is the sum of ``kernel[t] * x[(i + t) / 2 - 1]`` over the two taps t
    for which i + t is even, with zeros outside x, the concatenation of ``parts``:
    ``lax.conv_transpose(x, kernel, (2, 2), "SAME")``, whose own kernel gradient is 50 times slower
    on CPU.

    Args:
      parts: ``[n, h, w, c_i]``, float32 or bfloat16, whose ``c_i`` add up to c_in.
      kernel: ``[4, 4, c_in, c_out]``, the same dtype.
      formulation: see `resolve`.
      activation: of the c_out channels, or None.

    Returns:
      ``[n, 2h, 2w, c_out]``, the same dtype.
    """
    # An output pixel uses 2x2 of the 4x4 taps; which ones depends on whether its row and column
    # are even. So one 2x2 convolution to 4 * c_out channels, c_out for each of the four cases,
    # does the same multiply-adds; interleaving the cases (depth to space) gives the image, with
    # one extra row and column on each side.
    c_in, c_out = kernel.shape[2:]
    taps = kernel.reshape(2, 2, 2, 2, c_in, c_out)[:, ::-1, :, ::-1]
    taps = taps.transpose(0, 2, 4, 1, 3, 5).reshape(2, 2, c_in, 4 * c_out)
    return activate(_interleave(_convolve(parts, taps, 1, formulation, None)), activation)


@jax.custom_vjp
def _interleave(cases: jax.Array) -> jax.Array:
    """Move cases ``[n, h, w, 4 * c]`` to pixels ``[n, 2h - 2, 2w - 2, c]``, cutting off the rim."""
    n, h, w, channels = cases.shape
    image = cases.reshape(n, h, w, 2, channels // 2).swapaxes(2, 3)
    return image.reshape(n, 2 * h, 2 * w, channels // 4)[:, 1:-1, 1:-1]


def _interleave_backward(_: None, dy: jax.Array) -> tuple[jax.Array]:
    rim = (1, 1)
    padded = jnp.pad(words(dy), ((0, 0), rim, rim, (0, 0)))
    n, h, w, c = padded.shape
    pairs = padded.reshape(n, h // 2, 2, w // 2, 2 * c)
    cases = jnp.concatenate([pairs[:, :, 0], pairs[:, :, 1]], axis=3)
    return (lax.bitcast_convert_type(cases, dy.dtype),)


_interleave.defvjp(lambda cases: (_interleave(cases), None), _interleave_backward)


def _convolve(
    parts: Sequence[jax.Array],
    kernel: jax.Array,
    padding: int,
    formulation: Formulation,
    activation: Activation | None,
) -> jax.Array:
    """Convolve with stride 1 and rows and columns of zeros around the input, and activate."""
    chosen = resolve(formulation, parts[0].dtype, kernel.shape)
    if chosen == "winograd":
        # Always in float32: its transforms need more than the 8 bits of bfloat16.
        wide_parts, wide = (jax.tree.map(_float32, a) for a in (list(parts), kernel))
        if activation is not None:
            activation = Activation(*(jnp.broadcast_to(v, kernel.shape[3]) for v in activation))
        y = winograd.convolve(_laid_side_by_side(wide_parts), wide, activation)
        return (y if padding else y[:, 1:-1, 1:-1]).astype(kernel.dtype)
    if chosen == "onednn":
        y = onednn.convolve(tuple(parts), kernel, padding, kernel.dtype)
    else:
        y = _convolve_directly(jnp.concatenate(parts, axis=-1), kernel, padding)
    return activate(y, activation)


def _float32(x: jax.Array) -> jax.Array:
    return x.astype(jnp.float32)


def _laid_side_by_side(parts: Sequence[jax.Array]) -> jax.Array:
    """Concatenate channels as a sum, which XLA on CPUs fuses with the padding of the result."""
    ends = np.cumsum([part.shape[-1] for part in parts])
    placed = (
        jnp.pad(part, ((0, 0), (0, 0), (0, 0), (end - part.shape[-1], ends[-1] - end)))
        for part, end in zip(parts, ends, strict=True)
    )
    return functools.reduce(jnp.add, placed)


def _convolve_directly(x: jax.Array, kernel: jax.Array, padding: int) -> jax.Array:
    def convolve(x: jax.Array, kernel: jax.Array, below: int) -> jax.Array:
        # Padded beforehand: with padding in the convolution itself, a 2x2 kernel's gradient
        # misses XLA's fast path on CPU.
        rim = (padding, padding)
        x = jnp.pad(x, ((0, 0), rim, rim, (0, 0)))
        y = lax.conv_general_dilated(
            x, kernel, (1, 1), ((0, below), (0, 0)), dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return y[:, : x.shape[1] + 1 - len(kernel)]

    # XLA's CPU backend runs a convolution without any padding up to five times slower than one
    # padded by a row, which is then cut off. A 1x1 kernel is a matrix product anyway.
    with_a_row, without = (functools.partial(convolve, below=below) for below in (1, 0))
    if padding or len(kernel) == 1:
        return without(x, kernel)
    return lax.platform_dependent(x, kernel, cpu=with_a_row, default=without)


def conv_to_few(
    parts: Sequence[jax.Array], kernel: jax.Array, formulation: Formulation
) -> jax.Array:
    """Convolve the concatenation of ``parts`` to few channels, with zero padding.

    A matrix product gives the k x k taps of every pixel and channel, and that many shifted images
    are summed: the concatenation, 257 channels at full resolution, never exists. Sums are float32
    whatever the dtype, because the result is an image and bfloat16 has only 8 bits.

    Args:
      parts: arrays ``[n, h, w, c_i]`` whose ``c_i`` add up to ``c_in``.
      kernel: ``[k, k, c_in, c_out]``, k odd.
      formulation: see `resolve`.

    Returns:
      ``[n, h, w, c_out]`` float32.
    """
    rim = len(kernel) // 2
    if resolve(formulation, parts[0].dtype, kernel.shape) == "onednn":
        return onednn.convolve(tuple(parts), kernel, rim, jnp.float32)
    kernels = split_by_input(kernel, parts)
    planes = (_project(part, as_columns(taps)) for part, taps in zip(parts, kernels, strict=True))
    return sum_of_shifts(functools.reduce(jnp.add, planes), len(kernel), rim)


def matmul(a: jax.Array, b: jax.Array, dtype: DTypeLike, *, transpose_a: bool = False) -> jax.Array:
    """Multiply matrices of one dtype, summing in float32, to a dtype; there is no gradient of it.

    By oneDNN where that works: XLA's CPU backend multiplies bfloat16 no faster than float32.

    Args:
      a: ``[m, k]``, or ``[k, m]`` to be transposed.
      b: ``[k, n]``, the same dtype.
      dtype: of the result, that of the matrices or float32.
      transpose_a: whether to transpose ``a`` first.

    Returns:
      ``[m, n]``.
    """
    if probe.onednn_works(a.dtype):
        return onednn.matmul(a, b, dtype, transpose_a=transpose_a)
    product = jnp.matmul(a.T if transpose_a else a, b, preferred_element_type=jnp.float32)
    return product.astype(dtype)


@jax.custom_vjp
def _project(x: jax.Array, taps: jax.Array) -> jax.Array:
    """Multiply ``[n, h, w, c]`` by ``[c, taps]``, to float32, with a gradient of one dtype.

    JAX's own gradient would multiply bfloat16 by float32, and so widen ``x`` first.
    """
    return jnp.matmul(x, taps, preferred_element_type=jnp.float32)


def _project_backward(
    residuals: tuple[jax.Array, jax.Array], dy: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, taps = residuals
    dy = dy.astype(x.dtype)
    dx = jnp.matmul(dy, taps.T, preferred_element_type=jnp.float32)
    pixels = (0, 1, 2)
    # In this order because the first operand is transposed in memory: the one of few channels.
    dtaps = lax.dot_general(dy, x, ((pixels, pixels), ((), ())), preferred_element_type=jnp.float32)
    # XLA's CPU backend would fuse the transposition into a product that it has not for bfloat16.
    dtaps = lax.optimization_barrier(dtaps).T
    return dx.astype(x.dtype), dtaps.astype(taps.dtype)


_project.defvjp(lambda x, taps: (_project(x, taps), (x, taps)), _project_backward)
