"""Training losses: float32 images in [0, 1], ``[n, h, w, c]``, of luma or RGB."""

from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp

Measure = Literal["mse", "psnr"]
NEGLIGIBLE_MSE = 1e-5  # 50 dB


def multiscale_loss(
    outputs: Sequence[jax.Array],
    clean: jax.Array,
    weights: jax.Array,
    *,
    measure: Measure = "mse",
) -> tuple[jax.Array, jax.Array]:
    """Compute the weighted error at every scale (Section III-C).

    The reference at scale ``i`` is the clean image averaged over ``2^i x 2^i`` pixels.

    Args:
      outputs: images of a network, finest first, ``[n, h / 2^i, w / 2^i, c]``.
      clean: ``[n, h, w, c]``.
      weights: ``[len(outputs)]``, the share of each scale; may be traced.
      measure: ``"mse"``, the paper's mean squared error; or ``"psnr"``, the mean over images of
        their PSNR in dB, negative, which is what test sets are scored by: an image counts as much
        as another whose errors are ten times as large. 1e-5 is added to the mean squared error of
        an image, because from 50 dB on there is nothing to gain.

    Returns:
      The loss, and the mean squared error of the finest output alone: float32 scalars.

    Raises:
      ValueError: there are more or fewer weights than outputs.
    """
    if len(weights) != len(outputs):
        raise ValueError(
            f"{len(weights)} loss weights for {len(outputs)} outputs: a phase's loss_weights has "
            "one for each output of the network"
        )
    errors = jnp.stack(
        [
            jnp.mean((image - block_mean(clean, 2**i)) ** 2, axis=(1, 2, 3))
            for i, image in enumerate(outputs)
        ]
    )
    measured = errors if measure == "mse" else 10 * jnp.log10(errors + NEGLIGIBLE_MSE)
    return jnp.dot(weights, measured.mean(1)), errors[0].mean()


def edge_error(restored: jax.Array, clean: jax.Array) -> jax.Array:
    """Compute the mean squared error of the first derivatives, by Sobel's operator.

    Svoboda et al. (WSCG 2016) add such a term to emphasise edges. With ``e`` the error of the
    restored image it is ``mean((Sx * e)^2 + (Sy * e)^2)``, where ``Sx`` is the product of
    the mean (1 2 1) / 4 over rows and the derivative (-1 0 1) / 2 along them, ``Sy`` its transpose.

    Args:
      restored: ``[n, h, w, c]``, h and w at least 3.
      clean: the same shape.

    Returns:
      A float32 scalar; pixels at the border are left out.
    """
    error = restored - clean
    rows = (error[:, :-2] + 2 * error[:, 1:-1] + error[:, 2:]) / 4
    columns = (error[:, :, :-2] + 2 * error[:, :, 1:-1] + error[:, :, 2:]) / 4
    across = (rows[:, :, 2:] - rows[:, :, :-2]) / 2
    down = (columns[:, 2:] - columns[:, :-2]) / 2
    return jnp.mean(across**2 + down**2)


def block_mean(image: jax.Array, size: int) -> jax.Array:
    """Average over ``size x size`` pixels: ``[n, h, w, c]`` to ``[n, h/size, w/size, c]``."""
    n, h, w, channels = image.shape
    blocks = image.reshape(n, h // size, size, w // size, size, channels)
    return blocks.mean((2, 4))
