"""The function that exported files hold, whatever their format."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from casjax.networks.colour import is_for_colour, restored_planes


def restore(model: nn.Module, variables: Mapping[str, Any], *inputs: jax.Array) -> jax.Array:
    """Restore luma, or planes given their tables, as `casjax.export` describes it."""
    if is_for_colour(model):
        return restored_planes(model, variables, *inputs)
    finest, *_ = model.apply(variables, *inputs)
    return jnp.clip(finest.astype(jnp.float32), 0, 1)


def input_shapes(model: nn.Module, batch: Any, height: Any, width: Any) -> list[tuple[Any, ...]]:
    """Return the shapes of the inputs; sizes are integers, or what stands for them in a graph."""
    if is_for_colour(model):
        return [(batch, height, width, 3), (batch, 2, 8, 8)]
    return [(batch, height, width, 1)]


def white(model: nn.Module) -> int:
    """Return the largest value of the inputs and the output."""
    return 255 if is_for_colour(model) else 1
