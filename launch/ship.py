"""Put the network of a finished run into the package: ``python launch/ship.py --help``.

Writes its weights as float16 into ``casjax/weights/``, and into the manifest there what it is, how
it came about, and what the weights, as they ship, score on LIVE1 and classic5.
"""

import argparse
import datetime
import hashlib
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np

from casjax.datasets import open_source
from casjax.evaluation import evaluator
from casjax.files import replacing
from casjax.networks import manifest, pretrained, provenance
from casjax.networks.compilation import cache_compilations
from casjax.networks.inference import make_restorer
from casjax.networks.weights import save_weights
from casjax.networks.workdir import CONFIG_FILE

TEST_SETS = ("live1", "classic5")
KEPT = ("dataset", "method", "qf", "psnr", "psnrb", "ssim")


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workdir", type=Path, help="of a finished run")
    parser.add_argument("--name", required=True, help="of the network, such as cascnn-qf20")
    parser.add_argument("--data", required=True, help="what it was trained on, in words")
    parser.add_argument("--images-dir", default="", help="with live1/ and classic5/; or download")
    options = parser.parse_args()
    cache_compilations()

    config = json.loads((options.workdir / CONFIG_FILE).read_text(encoding="utf-8"))
    if config["degradation"]["codec"] != "jpeg":
        parser.error(f"{options.workdir} was trained for another codec than JPEG")
    run = provenance.of_run(config)
    network = pretrained.load_network(str(options.workdir))
    path = manifest.FOLDER / f"{options.name}.safetensors"
    save_weights(path, jax.tree.map(lambda leaf: leaf.astype(np.float16), network.variables))
    entry: dict[str, Any] = {
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        # Whatever it was trained in: the dtype that every backend runs well.
        "model": config["model"] | {"dtype": "float32"},
        "qualities": network.qualities,
        "initial_weights": Path(run["initial_weights"]).name,
        "data": options.data,
        "steps": run["steps"],
        "cutouts": run["cutouts"],
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "scores": [],
    }
    if config["model"]["name"] != "cascnn":
        entry["baseline"] = True
    write_manifest(manifest.manifest() | {options.name: entry})

    # What is scored is read back from the package: these are the weights that users get.
    network = pretrained.load_network(options.name)
    restorer = make_restorer(network.model, network.variables, tile=config["evaluation"]["tile"])
    qualities = config["evaluation"]["qualities"] or [config["quality"]]
    for test_set in TEST_SETS:
        source = open_source(test_set, images_dir=options.images_dir, seed=0)
        results = evaluator.evaluate(
            restorer, source, method=config["model"]["name"], qualities=qualities
        )
        print(evaluator.format_table(results))
        entry["scores"] += [{key: row[key] for key in KEPT} for row in results["rows"]]
    write_manifest(manifest.manifest() | {options.name: entry})


def write_manifest(networks: dict[str, Any]) -> None:
    """Write what ships."""
    text = json.dumps(networks, indent=1, sort_keys=True) + "\n"
    with replacing(manifest.FOLDER / "manifest.json") as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
