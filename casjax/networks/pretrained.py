"""Trained networks by name or path: those that ship with the package, and finished runs."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import flax.traverse_util
import jax
import numpy as np

from casjax.models import create_model, variable_shapes, vary
from casjax.networks import provenance
from casjax.networks.graphs import kept_fact
from casjax.networks.manifest import NOT_DESCRIBING, find_weights, manifest
from casjax.networks.weights import load_weights
from casjax.networks.workdir import CONFIG_FILE


@dataclasses.dataclass(frozen=True)
class Network:
    """A trained network.

    Attributes:
      name: as requested.
      model: the network; see `models.create_model`.
      variables: what its ``apply`` takes, float32.
      qualities: lowest and highest quality factor it was trained for.
      codec: whose, one of `casjax.images.codecs.CODECS`.
    """

    name: str
    model: nn.Module
    variables: dict[str, Any]
    qualities: tuple[int, int]
    codec: str = "jpeg"


class MadeFor(NamedTuple):
    """What a network is made of and for.

    Attributes:
      options: of `models.create_model`.
      qualities: lowest and highest quality factor it was trained for.
      codec: whose.
    """

    options: dict[str, Any]
    qualities: tuple[int, int]
    codec: str

    @property
    def is_for_colour(self) -> bool:
        """Whether the network takes and returns the three planes, not luma alone."""
        return bool(self.options.get("channels", 1) > 1)


def load_network(name: str) -> Network:
    """Load a network that ships, by its name, or that of a finished run, by its workdir.

    Instead of the workdir, the name may be a weights file that a phase left in it.

    Raises:
      FileNotFoundError: there is none.
      ValueError: its files are damaged or do not fit together.
    """
    path = find_weights(name)
    options, qualities, codec = made_for(name)
    # Whatever it was trained in: bfloat16 costs CAS-CNN 0.01 to 0.25 dB, and a formulation of
    # convolution may not work here.
    model = vary(create_model(**options), dtype="float32", convolution="auto")
    variables = load_weights(path, _shapes(model))
    return Network(name, model, variables, qualities, codec)


def made_for(name: str) -> MadeFor:
    """Tell what a network is made of and for, without reading its weights.

    Args:
      name: as for `load_network`.

    Raises:
      FileNotFoundError: there is none.
      ValueError: its config is damaged.
    """
    if entry := manifest().get(name):
        return _made_for(entry)
    config = _config_of_run(name)
    degradation = config["degradation"]
    qualities = degradation["lowest_quality"], degradation["highest_quality"]
    return MadeFor(config["model"], qualities, degradation.get("codec", "jpeg"))


def for_photographs() -> dict[str, MadeFor]:
    """Tell what ships to restore photographs with, by name: all but the baselines."""
    shipped = manifest().items()
    return {name: _made_for(entry) for name, entry in shipped if not entry.get("baseline")}


def _made_for(entry: Mapping[str, Any]) -> MadeFor:
    """Read an entry of the manifest."""
    lowest, highest = entry["qualities"]
    return MadeFor(entry.get("model", {}), (lowest, highest), entry.get("codec", "jpeg"))


def _shapes(model: nn.Module) -> dict[str, Any]:
    """Return the shapes of a network's variables, from an earlier run if there was one."""

    def by_name() -> dict[str, list[int]]:
        variables = flax.traverse_util.flatten_dict(variable_shapes(model), sep="/")
        return {name: list(leaf.shape) for name, leaf in variables.items()}

    shapes = kept_fact(by_name, name=f"shapes of the variables of {model!r}")
    leaves = {name: jax.ShapeDtypeStruct(shape, np.float32) for name, shape in shapes.items()}
    return flax.traverse_util.unflatten_dict(leaves, sep="/")


def describe_network(name: str) -> dict[str, Any]:
    """Describe how a network, named as for `load_network`, was trained: see `provenance.of_run`.

    For one that ships, return what the manifest says, without its own scores and its history.

    Raises:
      FileNotFoundError: there is none.
    """
    if name in manifest():
        return {key: value for key, value in manifest()[name].items() if key not in NOT_DESCRIBING}
    path = Path(name)
    is_of_phase = path.is_file() and path.stem in provenance.PHASES
    last_phase = path.stem if is_of_phase else provenance.PHASES[-1]
    return provenance.of_run(_config_of_run(name), last_phase=last_phase)


def _config_of_run(name: str) -> dict[str, Any]:
    """Read the config of the run that a workdir, or a weights file in it, belongs to."""
    path = Path(name)
    config_path = (path.parent if path.is_file() else path) / CONFIG_FILE
    if not config_path.is_file():
        raise FileNotFoundError(
            f"{name}: no network of that name ships ({', '.join(manifest())}), and it is not the "
            f"workdir of a run, with {CONFIG_FILE}"
        )
    try:
        config = json.loads(config_path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{config_path}: damaged ({error})") from error
    absent = ", ".join(sorted({"model", "degradation"} - config.keys()))
    if absent:
        raise ValueError(
            f"{config_path}: it has no {absent}, so another version wrote it: train again"
        )
    return config
