"""The optimizers, Adam and Muon, with the learning rates of the training phases."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal, assert_never

import jax
import jax.numpy as jnp
import optax
from jax.typing import DTypeLike

from casjax.models.convolutions import matmul
from casjax.training.phases import Phase, learning_rate_at

Name = Literal["adam", "muon"]
FEWEST_CHANNELS = 8  # of a matrix; kernels with fewer channels take or return an image
# Of Muon, as published: the momentum, how often the iteration is repeated, and what it multiplies
# the first, third and fifth power of singular values by. A step's root mean square is 0.2.
MOMENTUM, ITERATIONS, COEFFICIENTS = 0.95, 5, (3.4445, -4.775, 2.0315)
ROOT_MEAN_SQUARE = 0.2


def make_optimizer(
    phases: Sequence[Phase],
    dtype: str,
    *,
    name: Name,
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
    arXiv:2502.16982, its steps are about as long as Adam's at the same rate. Its matrices are
    multiplied in ``dtype``, that of the network, and for ``"mixed"`` in bfloat16. Parameters that
    are no such matrix (biases, slopes, kernels from or to an image) are trained with Adam.

    Gradients whose norm, over all parameters together, exceeds ``gradient_clip_norm`` are scaled
    down to it; 0 turns this off. The ``slow_layers`` learn with ``slow_rate`` times the learning
    rate. ``init`` raises ValueError for a name that the network does not have.
    """
    rate = learning_rate_at(phases)
    if name == "adam":
        optimizer = optax.adam(rate, b1=beta1, b2=beta2, eps=epsilon)
    elif name == "muon":
        step = partial(muon_step, dtype="bfloat16" if dtype == "mixed" else dtype)
        steps = optax.stateless_with_tree_map(lambda momentum, _: step(momentum))
        muon = optax.chain(
            optax.trace(MOMENTUM, nesterov=True), steps, optax.scale_by_learning_rate(rate)
        )
        adam = optax.adam(rate, b1=beta1, b2=beta2, eps=epsilon, nesterov=True)
        optimizer = optax.partition({"muon": muon, "adam": adam}, optimizers_of)
    else:
        assert_never(name)
    clip = [optax.clip_by_global_norm(gradient_clip_norm)] if gradient_clip_norm else []
    is_slow = partial(layers_called, slow_layers)
    slow = [optax.masked(optax.scale(slow_rate), is_slow)] if slow_layers else []
    return optax.chain(*clip, optimizer, *slow)


def optimizers_of(params: Any) -> Any:
    """Return for each parameter whether ``"muon"`` or ``"adam"`` trains it with Muon."""

    def optimizer_of(x: jax.Array) -> str:
        return "muon" if x.ndim == 4 and min(x.shape[2:]) >= FEWEST_CHANNELS else "adam"

    return jax.tree.map(optimizer_of, params)


def muon_step(momentum: jax.Array, dtype: DTypeLike) -> jax.Array:
    """Return the step for the momentum of a kernel ``[k, k, ci, co]``: float32, the same shape."""
    matrix = momentum.reshape(-1, momentum.shape[-1])
    if is_wide := len(matrix) < matrix.shape[1]:
        matrix = matrix.T
    step = orthogonalized(matrix, dtype).astype(jnp.float32)
    scale = ROOT_MEAN_SQUARE * len(step) ** 0.5
    return (scale * (step.T if is_wide else step)).reshape(momentum.shape)


def orthogonalized(matrix: jax.Array, dtype: DTypeLike) -> jax.Array:
    """Bring the singular values of a matrix ``[m, n]``, m at least n, near one, in a dtype.

    Newton and Schulz's iteration takes x to ``x (a + b g + c g g)`` with ``g = x.T x``, which is
    written so that nothing as large as x is transposed or added.
    """
    a, b, c = COEFFICIENTS
    norm = jnp.linalg.norm(matrix)
    x = (matrix / jnp.where(norm > 0, norm, 1)).astype(dtype)
    for _ in range(ITERATIONS):
        gram = matmul(x, x, dtype, transpose_a=True)
        fourth = matmul(gram, gram, jnp.float32)
        powers = a * jnp.eye(len(gram)) + b * gram.astype(jnp.float32) + c * fourth
        x = matmul(x, powers.astype(dtype), dtype)
    return x


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
