"""A network as StableHLO, the format that JAX itself exports and calls."""

from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from casjax.models import example_inputs


def export_stablehlo(
    model: nn.Module, variables: Mapping[str, Any], *, platforms: Sequence[str]
) -> bytes:
    """Return the function of `casjax.export` for any batch, height and width, weights included.

    ``jax.export.deserialize(content).call(degraded)`` runs it, without Flax or casjax; a colour
    network takes the condition as well, ``call(degraded, condition)``.

    Args:
      model: the network, in a formulation that suits all platforms.
      variables: the variables that its `apply` takes.
      platforms: JAX's names: "cpu", "cuda", "rocm", "tpu".
    """
    batch, height, width = jax.export.symbolic_shape("batch, height, width")
    degraded, *told = example_inputs(model, count=1, size=model.alignment)
    size = model.alignment * height, model.alignment * width
    shapes = [(batch, *size, degraded.shape[-1]), *((batch, each.shape[-1]) for each in told)]

    @jax.jit
    def restore(*inputs: jax.Array) -> jax.Array:
        finest, *_ = model.apply(variables, *inputs)
        return jnp.clip(finest.astype(jnp.float32), 0, 1)

    exported = jax.export.export(restore, platforms=platforms)(
        *(jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes)
    )
    return bytes(exported.serialize())
