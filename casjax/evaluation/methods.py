"""Methods by name: JPEG, SA-DCT, networks that ship or from runs, and third-party methods."""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

from casjax.evaluation import PAPERS_QUALITIES, colour, peers, programs, sadct
from casjax.evaluation.degraded import Earlier
from casjax.evaluation.restorers import FileRestorer, Method
from casjax.images.codecs import CODECS
from casjax.jpeg import quantization_table
from casjax.models import MODELS, create_model
from casjax.models.arcnn import parameters_from_matlab
from casjax.networks import inference, pretrained
from casjax.networks.colour import is_for_colour
from casjax.networks.inference import Restorer
from casjax.networks.refinement import refined
from casjax.networks.weights import weights_sha256


def find_method(name: str, *, tile: int, jobs: int, timeout: float) -> Method:
    """Find a method by its name on the command line.

    Args:
      name: one of ours, one known to `peers.find_peer`, or ``command:`` and a program.
      tile: of our networks, see `inference.make_restorer`.
      jobs: how many pictures to give at once to methods that take files.
      timeout: seconds that a program may take per picture.

    Raises:
      ValueError: its files are damaged or do not fit.
      FileNotFoundError: there is no such method.
    """
    match name:
        case "jpeg":
            return Method("jpeg", lambda _: None, PAPERS_QUALITIES, {})
        case "sadct":
            return Method(
                "sadct",
                lambda quality: partial(sadct.restore, quality=quality),
                PAPERS_QUALITIES,
                {"version": sadct.VERSION},
            )
    if name.startswith("command:"):
        return programs.find_command(name.removeprefix("command:"), timeout=timeout, jobs=jobs)
    if peer := peers.find_peer(name, jobs=jobs):
        return peer
    if name.endswith(".mat"):
        model, variables, network = released_arcnn(Path(name))
    else:
        loaded = pretrained.load_network(name)
        model, variables = loaded.model, loaded.variables
        network = pretrained.describe_network(name)
    restorer = find_restorer(model, variables, tile=tile)
    lowest, highest = network["qualities"]
    return Method(
        network["model"]["name"],
        lambda _: restorer,
        [lowest] if lowest == highest else PAPERS_QUALITIES,
        {"network": network, "parameters_sha256": weights_sha256(variables), "tile": tile},
    )


def find_restorer(
    model: Any, variables: Mapping[str, Any], *, tile: int
) -> Restorer | FileRestorer:
    """Make the restorer of a network: one of pixels, or for a colour network one of files.

    Raises:
      ValueError: as `inference.make_restorer` does.
    """
    make = colour.restorer_of_files if is_for_colour(model) else inference.make_restorer
    return make(model, variables, tile=tile)


def named(method: Method, name: str | None) -> Method:
    """Give a method another name in its results, unless the name is None.

    Raises:
      ValueError: reports would mistake it for one of ours.
    """
    built_in = {"sadct", *MODELS, *CODECS}
    if name is None:
        is_of_others = not method.facts.keys().isdisjoint(("command", "package"))
        if is_of_others and method.name.split("+")[0] in built_in:
            raise ValueError(
                f"reports would mistake it for the built-in {method.name}: it needs another --name"
            )
        return method
    if method.name == "jpeg":
        raise ValueError("--name needs a method that restores, jpeg does not")
    if name.split("+")[0] in built_in:  # as `refine` names them
        raise ValueError(f"--name {name}: that is the name of a built-in method")
    return method._replace(name=name)


def refine(method: Method, *, ensemble: bool, consistent: bool) -> Method:
    """Add to a method the options that `casjax.restore` has under the same names.

    Raises:
      ValueError: the method is JPEG alone.
    """
    added = [
        name for name, wanted in (("ensemble", ensemble), ("consistent", consistent)) if wanted
    ]
    if not added:
        return method
    if method.name == "jpeg":
        raise ValueError(f"--{added[0]} needs a method that restores, jpeg does not")
    codec = method.facts.get("network", {}).get("codec", "jpeg")
    if consistent and codec != "jpeg":
        raise ValueError(f"--consistent is for JPEG; {method.name} was trained for {codec}")

    def restorer(quality: int) -> Restorer:
        plain = method.restorer(quality)
        if plain is None or isinstance(plain, FileRestorer):
            raise ValueError(f"--{added[0]} needs a method of pixels, {method.name} takes files")
        steps = np.asarray(quantization_table(quality)) if consistent else None
        return refined(plain, ensemble=ensemble, steps=steps)

    return method._replace(
        name="+".join([method.name, *added]),
        restorer=restorer,
        facts={**method.facts, "refinement": added},
        in_colour=False,
    )


def for_pictures(method: Method, *, in_colour: bool, earlier: Earlier | None) -> Method:
    """Add the kind of pictures it is scored on to a method's facts, unless they are plain luma.

    Raises:
      ValueError: it cannot restore colour.
    """
    facts = dict(method.facts)
    if in_colour:
        restorer = method.restorer(method.qualities[0])
        takes_colour = method.in_colour or restorer is None or isinstance(restorer, FileRestorer)
        if not takes_colour:
            raise ValueError(
                f"--colour needs jpeg, a method of files or one of three planes; {method.name} "
                "restores luma only"
            )
        facts["channels"] = 3
    if earlier is not None:
        facts["recompress"] = {"quality": earlier.quality, "shift": list(earlier.shift)}
    return method._replace(facts=facts)


def released_arcnn(path: Path) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """Read a file of the weights that AR-CNN's authors released: model, variables, description.

    Raises:
      ValueError: it is not such a file, or its name does not give the quality.
    """
    quality = re.search(r"q(\d+)\.mat$", path.name)
    if not quality:
        raise ValueError(f"{path}: expected a name that ends in the quality, such as arcnn_q20.mat")
    try:
        with path.open("rb") as file:
            parameters = parameters_from_matlab(scipy.io.loadmat(file))
    except Exception as error:  # on damaged files SciPy may raise anything
        raise ValueError(f"{path}: not AR-CNN's released weights: {error}") from error
    network: dict[str, Any] = {
        "model": {
            "name": "arcnn",
            "initializer": "paper",
            "dtype": "float32",
            "convolution": "auto",
        },
        "qualities": [int(quality[1])] * 2,
        "data": "the weights that its authors released",
    }
    return create_model(**network["model"]), {"params": parameters}, network
