"""The networks, by their name in ``config.model.name``.

Every network takes float ``[n, h, w, 1]`` in [0, 1] and returns a tuple of images, finest first,
so that all share one loss and one inference path. A colour network, which has ``channels``, takes
that many planes, followed by its ``condition``. Its class defines what inference must know:
``alignment``, the grid it works on, and ``halo``, the pixels it uses around a block of the grid.

A network needs only an entry in this table, its module here and a config of the same name.
Implementations in other libraries are optional: `export.onnx_graph.GRAPHS` and
`benchmark.torch_networks.NETWORKS`.
"""

import dataclasses
import typing
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from casjax.models.arcnn import ARCNN
from casjax.models.cascnn import CASCNN
from casjax.models.svoboda import L4, L8

MODELS: dict[str, type[nn.Module]] = {
    "arcnn": ARCNN,
    "cascnn": CASCNN,
    "l4": L4,
    "l8": L8,
}


def create_model(*, name: str, **options: Any) -> nn.Module:
    """Return the network called ``name`` with its ``options``, the attributes of its class.

    Options with a default may be left out.

    Raises:
      ValueError: there is no such network, or an option or its value is wrong; the message names
        it.
    """
    if name not in MODELS:
        raise ValueError(f"model.name={name!r}: expected one of {', '.join(sorted(MODELS))}")
    model = MODELS[name]
    fields = [field for field in dataclasses.fields(model) if field.name not in ("parent", "name")]
    attributes = {field.name for field in fields}
    needed = {field.name for field in fields if field.default is dataclasses.MISSING}
    wrong = [f"has no {option}" for option in sorted(options.keys() - attributes)]
    wrong += [f"needs {option}" for option in sorted(needed - options.keys())]
    if wrong:
        raise ValueError(
            f"{name} {', '.join(wrong)} in config.model: expected {', '.join(sorted(attributes))}"
        )
    for option, kind in typing.get_type_hints(model).items():
        choices = (True, False) if kind is bool else typing.get_args(kind)
        if choices and option in options and options[option] not in choices:
            raise ValueError(
                f"config.model.{option}={options[option]!r}: expected one of "
                f"{', '.join(map(str, choices))}"
            )
    return model(**options)


def vary(model: nn.Module, **options: Any) -> nn.Module:
    """Return the network with these options changed, such as `dtype`, where it has them."""
    return model.clone(**{name: value for name, value in options.items() if hasattr(model, name)})


def example_inputs(model: Any, *, size: int) -> tuple[jax.ShapeDtypeStruct, ...]:
    """Return the shapes of what ``apply`` takes after the variables, for a square picture."""
    planes, told = getattr(model, "channels", 1), getattr(model, "condition", 0)
    degraded = jax.ShapeDtypeStruct((1, size, size, planes), jnp.float32)
    condition = jax.ShapeDtypeStruct((1, told), jnp.float32)
    return (degraded, condition) if told else (degraded,)


def initial_variables(model: nn.Module, seed: int) -> dict[str, Any]:
    """Return the variables of an untrained network: nested dicts of float32 arrays."""
    inputs = example_inputs(model, size=64)
    # Lazily, because compiling the forward pass only to throw its result away takes many
    # seconds; on CPU, so does compiling JAX's default generator for large arrays.
    key = jax.random.key(seed, impl="rbg")
    return jax.jit(lambda key: model.lazy_init(key, *inputs))(key)


def count_outputs(model: nn.Module, variables: dict[str, Any]) -> int:
    """Count the outputs of a network from shapes alone; the variables may be shapes too."""
    inputs = example_inputs(model, size=64)
    return len(jax.eval_shape(model.apply, variables, *inputs))


def variable_shapes(model: nn.Module) -> dict[str, Any]:
    """Return the shapes and dtypes of a network's variables, without computing or compiling any."""
    model = vary(model, convolution="direct")  # the same for all; this one is traced fastest
    return jax.eval_shape(partial(initial_variables, model), 0)
