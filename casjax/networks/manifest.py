"""What ships with the package: ``manifest.json`` beside the weights.

It maps a network's name to its ``file`` of float16 weights with its ``sha256``, to what it is
(``model``, as in a config) and for which ``qualities`` (lowest and highest JPEG quality factor),
and to how it came about: the network it started from, data, cut-outs, steps, loss, date, and the
scores of the weights as they ship (in RGB where a row has ``channels`` 3), as far as they are known
with ``command``, ``revision``, ``versions``, ``machine`` and ``wall_time`` (seconds), the
``learning_curve`` (see `provenance.learning_curve`), the ``multiscale_scores`` that it had before
fine-tuning, and ``earlier`` trainings of it, oldest first. Networks that are there to compare with
have ``baseline``: true; restoring photographs does not choose them.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "shipped"
MANIFEST_FILE = "manifest.json"
NOT_DESCRIBING = ("scores", "multiscale_scores", "learning_curve", "earlier")


def manifest() -> dict[str, dict[str, Any]]:
    """What ships, by name, as described above."""
    return json.loads((FOLDER / MANIFEST_FILE).read_text(encoding="utf-8"))


def find_weights(name: str) -> Path:
    """The file of a network that ships, its bytes as the manifest has them, or else a path.

    Raises:
      ValueError: the file is not the one that the manifest describes.
    """
    entry = manifest().get(name)
    if entry is None:
        return Path(name)
    path = FOLDER / entry["file"]
    if hashlib.sha256(path.read_bytes()).hexdigest() != entry["sha256"]:
        raise ValueError(f"{path}: damaged, its SHA-256 is not the manifest's: reinstall casjax")
    return path
