"""The networks, by the name that ``config.model.name`` gives.

Every network takes float ``[n, h, w, 1]`` in [0, 1] and returns a tuple of images, finest first,
so that one loss and one inference path serve them all. Its class says what inference must know:
``alignment`` and ``receptive_radius``.
"""

import dataclasses
from typing import Any

import flax.linen as nn

from casjax.models.arcnn import ARCNN
from casjax.models.cascnn import CASCNN

MODELS: dict[str, type[nn.Module]] = {"arcnn": ARCNN, "cascnn": CASCNN}


def create_model(*, name: str, **options: Any) -> nn.Module:
    """The network called ``name`` with its ``options``, the attributes of its class.

    Raises:
      ValueError: there is no such network, or it has no such option.
    """
    if name not in MODELS:
        raise ValueError(f"model.name={name!r}: expected one of {', '.join(sorted(MODELS))}")
    model = MODELS[name]
    attributes = {field.name for field in dataclasses.fields(model)} - {"parent", "name"}
    if options.keys() - attributes:
        raise ValueError(
            f"{name} has no {', '.join(sorted(options.keys() - attributes))} in config.model: "
            f"expected {', '.join(sorted(attributes))}"
        )
    return model(**options)
