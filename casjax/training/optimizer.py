"""The optimizers, Adam and Muon, with the learning rates of a training's phases."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

import jax
import optax
import optax.contrib

from casjax.training.phases import Phase, learning_rate_at

FEWEST_CHANNELS = 8  # of a matrix; with fewer a kernel is of an image or to one


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
    """Adam or Muon with the learning rates of ``phases``.

    Muon (Jordan et al., 2024) gives the step of each kernel the same length in all directions: a
    kernel is the matrix from its taps and input channels to its output channels. Scaled as in
    arXiv:2502.16982, its steps are about as long as Adam's at the same rate. What is no such
    matrix (biases, slopes, kernels of the image or to one) learns by Adam.

    Gradients whose norm, over all parameters together, exceeds ``gradient_clip_norm`` are scaled
    down to it; 0 leaves all as they are. The layers of these names learn with ``slow_rate`` times
    the learning rate. A name that the network does not have is a ValueError of ``init``.

    Raises:
      ValueError: there is no optimizer of such a name.
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
    """For each parameter how Muon sees it as a matrix, or None where it does not."""

    def dimensions(x: jax.Array) -> optax.contrib.MuonDimensionNumbers | None:
        if x.ndim < 4 or min(x.shape[2:]) < FEWEST_CHANNELS:
            return None
        return optax.contrib.MuonDimensionNumbers(reduction_axis=(0, 1, 2), output_axis=3)

    return jax.tree.map(dimensions, params)


def layers_called(names: Sequence[str], params: Mapping[str, Any]) -> dict[str, bool]:
    """For each layer of the parameters, whether its name is among ``names``.

    Raises:
      ValueError: there is no layer of such a name.
    """
    unknown = set(names) - params.keys()
    if unknown:
        raise ValueError(
            f"optimizer.slow_layers: the network has no {', '.join(sorted(unknown))}, expected "
            f"some of {', '.join(params)}"
        )
    return {name: name in names for name in params}
