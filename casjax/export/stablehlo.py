"""A network as StableHLO, the format that JAX itself exports and calls."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from casjax.export.function import input_shapes, restore


def export_stablehlo(
    model: nn.Module, variables: Mapping[str, Any], *, platforms: Sequence[str]
) -> bytes:
    """Return the function of `casjax.export` for any batch, height and width, weights included.

    ``jax.export.deserialize(content).call(degraded)`` runs it, without Flax or casjax; a colour
    network takes the tables as well, ``call(degraded, tables)``.

    Args:
      model: the network, in a formulation that suits all platforms.
      variables: the variables that its `apply` takes.
      platforms: JAX's names: "cpu", "cuda", "rocm", "tpu".
    """
    batch, height, width = jax.export.symbolic_shape("batch, height, width")
    shapes = input_shapes(model, batch, model.alignment * height, model.alignment * width)
    exported = jax.export.export(jax.jit(partial(restore, model, variables)), platforms=platforms)(
        *(jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes)
    )
    return bytes(exported.serialize())
