"""Scores of restored images against clean ones, as the paper reports them (Section III-B).

All take `(restored, clean)`, uint8 in 0..255, [n, h, w, 1] luma or [n, h, w, 3] RGB, and return
float32 [n]: one score per image, over the whole of it. They are jitted: one compilation for each
shape. A mean over images is the caller's, in float64. Papers differ in what they mean by a metric's
name: each docstring says which convention it follows.

A ValueError is raised for a pair of another type or of two shapes, and for images smaller than the
metric's window or block.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from casjax.color import rgb_to_luma

PEAK = 255.0
BLOCK = 8  # pixels on the side of a JPEG block

UNIFORM_WINDOW = np.full(8, 1 / 8)
GAUSSIAN_WINDOW = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
GAUSSIAN_WINDOW /= GAUSSIAN_WINDOW.sum()


@jax.jit
def psnr(restored: jax.Array, clean: jax.Array) -> jax.Array:
    """Peak signal-to-noise ratio, 10 log10(255² / MSE) in dB; inf where the images are equal.

    The mean of squared errors is over all pixels and channels together.
    """
    _check_pair(restored, clean, smallest=1)
    return _decibels(_mean_squared_error(restored, clean))


@jax.jit
def psnr_b(restored: jax.Array, clean: jax.Array) -> jax.Array:
    """PSNR in dB with the blocking effect factor of the restored image added to the MSE.

    Yim and Bovik, "Quality Assessment of Deblocked Images" (IEEE TIP 2011), for blocks of 8x8. Not
    symmetric; a clean image scores inf against itself only if its factor is 0. See
    `_blocking_effect_factor` for how boundaries are counted, in which implementations differ.

    In colour, as FBCNN's authors score it (Jiang et al., ICCV 2021): the MSE is that of RGB, the
    factor that of the rounded luma of `color.rgb_to_luma`.
    """
    _check_pair(restored, clean, smallest=BLOCK)
    error = _mean_squared_error(restored, clean)
    return _decibels(error + _blocking_effect_factor(restored))


@jax.jit
def ssim(restored: jax.Array, clean: jax.Array) -> jax.Array:
    """Structural similarity (at most 1) over windows of 8x8 equal weights, as in the paper.

    Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity" (IEEE
    TIP 2004): K1 = 0.01, K2 = 0.03, population variances, the mean over all windows that lie wholly
    inside the image. In colour the mean over the three channels.
    """
    _check_pair(restored, clean, smallest=len(UNIFORM_WINDOW))
    return _structural_similarity(restored, clean, UNIFORM_WINDOW)


@jax.jit
def ssim_gaussian(restored: jax.Array, clean: jax.Array) -> jax.Array:
    """`ssim` over 11x11 Gaussian windows of sigma 1.5, as papers after this one report it."""
    _check_pair(restored, clean, smallest=len(GAUSSIAN_WINDOW))
    return _structural_similarity(restored, clean, GAUSSIAN_WINDOW)


@jax.jit
def ssim_gaussian_luma(restored: jax.Array, clean: jax.Array) -> jax.Array:
    """`ssim_gaussian` of the luma of RGB images alone, rounded (`color.rgb_to_luma`)."""
    return ssim_gaussian(*(rgb_to_luma(rgb)[..., None] for rgb in (restored, clean)))


METRICS: dict[str, Callable[[jax.Array, jax.Array], jax.Array]] = {
    "psnr": psnr,
    "psnrb": psnr_b,
    "ssim": ssim,
    "ssim_gaussian": ssim_gaussian,
}
# Papers on colour do not say whose SSIM theirs is: hence that of luma besides.
COLOUR_METRICS = METRICS | {"ssim_gaussian_luma": ssim_gaussian_luma}


def ipsnr(restored: jax.Array, degraded: jax.Array, clean: jax.Array) -> jax.Array:
    """Gain in PSNR over the degraded image in dB; NaN where both equal the clean image."""
    return psnr(restored, clean) - psnr(degraded, clean)


def ipsnr_b(restored: jax.Array, degraded: jax.Array, clean: jax.Array) -> jax.Array:
    """Gain in PSNR-B over the degraded image in dB; NaN where both score inf."""
    return psnr_b(restored, clean) - psnr_b(degraded, clean)


def _check_pair(restored: jax.Array, clean: jax.Array, *, smallest: int) -> None:
    for image in (restored, clean):
        if image.dtype != jnp.uint8 or image.ndim != 4 or image.shape[3] not in (1, 3):
            raise ValueError(
                "expected uint8 [n, h, w, 1] or [n, h, w, 3], "
                f"got {image.dtype} {list(image.shape)}"
            )
    if restored.shape != clean.shape:
        raise ValueError(
            f"restored {list(restored.shape)} and clean {list(clean.shape)} differ in shape"
        )
    if min(clean.shape[1:3]) < smallest:
        raise ValueError(
            f"this metric needs images of at least {smallest}x{smallest} pixels, "
            f"got height and width {list(clean.shape[1:3])}"
        )


def _decibels(mean_squared_error: jax.Array) -> jax.Array:
    return 10 * jnp.log10(PEAK**2 / mean_squared_error)


def _mean_squared_error(restored: jax.Array, clean: jax.Array) -> jax.Array:
    difference = restored.astype(jnp.int32) - clean.astype(jnp.int32)
    return _total(jnp.sum(difference**2, axis=3)) / math.prod(clean.shape[1:])


def _total(squares: jax.Array) -> jax.Array:
    """Sum int32 [n, h, w] to float32 [n]; each row as integers: exact for up to 22,000 pixels."""
    rows = jnp.sum(squares, axis=2, dtype=jnp.uint32)
    return jnp.sum(rows.astype(jnp.float32), axis=1)


def _blocking_effect_factor(restored: jax.Array) -> jax.Array:
    """How much larger squared steps are at block boundaries than elsewhere; 0 where they are not.

    The boundaries lie between columns (rows) 8k-1 and 8k. They are counted as the formula has them,
    h (w/8 - 1) + w (h/8 - 1) neighbouring pixels, without rounding where 8 does not divide a side.
    """
    n, h, w, _ = restored.shape
    boundary_sum = other_sum = jnp.zeros(n)
    boundary_count = other_count = 0.0
    luma = restored[..., 0] if restored.shape[3] == 1 else rgb_to_luma(restored)
    image = luma.astype(jnp.int32)
    for lines in (image, image.swapaxes(1, 2)):  # across columns, then across rows
        _, count, length = lines.shape
        steps = jnp.diff(lines, axis=2) ** 2
        at_boundary = np.arange(1, length) % BLOCK == 0
        boundary_sum += _total(steps * at_boundary)
        other_sum += _total(steps * ~at_boundary)
        boundaries = count * (length / BLOCK - 1)
        boundary_count += boundaries
        other_count += count * (length - 1) - boundaries

    boundary_mean = boundary_sum / max(boundary_count, 1)  # a single block has no boundary
    other_mean = other_sum / other_count
    weight = math.log2(BLOCK) / math.log2(min(h, w))
    return weight * jnp.maximum(boundary_mean - other_mean, 0)


def _structural_similarity(restored: jax.Array, clean: jax.Array, window: np.ndarray) -> jax.Array:
    """Mean SSIM for the window whose weights are the outer product of `window` with itself.

    With d = x - y, SSIM = (2 mx my + c1) / (mx² + my² + c1) · (2 cov + c2) / (vx + vy + c2) is also
    (1 - md² / (mx² + my² + c1)) · (1 - vd / (vx + vy + c2)). Like images thus have small terms, not
    small differences of large ones, and float32 suffices.
    """
    c1, c2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2
    middle = 128.0  # taken away for the same reason: it changes no variance
    # The channels before the pixels, which the windows run over.
    x, y = (jnp.moveaxis(image, 3, 1).astype(jnp.float32) - middle for image in (restored, clean))
    maps = jnp.stack([x, y, (x - y) ** 2, x**2 + y**2])
    mean_x, mean_y, mean_difference2, mean_squares = _window_means(maps, window)
    difference_variance = mean_difference2 - (mean_x - mean_y) ** 2
    variances = mean_squares - mean_x**2 - mean_y**2
    luminances = (mean_x + middle) ** 2 + (mean_y + middle) ** 2
    similarity = (1 - (mean_x - mean_y) ** 2 / (luminances + c1)) * (
        1 - difference_variance / (variances + c2)
    )
    return jnp.mean(similarity, axis=(1, 2, 3))


def _window_means(maps: jax.Array, window: np.ndarray) -> jax.Array:
    """Weighted means over all windows inside [..., h, w], first down the columns, then along rows.

    As sums of shifted maps: forty times faster on CPU than a one-channel convolution, and exact for
    integers and weights of 1/8.
    """
    for axis in (-2, -1):
        count = maps.shape[axis] - len(window) + 1
        maps = sum(
            (
                float(weight) * jax.lax.slice_in_dim(maps, i, i + count, axis=axis)
                for i, weight in enumerate(window)
            ),
            start=jnp.zeros(()),
        )
    return maps
