"""Training losses: float32 images in [0, 1], ``[n, h, w, c]``, of luma or RGB."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp


def multiscale_mse(
    outputs: Sequence[jax.Array], clean: jax.Array, weights: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Compute the weighted mean squared error at every scale (Section III-C).

    The reference at scale ``i`` is the clean image averaged over ``2^i x 2^i`` pixels.

    Args:
      outputs: images of a network, finest first, ``[n, h / 2^i, w / 2^i, c]``.
      clean: ``[n, h, w, c]``.
      weights: ``[len(outputs)]``, the share of each scale; may be traced.

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
        [jnp.mean((image - block_mean(clean, 2**i)) ** 2) for i, image in enumerate(outputs)]
    )
    return jnp.dot(weights, errors), errors[0]


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
