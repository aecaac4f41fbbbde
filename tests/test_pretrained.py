"""Networks by name and by workdir, and what is said when there are none."""

import hashlib
import json

import jax
import numpy as np
import pytest
import safetensors.numpy
import skimage.data
import small
from small import ARCNN

from casjax.color import rgb_to_luma
from casjax.datasets import open_source
from casjax.evaluation.evaluator import evaluate
from casjax.evaluation.methods import find_method
from casjax.files import write_json
from casjax.images.codecs import compress, encode
from casjax.images.photographs import read_photograph
from casjax.models import create_model, initial_variables
from casjax.networks import manifest, pretrained
from casjax.networks.weights import save_weights
from casjax.restoration.choosing import choose_network
from casjax.restoration.options import Options
from casjax.restoration.restoring import restore_image


@pytest.fixture(scope="module")
def variables():
    return jax.device_get(initial_variables(create_model(**ARCNN), seed=3))


def test_a_finished_run_is_loaded_by_its_workdir(tmp_path, variables):
    degradation = {"lowest_quality": 5, "highest_quality": 95, "codec": "webp"}
    # Networks trained in bfloat16 are applied in float32 too, and by what this machine can do.
    trained = ARCNN | {"dtype": "bfloat16", "convolution": "onednn"}
    write_json(tmp_path / "config.json", {"model": trained, "degradation": degradation})
    save_weights(tmp_path / "weights.safetensors", variables)
    network = pretrained.load_network(str(tmp_path))
    assert (network.qualities, network.codec) == ((5, 95), "webp")
    assert network.model == create_model(**ARCNN)
    jax.tree.map(np.testing.assert_array_equal, network.variables, variables)


def test_a_run_for_another_quality_is_held_to_the_file(tmp_path):
    degradation = {"lowest_quality": 20, "highest_quality": 20}
    write_json(tmp_path / "config.json", {"model": ARCNN, "degradation": degradation})
    pixels = np.random.default_rng(0).integers(0, 256, (24, 24), np.uint8)
    for quality, held in ((20, False), (75, True)):
        file = encode(pixels, quality, codec="jpeg")
        photograph = read_photograph(file, name="noise", max_pixels=10**6)
        choice = choose_network(photograph, Options(model=str(tmp_path)))
        assert choice.consistent == held
        assert ("the network was made for quality 20" in choice.notes) == held


def test_a_network_that_ships_is_loaded_by_name_and_checked(tmp_path, monkeypatch, variables):
    monkeypatch.setattr(manifest, "FOLDER", tmp_path)
    flat = {
        "/".join(key.key for key in path): leaf.astype(np.float16)
        for path, leaf in jax.tree_util.tree_leaves_with_path(variables)
    }
    file = tmp_path / "small.safetensors"
    safetensors.numpy.save_file(flat, file)
    entry = {"file": file.name, "model": ARCNN, "qualities": [20, 20]}
    entry["sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
    (tmp_path / "manifest.json").write_text(json.dumps({"small": entry}))
    network = pretrained.load_network("small")
    kernel = network.variables["params"]["conv1"]["kernel"]
    assert kernel.dtype == np.float32
    np.testing.assert_allclose(kernel, variables["params"]["conv1"]["kernel"], rtol=1e-3, atol=1e-7)

    file.write_bytes(file.read_bytes()[:-1] + b"\0")
    with pytest.raises(ValueError, match=r"small\.safetensors: damaged"):
        pretrained.load_network("small")


@pytest.mark.parametrize(
    ("config", "message"),
    [('{"model": ', r"config\.json: damaged"), ("{}", "no degradation, model")],
)
def test_configs_that_are_torn_or_of_another_version_are_named(tmp_path, config, message):
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(ValueError, match=message):
        pretrained.load_network(str(tmp_path))


def test_only_a_file_stands_for_a_phase(tmp_path):
    workdir = tmp_path / "multiscale"
    workdir.mkdir()
    config = small.get_config()
    config.model = {"name": "arcnn"}
    write_json(workdir / "config.json", config.to_dict())
    for phase in ("multiscale", "finetune"):
        (workdir / f"{phase}.safetensors").touch()
    steps = {
        name: pretrained.describe_network(str(workdir / name))["steps"]
        for name in ("", "multiscale.safetensors", "finetune.safetensors")
    }
    assert steps[""] == steps["finetune.safetensors"] > steps["multiscale.safetensors"] > 0


def test_what_is_not_there_is_named():
    with pytest.raises(FileNotFoundError, match="nowhere: no network of that name ships"):
        pretrained.load_network("nowhere")


@pytest.mark.parametrize("name", pretrained.manifest())
def test_what_ships_restores(name):
    """A crop of a photograph that no training has seen, at the coarsest quality it is made for."""
    quality = max(10, pretrained.made_for(name).qualities[0])
    clean = np.ascontiguousarray(skimage.data.astronaut()[60:156, 170:266])
    degraded = compress(clean, quality, codec="jpeg")
    restored = restore_image(degraded, quality=quality, model=name)
    luma = rgb_to_luma(clean).astype(float)
    before, after = (np.mean((rgb_to_luma(p) - luma) ** 2) for p in (degraded, restored))
    least = {"arcnn": 0.85, "l4": 1.0, "l8": 1.1, "cascnn": 1.1}
    assert 10 * np.log10(before / after) > least[pretrained.made_for(name).options["name"]]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["arcnn-qf20", "cascnn-qf20", "l8-qf20"])
def test_what_ships_scores_on_live1_what_the_manifest_says(name, data_dir):
    entry = pretrained.manifest()[name]
    live1 = open_source("live1", images_dir=str(data_dir), seed=0)
    method = find_method(name, tile=1024, jobs=1, timeout=60)
    results = evaluate(method.restorer(20), live1, method=method.name, qualities=(20,))
    kept = [row for row in entry["scores"] if (row["dataset"], row["qf"]) == ("live1", 20)]
    for found, expected in zip(results["rows"], kept, strict=True):
        for key in ("psnr", "psnrb", "ssim", "ipsnr"):
            assert found[key] == pytest.approx(expected[key], abs=0.002)


@pytest.mark.parametrize("name", pretrained.manifest())
def test_what_ships_is_whole_and_described(name):
    entry = pretrained.manifest()[name]
    assert entry.get("baseline", False) == (entry["model"]["name"] != "cascnn")
    optional = {
        "baseline", "loss", "measure", "command", "revision", "versions", "machine", "wall_time",
        "learning_curve", "multiscale", "earlier", "mean_with",
    }  # fmt: skip
    assert entry.keys() - optional == {
        "file", "sha256", "model", "qualities", "initial_weights", "data", "cutouts", "steps",
        "date", "scores",
    }  # fmt: skip
    network = pretrained.load_network(name)
    assert 1 <= network.qualities[0] <= network.qualities[1] <= 100
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(network.variables))
    assert {row["dataset"] for row in entry["scores"]} == {"live1", "classic5"}
