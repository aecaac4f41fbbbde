"""The optimizers, Adam and Muon, with the learning rates of the training phases."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

import jax
import optax
import optax.contrib

from casjax.training.phases import Phase, learning_rate_at

FEWEST_CHANNELS = 8  # of a matrix; kernels with fewer channels take or return an image


def make_optimizer(
    phases: Sequence[Phase],
    *,
    name: Literal["adam", "muon"],
    beta1: float,
    beta2: float,
    epsilon: float,
    gradient_clip_norm: float,
    slow_layers: Sequence[str],
    slow_rate: float,
) -> optax.GradientTransformation:
    """Make Adam or Muon with the learning rates of ``phases``.

    Muon (Jordan et al., 2024) gives the step of each kernel the same length in all directions: a
    kernel is the matrix from its taps and input channels to its output channels. Scaled as in
    arXiv:2502.16982, its steps are about as long as Adam's at the same rate. Parameters that are no
    such matrix (biases, slopes, kernels from or to an image) are trained with Adam.

    Gradients whose norm, over all parameters together, exceeds ``gradient_clip_norm`` are scaled
    down to it; 0 turns this off. The ``slow_layers`` learn with ``slow_rate`` times the learning
    rate. ``init`` raises ValueError for a name that the network does not have.

    Raises:
      ValueError: there is no optimizer of this name.
    """
    rate = learning_rate_at(phases)
    if name == "adam":
        optimizer = optax.adam(rate, b1=beta1, b2=beta2, eps=epsilon)
    elif name == "muon":
        optimizer = optax.contrib.muon(
            rate,
            adam_b1=beta1,
            adam_b2=beta2,
            eps=epsilon,
            muon_weight_dimension_numbers=as_matrices,
            consistent_rms=0.2,
        )
    else:
        raise ValueError(f"optimizer.name={name!r}: expected 'adam' or 'muon'")
    clip = [optax.clip_by_global_norm(gradient_clip_norm)] if gradient_clip_norm else []
    is_slow = partial(layers_called, slow_layers)
    slow = [optax.masked(optax.scale(slow_rate), is_slow)] if slow_layers else []
    return optax.chain(*clip, optimizer, *slow)


def as_matrices(params: Any) -> Any:
    """Return for each parameter how Muon treats it as a matrix, or None if it does not."""

    def dimensions(x: jax.Array) -> optax.contrib.MuonDimensionNumbers | None:
        if x.ndim < 4 or min(x.shape[2:]) < FEWEST_CHANNELS:
            return None
        return optax.contrib.MuonDimensionNumbers(reduction_axis=(0, 1, 2), output_axis=3)

    return jax.tree.map(dimensions, params)


def layers_called(names: Sequence[str], params: Mapping[str, Any]) -> dict[str, bool]:
    """Return for each layer of the parameters whether its name is among ``names``.

    Raises:
      ValueError: there is no layer of this name.
    """
    unknown = set(names) - params.keys()
    if unknown:
        raise ValueError(
            f"optimizer.slow_layers: the network has no {', '.join(sorted(unknown))}, expected "
            f"some of {', '.join(params)}"
        )
    return {name: name in names for name in params}
