"""Put the network of a finished run into the package: ``python launch/ship.py --help``.

Writes its weights as float16 beside the other shipped networks, and adds to the manifest there what
it is, how it was made, and what the shipped weights score on LIVE1 and classic5, and for a colour
network on LIVE1 in RGB as well. A run with fine-tuning is also scored as it was before, and with
``--multiscale`` a run without is scored for the network of that name; those weights are not
shipped. Nothing is written until everything is complete. Afterwards ``python docs/tables.py`` and
``python docs/cards.py`` bring the documentation up to date.
"""

import argparse
import datetime
import json
import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from casjax.datasets import open_source
from casjax.datasets.published import TEST_SETS
from casjax.evaluation import evaluator
from casjax.evaluation.methods import find_restorer
from casjax.files import file_sha256, write_bytes, write_text
from casjax.models import create_model, variable_shapes
from casjax.networks import provenance
from casjax.networks.colour import is_for_colour
from casjax.networks.compilation import cache_compilations
from casjax.networks.manifest import FOLDER, MANIFEST_FILE, find_weights
from casjax.networks.weights import load_weights, save_weights
from casjax.networks.workdir import (
    CONFIG_FILE,
    METRICS_FILE,
    RUN_FILE,
    WEIGHTS_FILE,
    phase_weights_file,
)
from casjax.training.run_record import read_parts

# Kept of each row of scores: what was scored, the means, and the gain's standard error over images.
# The smallest and the largest gain of an image are added.
KEPT = ("dataset", "method", "qf", "images", "psnr", "psnrb", "ipsnr", "ipsnr_se")
SIMILARITIES = {1: ("ssim",), 3: ("ssim_gaussian", "ssim_gaussian_luma")}  # by channels
# Kept of a network that was trained further under its own name.
KEPT_OF_EARLIER = ("initial_weights", "data", "steps", "cutouts", "date", "wall_time", "machine")
CURVE = "learning_curve"
# Kept of a run by the multi-scale loss alone.
KEPT_OF_MULTISCALE = (*KEPT_OF_EARLIER, "loss", "measure", "command", "revision", "versions")


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    parser = make_parser()
    options = parser.parse_args(arguments)
    try:
        cache_compilations()
        given = {key: getattr(options, key) for key in ("command", "machine", "revision")}
        if options.wall_time is not None:
            given["wall_time"] = round(options.wall_time)
        facts = {key: value for key, value in given.items() if value is not None}
        entry = ship(
            options.workdir,
            options.name,
            options.into,
            data=options.data,
            facts=facts,
            images_dir=options.images_dir,
            multiscale=options.multiscale,
            mean_with=options.mean_with,
        )
    except (KeyError, ValueError, OSError) as error:
        parser.error(" ".join(str(error).split()))
    before = entry.get("multiscale", {"scores": []})["scores"]
    for row in entry["scores"] + before:
        what = f"{row['dataset']} at {row['qf']}, {row['method']}"
        what += " by the multi-scale loss" if row in before and row["method"] != "jpeg" else ""
        in_colour = "channels" in row
        similarity = row["ssim_gaussian" if in_colour else "ssim"]
        what += " in RGB" if in_colour else ""
        print(f"{what}: {row['psnr']:.3f} dB, {row['psnrb']:.3f} dB, {similarity:.4f}")


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("workdir", type=Path, help="of a finished run, by this or another version of casjax")
    add("--name", required=True, help="of the network, such as cascnn-qf20")
    add("--data", required=True, help="what it was trained on, in words")
    add("--images-dir", default="", help="with live1/ and classic5/; default: download them")
    add(
        "--multiscale",
        action="store_true",
        help="keep only the scores, beside those of the network of that name: Table II has a line "
        "for networks trained with the loss of all outputs alone",
    )
    add(
        "--mean-with",
        nargs="+",
        default=[],
        metavar="WEIGHTS",
        help="ship the mean of the run's weights and these: of networks that ship, by name, or of "
        "workdirs. Of trainings from one network it is often better than each",
    )
    add("--into", type=Path, default=FOLDER, help="default: the package")
    of_old = "if the workdir does not record it"
    add("--command", help=f"training command, {of_old}")
    add("--machine", help=f"processor, cores and accelerators, {of_old}")
    add("--revision", help=f"of the code, {of_old}")
    add("--wall-time", type=float, metavar="SECONDS", help=f"of the training, {of_old}")
    return parser


def ship(
    workdir: Path,
    name: str,
    folder: Path,
    *,
    data: str,
    facts: dict[str, Any],
    images_dir: str,
    multiscale: bool,
    mean_with: Sequence[str] = (),
) -> dict[str, Any]:
    """Score the network of a run and put it into a folder of shipped networks.

    Args:
      workdir: of a finished run.
      name: of the network.
      folder: with the manifest and the weights of the shipped networks.
      data: what it was trained on, in words.
      facts: `command`, `machine`, `revision` and `wall_time`, if the workdir does not record them.
      images_dir: with the test sets; "" to download them.
      multiscale: whether the run minimised the loss of all outputs alone and is only scored, for
        the network of that name.
      mean_with: other weights, see `networks.manifest.find_weights`; those of the network that
        ships are the mean of all.

    Returns:
      The network's entry in the manifest.

    Raises:
      ValueError: the run or the name does not fit; the message says why.
      FileNotFoundError: the workdir is not one of a finished run.
    """
    manifest = json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
    config = json.loads((workdir / CONFIG_FILE).read_text(encoding="utf-8"))
    entry = describe(workdir, config, name, data=data, facts=facts)
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        raise ValueError(f"--name {name}: expected lower-case letters, digits and hyphens")
    before = manifest.get(name)
    if before and (before["model"]["name"], before["qualities"]) != (
        entry["model"]["name"],
        entry["qualities"],
    ):
        raise ValueError(
            f"--name {name}: it is a {before['model']['name']} for {before['qualities']}, and "
            f"this is a {entry['model']['name']} for {entry['qualities']}"
        )
    if multiscale and not before:
        raise ValueError(f"--multiscale: no {name} ships yet, beside which scores would be kept")
    if multiscale and entry["loss"] != "multi-scale":
        raise ValueError(
            f"--multiscale: expected a run whose loss is multi-scale, not of the {entry['loss']}"
        )
    model = create_model(**entry["model"])
    wanted = [(1, test_set) for test_set in TEST_SETS]
    if is_for_colour(model):
        wanted.append((3, "live1"))
    sources = [
        (channels, open_source(test_set, images_dir=images_dir, seed=0, channels=channels))
        for channels, test_set in wanted
    ]
    shapes = variable_shapes(model)

    def score(weights: Path) -> list[dict[str, Any]]:
        variables = load_weights(weights, shapes)
        restorer = find_restorer(model, variables, tile=config["evaluation"]["tile"])
        qualities = config["evaluation"]["qualities"] or [config["quality"]]
        rows: list[dict[str, Any]] = []
        for channels, source in sources:
            results = evaluator.evaluate(
                restorer, source, method=entry["model"]["name"], qualities=qualities
            )
            if results["failures"]:
                raise ValueError(evaluator.sentence(results["failures"][0]))
            rows += [of_row(row, results["images"], channels) for row in results["rows"]]
        return rows

    if multiscale:
        kept = {key: entry[key] for key in KEPT_OF_MULTISCALE if key in entry}
        entry = before | {"multiscale": kept | of_weights(workdir / WEIGHTS_FILE, score)}
        write_manifest(folder, manifest | {name: entry})
        return entry
    before_finetuning = workdir / phase_weights_file(provenance.PHASES[0])
    with tempfile.TemporaryDirectory() as place:
        halved = Path(place, entry["file"])
        places = [workdir, *map(find_weights, mean_with)]
        variables = [load_weights(place, shapes) for place in places]
        mean = jax.tree.map(lambda *leaves: np.mean(leaves, axis=0).astype(np.float16), *variables)
        save_weights(halved, mean)
        content = halved.read_bytes()
        # Scored as read back from the file: these are the weights that users get.
        entry |= of_weights(halved, score)
        then = provenance.of_run(config, last_phase=provenance.PHASES[0])
        was_finetuned = then["loss"] == "multi-scale" and entry["loss"] == "output"
        if was_finetuned and before_finetuning.is_file():
            kept = {key: then[key] for key in ("loss", "measure", "steps", "cutouts")}
            kept |= {key: entry[key] for key in ("initial_weights", "data")}
            entry["multiscale"] = kept | of_weights(before_finetuning, score)
        elif before and "multiscale" in before:
            entry["multiscale"] = before["multiscale"]
    if mean_with:
        entry["mean_with"] = [in_words(weights) for weights in mean_with]
    if before:
        entry |= earlier(entry, before, name)
    write_bytes(folder / entry["file"], content)
    write_manifest(folder, manifest | {name: entry})
    return entry


def of_weights(weights: Path, score: Callable[[Path], list[dict[str, Any]]]) -> dict[str, Any]:
    """Return the manifest's facts about a file of weights."""
    return {"sha256": file_sha256(weights), "scores": score(weights)}


def write_manifest(folder: Path, entries: dict[str, Any]) -> None:
    """Write the manifest of a folder of networks."""
    text = json.dumps(entries, indent=1, sort_keys=True)
    write_text(folder / MANIFEST_FILE, text + "\n")


def of_row(row: dict[str, Any], images: list[dict[str, Any]], channels: int) -> dict[str, Any]:
    """Return the manifest's entry for a row of scores, given the scores of all images."""
    kept = {key: row[key] for key in (*KEPT, *SIMILARITIES[channels])}
    same = ("dataset", "method", "qf")
    gains = [i["ipsnr"] for i in images if all(i[key] == row[key] for key in same)]
    kept |= {"ipsnr_min": min(gains), "ipsnr_max": max(gains)}
    return kept if channels == 1 else kept | {"channels": channels}


def describe(
    workdir: Path, config: dict[str, Any], name: str, *, data: str, facts: dict[str, Any]
) -> dict[str, Any]:
    """Return the manifest's description of a network, without its scores.

    Raises:
      ValueError: the network was trained for another codec, or a file of the run is damaged.
    """
    run = provenance.of_run(config)
    if run["codec"] != "jpeg":
        raise ValueError(f"{workdir}: trained for {run['codec']}, shipped networks are for JPEG")
    parts = read_parts(workdir / RUN_FILE)
    entry = {
        **run,
        "file": f"{name}.safetensors",
        # Whatever dtype it was trained in, every backend runs this one well.
        "model": run["model"] | {"dtype": "float32"},
        "initial_weights": name_of(run["initial_weights"]),
        "data": data,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        **(provenance.of_parts(parts) if parts else {}),
        **facts,
    }
    del entry["codec"]
    if (workdir / METRICS_FILE).is_file():
        entry[CURVE] = provenance.learning_curve(
            workdir / METRICS_FILE, batch_size=config["batch_size"]
        )
    if config["model"]["name"] != "cascnn":
        entry["baseline"] = True
    return entry


def name_of(initial_weights: str) -> str:
    """Name a run's initial network: one that ships, a workdir, a phase of one, or a file."""
    path = Path(initial_weights)
    if path.name in map(phase_weights_file, provenance.PHASES):
        return f"{path.parent.name}/{path.stem}"
    return path.parent.name if path.name == WEIGHTS_FILE else path.name


def in_words(weights: str) -> str:
    """Name weights and, if they are in the workdir of a run, say how it got them."""
    config_file = Path(weights, CONFIG_FILE)
    if not config_file.is_file():
        return name_of(weights)
    config = json.loads(config_file.read_text(encoding="utf-8"))
    run = provenance.of_run(config)
    start, rate = name_of(run["initial_weights"]), config[provenance.PHASES[-1]]["learning_rate"]
    return f"{name_of(weights)} ({run['cutouts']:,} cut-outs from {start} at {rate:g})"


def earlier(entry: dict[str, Any], before: dict[str, Any], name: str) -> dict[str, Any]:
    """Return earlier trainings of a network under the same name, oldest first, if any."""
    if before["sha256"] == entry["sha256"]:  # the same network, shipped again
        return {"earlier": before["earlier"]} if "earlier" in before else {}
    if entry["initial_weights"] != name:
        return {}
    kept = {key: before[key] for key in (*KEPT_OF_EARLIER, CURVE) if key in before}
    return {"earlier": [*before.get("earlier", []), kept]}


if __name__ == "__main__":
    main()
