"""The pure functions of training: the state, one step, and one batch of validation.

They run on one device's share of a batch, under a mapped axis named ``"batch"``.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from casjax.training.examples import Batch, domain_of
from casjax.training.losses import Measure, edge_error, multiscale_loss
from casjax.training.phases import Phase, loss_weights_at

Metrics = Mapping[str, jax.Array]


class TrainState(flax.struct.PyTreeNode):
    """The content of a checkpoint.

    Attributes:
      step: int32, the number of steps taken.
      variables: of the network: ``params`` and, with batch normalisation, ``batch_stats``.
      optimizer_state: of Optax.
    """

    step: jax.Array
    variables: dict[str, Any]
    optimizer_state: Any


def on_devices(
    function: Callable[..., Any],
    devices: Sequence[jax.Device],
    *,
    parallelism: str = "pmap",
    donate_argnums: int | tuple[int, ...] = (),
) -> Callable[..., Any]:
    """Distribute a step over devices: the batch is split along its first axis, the rest copied.

    Only this and `everywhere` know how it is done.

    Args:
      function: takes a state and a device's share of the batch, with the axis ``"batch"``.
      devices: of all processes; each process provides the shares of its own.
      parallelism: one of `PARALLELISMS`; they give the same bits.
      donate_argnums: arguments whose memory may be reused, as for `jax.jit`.
    """
    return PARALLELISMS[parallelism](function, devices, donate_argnums)


def _by_pmap(
    function: Callable[..., Any], devices: Sequence[jax.Device], donate_argnums: Any
) -> Callable[..., Any]:
    return jax.pmap(
        function,
        axis_name="batch",
        in_axes=(None, 0),
        out_axes=None,
        devices=devices,
        donate_argnums=donate_argnums,
    )


def _by_shard_map(
    function: Callable[..., Any], devices: Sequence[jax.Device], donate_argnums: Any
) -> Callable[..., Any]:
    mesh = Mesh(devices, ("batch",))
    split = NamedSharding(mesh, PartitionSpec("batch"))

    def on_one(state: Any, shares: Any) -> Any:
        return function(state, jax.tree.map(lambda share: share[0], shares))

    # Unchecked, gradients are those of the device's own share, as under pmap; the step averages.
    mapped = jax.shard_map(
        on_one,
        mesh=mesh,
        in_specs=(PartitionSpec(), PartitionSpec("batch")),
        out_specs=PartitionSpec(),
        check_vma=False,
    )
    compiled = jax.jit(mapped, donate_argnums=donate_argnums)

    def step(state: Any, batch: Batch) -> Any:
        return compiled(state, jax.make_array_from_process_local_data(split, dict(batch)))

    return step


PARALLELISMS = {"pmap": _by_pmap, "shard_map": _by_shard_map}


def everywhere(state: Any, devices: Sequence[jax.Device], *, parallelism: str = "pmap") -> Any:
    """Put a state on each device, for steps of `on_devices`.

    For pmap on the devices of this process, for shard_map on all.
    """
    if parallelism == "pmap":
        devices = [d for d in devices if d.process_index == jax.process_index()]
    return jax.device_put(state, NamedSharding(Mesh(devices, ("batch",)), PartitionSpec()))


def make_train_step(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    phases: Sequence[Phase],
    *,
    measure: Measure,
    edge_weight: float,
) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """Make the function that takes one step on a batch.

    The loss is `multiscale_loss` plus ``edge_weight`` times the `edge_error` of the finest output.
    The function takes the state and a batch of `batches.Batches.at`, degrades the cut-outs, and
    returns the new state and, as float32 scalars, ``loss``, ``mse`` (of the finest output) and
    ``jpeg_mse`` (of the degraded cut-outs, by any codec), both of pixels in [0, 1]: luma, or RGB
    for a colour network.
    """
    domain = domain_of(model)

    def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        clean, degraded, inputs = domain.examples(batch)
        weights = loss_weights_at(phases, state.step)

        def loss_of(params: Any) -> tuple[jax.Array, tuple[jax.Array, dict[str, Any]]]:
            variables = {**state.variables, "params": params}
            outputs, updates = model.apply(variables, *inputs, mutable=["batch_stats"])
            pictures = [domain.picture(output) for output in outputs]
            loss, mse = multiscale_loss(pictures, clean, weights, measure=measure)
            if edge_weight:
                loss += edge_weight * edge_error(pictures[0], clean)
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
    """Make the function from variables and a batch to ``mse`` and ``jpeg_mse``, as above."""
    domain = domain_of(model)

    def validation_step(variables: dict[str, Any], batch: Batch) -> Metrics:
        clean, degraded, inputs = domain.examples(batch)
        finest, *_ = model.apply(variables, *inputs)
        shown = jnp.clip(domain.picture(finest), 0, 1)  # what a file can hold
        errors = {"mse": (shown - clean) ** 2, "jpeg_mse": (degraded - clean) ** 2}
        return lax.pmean({name: jnp.mean(error) for name, error in errors.items()}, "batch")

    return validation_step
