"""The pure functions of training: the state, one step, and one batch of validation.

They run on one device's share of a batch, under a mapped axis called ``"batch"``.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax
import optax.contrib
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from casjax import jpeg
from casjax.data import augment
from casjax.losses import edge_error, multiscale_mse
from casjax.phases import Phase, learning_rate_at, loss_weights_at

Batch = Mapping[str, jax.Array]
Metrics = Mapping[str, jax.Array]


class TrainState(flax.struct.PyTreeNode):
    """All that a checkpoint holds.

    Attributes:
      step: int32, the number of steps taken.
      variables: of the network: ``params`` and, with batch normalisation, ``batch_stats``.
      optimizer_state: of Optax.
    """

    step: jax.Array
    variables: dict[str, Any]
    optimizer_state: Any

    @property
    def network(self) -> dict[str, Any]:
        """The variables to validate, score and keep: with averaged parameters, if there are any."""
        average = optax.tree_utils.tree_get(self.optimizer_state, "average")
        return self.variables if average is None else {**self.variables, "params": average}


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
    average_decay: float,
) -> optax.GradientTransformation:
    """Adam or Muon with the learning rates of ``phases``.

    Muon (Jordan et al., 2024) gives the step of each kernel the same length in all directions: a
    kernel is the matrix from its taps and input channels to its output channels. Scaled as in
    arXiv:2502.16982, its steps are about as long as Adam's at the same rate. What is no such
    matrix (biases, slopes, kernels of the image or to one) learns by Adam.

    Gradients whose norm, over all parameters together, exceeds ``gradient_clip_norm`` are scaled
    down to it; 0 leaves all as they are. The layers of these names learn with ``slow_rate`` times
    the learning rate. A name that the network does not have is a ValueError of ``init``. With
    an ``average_decay`` above 0 the state has an `averaging` of the parameters.

    Raises:
      ValueError: there is no optimizer of such a name, or the decay is not in [0, 1).
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
    if not 0 <= average_decay < 1:
        raise ValueError(f"optimizer.average_decay={average_decay}: expected 0, or a share below 1")
    clip = [optax.clip_by_global_norm(gradient_clip_norm)] if gradient_clip_norm else []
    is_slow = partial(layers_called, slow_layers)
    slow = [optax.masked(optax.scale(slow_rate), is_slow)] if slow_layers else []
    average = [averaging(average_decay)] if average_decay else []
    return optax.chain(*clip, optimizer, *slow, *average)


class AveragingState(NamedTuple):
    """The number of steps taken, int32, and the average, of the structure of the parameters."""

    step: jax.Array
    average: Any


def averaging(decay: float) -> optax.GradientTransformation:
    """The last link of a chain, which leaves the steps as they are and averages where they lead.

    After step t = 1, 2, ... the average keeps a share of ``min(decay, t / (t + 10))`` of what it
    was, so that the first steps, far from the last, are soon forgotten.
    """

    def init(params: Any) -> AveragingState:
        # Copied, because a step that is given the state's memory must not be given it twice.
        return AveragingState(jnp.int32(0), jax.tree.map(jnp.copy, params))

    def update(steps: Any, state: AveragingState, params: Any) -> tuple[Any, AveragingState]:
        step = state.step + 1
        share = jnp.minimum(decay, step / (step + 10))
        reached = optax.apply_updates(params, steps)
        average = optax.incremental_update(reached, state.average, 1 - share)
        return steps, AveragingState(step, average)

    return optax.GradientTransformation(init, update)


def as_matrices(params: Any) -> Any:
    """For each parameter how Muon sees it as a matrix, or None where it does not."""

    def dimensions(x: jax.Array) -> optax.contrib.MuonDimensionNumbers | None:
        if x.ndim < 4 or 1 in x.shape[2:]:
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


def on_devices(
    function: Callable[..., Any], devices: Sequence[jax.Device], **options: Any
) -> Callable[..., Any]:
    """Spread a step over devices: the batch is split along its first axis, all else is the same.

    Nothing else knows how it is done. ``options`` are further ones of `jax.pmap`.
    """
    return jax.pmap(
        function, axis_name="batch", in_axes=(None, 0), out_axes=None, devices=devices, **options
    )


def everywhere(state: Any, devices: Sequence[jax.Device]) -> Any:
    """Put a state on each of the devices of this process, as steps of `on_devices` take it."""
    return jax.device_put(state, NamedSharding(Mesh(devices, ("batch",)), PartitionSpec()))


def make_train_step(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    phases: Sequence[Phase],
    *,
    edge_weight: float,
) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """The function that takes one step on a batch.

    The loss is `multiscale_mse` plus ``edge_weight`` times the `edge_error` of the finest output.
    It takes the state and a batch as `data.Batches.at` gives it, degrades the cut-outs, and
    returns the new state and, as float32 scalars, ``loss``, ``mse`` (of the finest output) and
    ``jpeg_mse`` (of the degraded cut-outs, by whatever codec), both of pixels in [0, 1].
    """

    def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        clean, degraded = pair(batch)
        weights = loss_weights_at(phases, state.step)

        def loss_of(params: Any) -> tuple[jax.Array, tuple[jax.Array, dict[str, Any]]]:
            variables = {**state.variables, "params": params}
            outputs, updates = model.apply(variables, degraded, mutable=["batch_stats"])
            loss, mse = multiscale_mse(outputs, clean, weights)
            if edge_weight:
                loss += edge_weight * edge_error(outputs[0], clean)
            return loss, (mse, updates)

        params = state.variables["params"]
        (loss, (mse, updates)), gradients = jax.value_and_grad(loss_of, has_aux=True)(params)
        metrics = {"loss": loss, "mse": mse, "jpeg_mse": jnp.mean((degraded - clean) ** 2)}
        gradients, updates, metrics = lax.pmean((gradients, updates, metrics), "batch")

        changes, optimizer_state = optimizer.update(gradients, state.optimizer_state, params)
        new_state = TrainState(
            step=state.step + 1,
            variables={**updates, "params": optax.apply_updates(params, changes)},
            optimizer_state=optimizer_state,
        )
        return new_state, metrics

    return train_step


def make_validation_step(model: nn.Module) -> Callable[[dict[str, Any], Batch], Metrics]:
    """The function of variables and a batch that gives ``mse`` and ``jpeg_mse``, as above."""

    def validation_step(variables: dict[str, Any], batch: Batch) -> Metrics:
        clean, degraded = pair(batch)
        finest, *_ = model.apply(variables, degraded)
        errors = {"mse": (finest - clean) ** 2, "jpeg_mse": (degraded - clean) ** 2}
        return lax.pmean({name: jnp.mean(error) for name, error in errors.items()}, "batch")

    return validation_step


def pair(batch: Batch) -> tuple[jax.Array, jax.Array]:
    """Clean and degraded float32 [0, 1] images ``[b, h, w, 1]`` of a batch.

    Where the batch does not bring them degraded, they are turned and degraded by JPEG here.
    """
    clean = augment(batch["clean"], batch["turn"])
    degraded = batch["degraded"] if "degraded" in batch else jpeg.degrade(clean, batch["quality"])
    return clean.astype(jnp.float32) / 255, degraded.astype(jnp.float32) / 255
