"""Scores of restored images against clean ones, as reported in the paper (Section III-B).

All take `(restored, clean)`, [..., h, w, 1] luma or [..., h, w, 3] RGB of any batch shape, and
return float32 [...]: one score per image, over the whole image. uint8 has the range 0..255; for
floats ``peak`` is the value of white, such as 1 or 255, without a default. They are jitted: one
compilation per shape. Means over images are up to the caller, in float64. Papers use the same names
for different metrics: each docstring says which convention it follows.

They raise ValueError for other types, differing shapes, floats without ``peak``, and images smaller
than the metric's window or block.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from casjax.color import rgb_to_luma

PEAK = 255.0
BLOCK = 8  # pixels on the side of a JPEG block

UNIFORM_WINDOW = np.full(8, 1 / 8)
GAUSSIAN_WINDOW = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
GAUSSIAN_WINDOW /= GAUSSIAN_WINDOW.sum()
# Of the five scales of MS-SSIM, each half the size of the previous one.
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)

Metric = Callable[..., jax.Array]


def _metric(*, smallest: int) -> Callable[[Metric], Metric]:
    """Make a metric from a function of one batch of images in 0..255, [n, h, w, c], to [n].

    Args:
      smallest: side in pixels of the smallest image that it supports.
    """

    def decorate(score: Metric) -> Metric:
        @functools.wraps(score)
        def metric(
            restored: jax.Array, clean: jax.Array, *, peak: float | None = None, **options: Any
        ) -> jax.Array:
            _check_pair(restored, clean, peak, smallest=smallest)
            *batch, h, w, c = clean.shape
            pair = (_in_levels(x, peak).reshape(-1, h, w, c) for x in (restored, clean))
            return score(*pair, **options).reshape(batch)

        del metric.__wrapped__  # its signature has no peak
        return jax.jit(metric, static_argnames=("peak", "boundaries"))

    return decorate


@_metric(smallest=1)
def psnr(restored: jax.Array, clean: jax.Array) -> jax.Array:
    """Return the peak signal-to-noise ratio, 10 log10(255² / MSE) in dB; inf for equal images.

    The mean of squared errors is over all pixels and channels together.
    """
    return _decibels(_mean_squared_error(restored, clean))


@_metric(smallest=BLOCK)
def psnr_b(restored: jax.Array, clean: jax.Array, *, boundaries: str = "real") -> jax.Array:
    """Return the PSNR in dB with the blocking effect factor of the restored image in the MSE.

    Yim and Bovik, "Quality Assessment of Deblocked Images" (IEEE TIP 2011), for blocks of 8x8. Not
    symmetric; a clean image scores inf against itself only if its factor is 0. See
    `blocking_effect` for the count of ``boundaries``, in which implementations differ.

    In colour, as in FBCNN's evaluation (Jiang et al., ICCV 2021), the MSE is that of RGB, and the
    factor that of the rounded luma of `color.rgb_to_luma`.
    """
    error = _mean_squared_error(restored, clean)
    return _decibels(error + _blocking_effect_factor(restored, boundaries))


@_metric(smallest=len(UNIFORM_WINDOW))
def ssim(restored: jax.Array, clean: jax.Array) -> jax.Array:
    """Return the structural similarity (at most 1) over uniform 8x8 windows, as in the paper.

    Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity" (IEEE
    TIP 2004): K1 = 0.01, K2 = 0.03, population variances, the mean over all windows
    entirely inside the image. In colour, the mean over the three channels.
    """
    return _structural_similarity(restored, clean, UNIFORM_WINDOW)


@_metric(smallest=len(GAUSSIAN_WINDOW))
def ssim_gaussian(restored: jax.Array, clean: jax.Array) -> jax.Array:
    """Return `ssim` over 11x11 Gaussian windows of sigma 1.5, as in later papers."""
    return _structural_similarity(restored, clean, GAUSSIAN_WINDOW)


@_metric(smallest=len(GAUSSIAN_WINDOW))
def ssim_gaussian_luma(restored: jax.Array, clean: jax.Array) -> jax.Array:
    """Return `ssim_gaussian` of the rounded luma of RGB images (`color.rgb_to_luma`)."""
    return _structural_similarity(
        _luma(restored)[..., None], _luma(clean)[..., None], GAUSSIAN_WINDOW
    )


@_metric(smallest=(len(GAUSSIAN_WINDOW) - 1) * 2 ** (len(SCALE_WEIGHTS) - 1) + 1)
def ms_ssim(restored: jax.Array, clean: jax.Array) -> jax.Array:
    """Return the structural similarity over five scales, from 0 to 1.

    Wang, Simoncelli and Bovik, "Multi-scale Structural Similarity for Image Quality Assessment"
    (Asilomar 2003): Gaussian windows of 11x11 at each scale, the luminance term only at the
    coarsest. The next scale is the mean of 2x2 pixels; if a side is odd its last line counts twice,
    as in TensorFlow. Means of terms below 0 count as 0. In colour, the mean over channels.
    """
    product = jnp.ones((clean.shape[0], clean.shape[3]))
    pair = restored.astype(jnp.float32), clean.astype(jnp.float32)
    for scale, weight in enumerate(SCALE_WEIGHTS):
        if scale:
            pair = _halved(pair[0]), _halved(pair[1])
        luminance, contrast = _similarity_maps(*pair, GAUSSIAN_WINDOW)
        last = scale == len(SCALE_WEIGHTS) - 1
        term = jnp.mean(luminance * contrast if last else contrast, axis=(2, 3))
        product *= jnp.maximum(term, 0) ** weight
    return jnp.mean(product, axis=1)


@functools.partial(jax.jit, static_argnames=("peak", "boundaries"))
def blocking_effect(
    image: jax.Array, *, peak: float | None = None, boundaries: str = "real"
) -> jax.Array:
    """Return the blocking effect factor (BEF), in squared levels of 0..255; 0 is best.

    Yim and Bovik, as for `psnr_b`: by how much the mean squared step at the boundaries of 8x8
    blocks exceeds that between other neighbours, times log2(8) / log2(the smaller side).

    Args:
      image: [..., h, w, 1], or RGB [..., h, w, 3], whose luma is used; as for all metrics.
      peak: of floats.
      boundaries: how pairs of neighbours at boundaries are counted if 8 does not divide a side:
        "real" h (w/8 - 1) + w (h/8 - 1) as in the formula, "whole" with w/8 and h/8 rounded down,
        as in some implementations.
    """
    _check_pair(image, image, peak, smallest=BLOCK)
    *batch, h, w, c = image.shape
    levels = _in_levels(image, peak).reshape(-1, h, w, c)
    return _blocking_effect_factor(levels, boundaries).reshape(batch)


METRICS: dict[str, Callable[[jax.Array, jax.Array], jax.Array]] = {
    "psnr": psnr,
    "psnrb": psnr_b,
    "ssim": ssim,
    "ssim_gaussian": ssim_gaussian,
}
# Papers on colour do not say which SSIM they use: hence also that of luma.
COLOUR_METRICS = METRICS | {"ssim_gaussian_luma": ssim_gaussian_luma}


def _check_pair(
    restored: jax.Array, clean: jax.Array, peak: float | None, *, smallest: int
) -> None:
    for image in (restored, clean):
        is_known = image.dtype == jnp.uint8 or jnp.issubdtype(image.dtype, jnp.floating)
        if not is_known or image.ndim < 3 or image.shape[-1] not in (1, 3):
            raise ValueError(
                "expected uint8 or floats [..., h, w, 1] or [..., h, w, 3], "
                f"got {image.dtype} {list(image.shape)}"
            )
    if restored.dtype != clean.dtype:
        raise ValueError(f"restored is {restored.dtype} and clean {clean.dtype}: expected one type")
    if clean.dtype != jnp.uint8 and (peak is None or not peak > 0):
        raise ValueError(f"floats need peak, the level of white, such as 1 or 255; got {peak}")
    if clean.dtype == jnp.uint8 and peak not in (None, PEAK):
        raise ValueError(f"peak={peak} of uint8: its range is 0..255")
    if restored.shape != clean.shape:
        raise ValueError(
            f"restored {list(restored.shape)} and clean {list(clean.shape)} differ in shape"
        )
    if min(clean.shape[-3:-1]) < smallest:
        raise ValueError(
            f"this metric needs images of at least {smallest}x{smallest} pixels, "
            f"got height and width {list(clean.shape[-3:-1])}"
        )


def _in_levels(image: jax.Array, peak: float | None) -> jax.Array:
    """Return the image in 0..255: uint8 unchanged, floats as float32."""
    if image.dtype == jnp.uint8:
        return image
    assert peak is not None
    return image.astype(jnp.float32) * (PEAK / peak)


def _exact(image: jax.Array) -> jax.Array:
    """Return uint8 as int32, whose differences and squares are exact; floats unchanged."""
    return image.astype(jnp.int32) if image.dtype == jnp.uint8 else image


def _luma(image: jax.Array) -> jax.Array:
    """Return the luma [..., h, w]: for uint8 RGB rounded, for floats not."""
    if image.shape[-1] == 1:
        return image[..., 0]
    if image.dtype == jnp.uint8:
        return rgb_to_luma(image)
    red, green, blue = jnp.moveaxis(image, -1, 0)  # no product of matrices, which may be rounded
    return 16 + (65.481 * red + 128.553 * green + 24.966 * blue) / 255


def _decibels(mean_squared_error: jax.Array) -> jax.Array:
    return 10 * jnp.log10(PEAK**2 / mean_squared_error)


def _mean_squared_error(restored: jax.Array, clean: jax.Array) -> jax.Array:
    difference = _exact(restored) - _exact(clean)
    return _total(jnp.sum(difference**2, axis=3)) / math.prod(clean.shape[1:])


def _total(squares: jax.Array) -> jax.Array:
    """Sum [n, h, w] to float32 [n]; integer rows are exact for up to 22,000 pixels."""
    integers = jnp.issubdtype(squares.dtype, jnp.integer)
    rows = jnp.sum(squares, axis=2, dtype=jnp.uint32 if integers else jnp.float32)
    return jnp.sum(rows.astype(jnp.float32), axis=1)


def _blocking_effect_factor(restored: jax.Array, boundaries: str) -> jax.Array:
    """Return how much larger squared steps are at block boundaries than elsewhere, at least 0.

    The boundaries lie between columns (rows) 8k-1 and 8k; see `blocking_effect` for their count.
    """
    if boundaries not in ("real", "whole"):
        raise ValueError(f"boundaries={boundaries!r}: expected 'real' or 'whole'")
    n, h, w, _ = restored.shape
    boundary_sum = other_sum = jnp.zeros(n)
    boundary_count = other_count = 0.0
    image = _exact(_luma(restored))
    for lines in (image, image.swapaxes(1, 2)):  # across columns, then across rows
        _, count, length = lines.shape
        steps = jnp.diff(lines, axis=2) ** 2
        at_boundary = np.arange(1, length) % BLOCK == 0
        boundary_sum += _total(steps * at_boundary)
        other_sum += _total(steps * ~at_boundary)
        blocks = length / BLOCK if boundaries == "real" else length // BLOCK
        boundary_count += count * (blocks - 1)
        other_count += count * (length - blocks)

    boundary_mean = boundary_sum / max(boundary_count, 1)  # a single block has no boundary
    other_mean = other_sum / other_count
    weight = math.log2(BLOCK) / math.log2(min(h, w))
    return weight * jnp.maximum(boundary_mean - other_mean, 0)


def _structural_similarity(restored: jax.Array, clean: jax.Array, window: np.ndarray) -> jax.Array:
    """Return the mean SSIM for windows weighted by the outer product of `window` with itself."""
    luminance, contrast = _similarity_maps(restored, clean, window)
    return jnp.mean(luminance * contrast, axis=(1, 2, 3))


def _similarity_maps(
    restored: jax.Array, clean: jax.Array, window: np.ndarray
) -> tuple[jax.Array, jax.Array]:
    """Return SSIM's factors for all windows, [n, c, h, w]: luminance, and contrast-structure.

    With d = x - y, (2 mx my + c1) / (mx² + my² + c1) and (2 cov + c2) / (vx + vy + c2) equal
    1 - md² / (mx² + my² + c1) and 1 - vd / (vx + vy + c2). Similar images then have small terms,
    not small differences of large ones, and float32 suffices.
    """
    c1, c2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2
    middle = 128.0  # subtracted for the same reason: it changes no variance
    # Channels before pixels, which the windows cover.
    x, y = (jnp.moveaxis(image, 3, 1).astype(jnp.float32) - middle for image in (restored, clean))
    maps = jnp.stack([x, y, (x - y) ** 2, x**2 + y**2])
    mean_x, mean_y, mean_difference2, mean_squares = _window_means(maps, window)
    difference_variance = mean_difference2 - (mean_x - mean_y) ** 2
    variances = mean_squares - mean_x**2 - mean_y**2
    luminances = (mean_x + middle) ** 2 + (mean_y + middle) ** 2
    luminance = 1 - (mean_x - mean_y) ** 2 / (luminances + c1)
    return luminance, 1 - difference_variance / (variances + c2)


def _halved(image: jax.Array) -> jax.Array:
    """Average 2x2 pixels of [n, h, w, c], repeating the last line of odd sides."""
    n, h, w, c = image.shape
    even = jnp.pad(image, ((0, 0), (0, h % 2), (0, w % 2), (0, 0)), "edge")
    return even.reshape(n, (h + 1) // 2, 2, (w + 1) // 2, 2, c).mean(axis=(2, 4))


def _window_means(maps: jax.Array, window: np.ndarray) -> jax.Array:
    """Average over all windows inside [..., h, w], first down the columns, then along rows.

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
