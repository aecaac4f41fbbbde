"""A colour network on pictures of any size: takes planes and tables, returns changes."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from casjax.networks.colour import restored_planes
from casjax.networks.graphs import compiled
from casjax.networks.inference import (
    checked,
    fill_in_tiles,
    full_precision,
    in_form,
    on_device,
    require_tile,
)

ColourRestorer: TypeAlias = Callable[[np.ndarray | jax.Array, np.ndarray | jax.Array], np.ndarray]
"""Returns what to add to planes, uint8 [n, h, w, 3], that were coded with tables, integers
[n, 2, 8, 8] or [2, 8, 8] for all: float16 [n, h, w, 3], in levels of 0..255."""


def make_colour_restorer(
    model: Any, variables: Mapping[str, Any], *, tile: int, bucket: int = 1
) -> ColourRestorer:
    """Make the function that restores decoded colour JPEGs of any size with a network.

    Arguments and errors are those of `inference.make_restorer`. Planes are Y, Cb and Cr as the
    decoder outputs them, before RGB clips them, with chroma upsampled to full resolution.
    """
    require_tile(model, tile)
    change = change_batch(model)
    variables = on_device(variables)

    def restorer(planes: np.ndarray | jax.Array, tables: np.ndarray | jax.Array) -> np.ndarray:
        planes = checked(planes, channels=3)
        tables = np.broadcast_to(np.asarray(tables, np.int32), (len(planes), 2, 8, 8))
        changes = np.empty(planes.shape, np.float16)
        fill_in_tiles(
            changes,
            planes,
            lambda windows, pictures: change(variables, windows, tables[pictures]),
            model,
            tile=tile,
            bucket=bucket,
        )
        return changes

    return restorer


@functools.cache
def change_batch(model: Any) -> Callable[..., jax.Array]:
    """Return the compiled function `(variables, planes, tables) -> changes` of a network.

    Planes are uint8 [n, h, w, 3] with h and w multiples of `model.alignment`, tables int32
    [n, 2, 8, 8]. For the rest, see `inference.restore_batch`.
    """

    def change(variables: Mapping[str, Any], planes: jax.Array, tables: jax.Array) -> jax.Array:
        network = in_form(model, planes.shape)
        with full_precision():
            restored = restored_planes(network, variables, planes, tables)
        return (restored - planes).astype(jnp.float16)

    return compiled(change, model, does="change")
