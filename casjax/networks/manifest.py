"""The networks that ship with the package: ``manifest.json`` beside the weights.

It maps a network's name to its ``file`` of float16 weights with its ``sha256``, to the network
(``model``, as in a config) and its ``qualities`` (lowest and highest JPEG quality factor), and to
how it was trained: the network it started from, data, cut-outs, steps, loss, date, and the scores
of the shipped weights (in RGB where a row has ``channels`` 3); where known, also ``command``,
``revision``, ``versions``, ``machine`` and ``wall_time`` (seconds), the ``learning_curve`` (see
`provenance.learning_curve`), ``mean_with`` (what else the shipped weights are the mean of, besides
those of the training described), ``earlier`` trainings, oldest first, and ``multiscale``: the same
facts of a network that does not ship, trained with the loss of all outputs alone, for its line in
the paper's Table II. Networks that serve only for comparison have ``baseline``: true; restoring
photographs does not choose them.
"""

import json
from pathlib import Path
from typing import Any

from casjax.files import file_sha256

FOLDER = Path(__file__).parent / "shipped"
MANIFEST_FILE = "manifest.json"
NOT_DESCRIBING = ("scores", "learning_curve", "earlier")


def manifest() -> dict[str, dict[str, Any]]:
    """Return the networks that ship, by name, as described above."""
    return json.loads((FOLDER / MANIFEST_FILE).read_text(encoding="utf-8"))


def find_weights(name: str) -> Path:
    """Return the verified file of a network that ships, or else the name as a path.

    Raises:
      ValueError: the file is not the one described by the manifest.
    """
    entry = manifest().get(name)
    if entry is None:
        return Path(name)
    path = FOLDER / entry["file"]
    if file_sha256(path) != entry["sha256"]:
        raise ValueError(f"{path}: damaged, its SHA-256 is not the manifest's: reinstall casjax")
    return path
