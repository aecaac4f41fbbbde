"""Networks as photographs need them: any size, bounded memory, few compilations."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from casjax.networks import pretrained
from casjax.networks.colour import is_for_colour
from casjax.networks.colour_restorer import make_colour_restorer
from casjax.networks.inference import make_restorer, mixed_where_it_serves
from casjax.networks.memory import default_memory, largest_tile

BUCKET = 64  # pixels: pictures of many sizes share few compilations


@functools.cache
def load_restorer(model: str, memory: int | None) -> Callable[..., np.ndarray[Any, Any]]:
    """Load a network and make its restorer, a `ColourRestorer` if it is for colour.

    Args:
      model: its name, as for `pretrained.load_network`.
      memory: bytes for its features, which decide the largest tile; None is `default_memory`.

    Raises:
      FileNotFoundError: there is no such network.
      ValueError: its files are damaged, or `memory` is too small.
    """
    network = pretrained.load_network(model)
    tile = largest_tile(
        network.model,
        network.variables,
        memory=default_memory() if memory is None else memory,
        multiple=BUCKET,
    )
    make = make_colour_restorer if is_for_colour(network.model) else make_restorer
    restored_by = mixed_where_it_serves(network.model)
    return make(restored_by, network.variables, tile=tile, bucket=BUCKET)
