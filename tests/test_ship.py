"""Shipping a run: its facts, its scores, and that nothing is written before all is there."""

import json

import jax
import numpy as np
import pytest
import safetensors.numpy
import small
from PIL import Image
from small import ARCNN

from casjax import models
from casjax.datasets import open_source
from casjax.datasets.published import TEST_SETS, published_files
from casjax.evaluation import evaluator
from casjax.models import create_model, initial_variables
from casjax.networks.inference import make_restorer
from casjax.networks.weights import save_weights, weights_sha256
from casjax.training.run_record import RunRecord
from configs import base
from launch import ship


@pytest.fixture(scope="module")
def images_dir(tmp_path_factory):
    """Small pictures under the names of the test sets."""
    folder = tmp_path_factory.mktemp("images")
    generator = np.random.default_rng(0)
    for test_set in TEST_SETS:
        for file in published_files(test_set):
            path = (folder / test_set / file.name).with_suffix(".png")
            path.parent.mkdir(exist_ok=True)
            ramp = np.add.outer(np.arange(16), np.arange(16)) * 4
            Image.fromarray(np.uint8(ramp + generator.integers(40, size=(16, 16)))).save(path)
    return str(folder)


def config_of(quality):
    config = base.get_config()
    config.quality = quality
    nested = config.to_dict() | {"model": ARCNN}
    nested["multiscale"] |= {"epochs": 2.0, "cutouts": 100, "loss_weights": [1.0]}
    nested["finetune"] |= {"epochs": 1.0, "cutouts": 100, "loss_weights": [1.0]}
    return nested


@pytest.fixture
def run(tmp_path):
    """A workdir as an old version left it: config, metrics and weights."""
    workdir = tmp_path / "run"
    workdir.mkdir()
    (workdir / "config.json").write_text(json.dumps(config_of(20)))
    record = {"kind": "validation", "psnr": 30.5, "jpeg_psnr": 29.5}
    lines = [json.dumps(record | {"step": step}) + "\n" for step in (5, 10, 15)]
    (workdir / "metrics.jsonl").write_text("".join(lines))
    save_weights(workdir / "weights.safetensors", variables(3))
    return workdir


@pytest.fixture
def shipped(tmp_path):
    folder = tmp_path / "shipped"
    folder.mkdir()
    (folder / "manifest.json").write_text("{}")
    return folder


def variables(seed):
    return jax.device_get(initial_variables(create_model(**ARCNN), seed))


def manifest(folder):
    return json.loads((folder / "manifest.json").read_text())


def command(run, shipped, images_dir, *options, name="arcnn-qf20"):
    places = [f"--into={shipped}", f"--images-dir={images_dir}"]
    ship.main([str(run), f"--name={name}", "--data=noise", *places, *options])
    return manifest(shipped)[name]


def test_an_old_run_ships_with_what_is_known_of_it(run, shipped, images_dir):
    entry = command(run, shipped, images_dir, "--wall-time=6180", "--machine=Zen 4, 2 cores")
    assert entry["learning_curve"] == [[100, 1.0], [200, 1.0], [300, 1.0]]
    assert (entry["steps"], entry["cutouts"], entry["loss"]) == (15, 300, "output")
    assert (entry["wall_time"], entry["machine"]) == (6180, "Zen 4, 2 cores")
    assert entry["baseline"]
    assert not {"command", "revision", "multiscale", "earlier"} & entry.keys()
    halved = safetensors.numpy.load_file(shipped / "arcnn-qf20.safetensors")
    assert {array.dtype.name for array in halved.values()} == {"float16"}

    nested = jax.tree.map(lambda x: x.astype(np.float16).astype(np.float32), variables(3))
    restorer = make_restorer(create_model(**ARCNN), nested, tile=1024)
    source = open_source("live1", images_dir=images_dir, seed=0)
    rows = evaluator.evaluate(restorer, source, method="arcnn", qualities=[20])["rows"]
    for row, found in zip(rows, entry["scores"], strict=False):
        assert found.items() >= {key: row[key] for key in (*ship.KEPT, "ssim")}.items()
    assert [row["dataset"] for row in entry["scores"]] == ["live1"] * 2 + ["classic5"] * 2


def test_a_network_for_colour_is_scored_in_luma_and_in_rgb(
    run, shipped, images_dir, monkeypatch, capsys
):
    class WithDtype(small.SmallColourNetwork):
        dtype: str = "float32"

    monkeypatch.setitem(models.MODELS, "small", WithDtype)
    model = {"name": "small", "channels": 3, "condition": 2}
    (run / "config.json").write_text(json.dumps(config_of(20) | {"model": model}))
    save_weights(
        run / "weights.safetensors", jax.device_get(initial_variables(create_model(**model), 3))
    )
    entry = command(run, shipped, images_dir, name="small-colour")
    luma, colour = entry["scores"][:4], entry["scores"][4:]
    assert [row["dataset"] for row in luma] == ["live1"] * 2 + ["classic5"] * 2
    assert [(row["dataset"], row["method"]) for row in colour] == [
        ("live1", "jpeg"),
        ("live1", "small"),
    ]
    assert all("ssim" in row and "channels" not in row for row in luma)
    assert all(row["channels"] == 3 and 0 < row["ssim_gaussian"] <= 1 for row in colour)
    assert colour[1]["ipsnr"] == pytest.approx(colour[1]["psnr"] - colour[0]["psnr"])
    assert colour[1]["ipsnr_se"] > 0
    assert colour[1]["ipsnr_min"] < colour[1]["ipsnr"] < colour[1]["ipsnr_max"]
    assert "live1 at 20, small in RGB: " in capsys.readouterr().out


def test_a_run_tells_how_it_was_made_and_what_it_was_before_fine_tuning(run, shipped, images_dir):
    RunRecord(run, [], first_step=0).update(15)
    config = config_of(20)
    config["multiscale"]["loss_weights"] = [0.5, 0.5]
    (run / "config.json").write_text(json.dumps(config))
    save_weights(run / "multiscale.safetensors", variables(4))
    entry = command(run, shipped, images_dir)
    assert {"command", "revision", "versions", "machine", "wall_time"} <= entry.keys()
    before = entry["multiscale"]
    assert (before["loss"], before["cutouts"]) == ("multi-scale", 200)
    assert before["scores"][0] == entry["scores"][0]  # JPEG's own
    assert before["scores"][1] != entry["scores"][1]
    assert sorted(path.name for path in shipped.iterdir()) == [
        "arcnn-qf20.safetensors",
        "manifest.json",
    ]


def test_a_run_by_the_multiscale_loss_is_only_scored(run, shipped, images_dir, tmp_path, capsys):
    alone = config_of(20)
    alone["multiscale"]["loss_weights"] = [0.5, 0.5]
    alone["finetune"]["epochs"] = 0.0
    other = tmp_path / "alone"
    other.mkdir()
    (other / "config.json").write_text(json.dumps(alone))
    save_weights(other / "weights.safetensors", variables(4))
    with pytest.raises(SystemExit):
        command(other, shipped, images_dir, "--multiscale")
    assert "no arcnn-qf20 ships yet" in capsys.readouterr().err
    first = command(run, shipped, images_dir)
    with pytest.raises(SystemExit):
        command(run, shipped, images_dir, "--multiscale")
    assert "expected a run whose loss is multi-scale" in capsys.readouterr().err

    entry = command(other, shipped, images_dir, "--multiscale")
    told = entry.pop("multiscale")
    assert entry == first
    assert (told["loss"], told["steps"], told["cutouts"]) == ("multi-scale", 10, 200)
    assert told["scores"][1]["psnr"] != entry["scores"][1]["psnr"]
    assert command(run, shipped, images_dir)["multiscale"] == told  # kept


def test_trainings_under_one_name_are_all_remembered(run, shipped, images_dir):
    first = command(run, shipped, images_dir)
    config = config_of(20) | {"initial_weights": "arcnn-qf20"}
    (run / "config.json").write_text(json.dumps(config))
    save_weights(run / "weights.safetensors", variables(5))
    for _ in range(2):  # again changes nothing
        entry = command(run, shipped, images_dir)
        [before] = entry["earlier"]
        assert before["cutouts"] == first["cutouts"]
        assert before["learning_curve"] == first["learning_curve"]


@pytest.mark.parametrize(
    ("start", "name"),
    [
        ("cascnn-qf20", "cascnn-qf20"),
        ("runs/qf20", "qf20"),
        ("runs/qf20/weights.safetensors", "qf20"),
        ("runs/qf20/multiscale.safetensors", "qf20/multiscale"),
        ("weights/mine.safetensors", "mine.safetensors"),
    ],
)
def test_a_start_is_named_by_what_tells_it_from_others(start, name):
    assert ship.name_of(start) == name


def test_mistakes_are_said_in_a_line_and_nothing_is_written(run, shipped, images_dir, capsys):
    command(run, shipped, images_dir)
    before = {path.name: path.read_bytes() for path in shipped.iterdir()}
    save_weights(run / "weights.safetensors", variables(6))
    (run / "config.json").write_text(json.dumps(config_of(40)))
    broken = jax.tree.map(lambda leaf: leaf * np.nan, variables(6))
    for name, change, message in (
        ("arcnn-qf20", None, "it is a arcnn for [20, 20], and this is a arcnn for [40, 40]"),
        ("../arcnn", None, "--name ../arcnn: expected lower-case letters"),
        ("arcnn-qf40", broken, "not finite"),
    ):
        if change:
            save_weights(run / "weights.safetensors", change)
        with pytest.raises(SystemExit) as leaving:
            command(run, shipped, images_dir, name=name)
        assert leaving.value.code == 2
        assert message in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in shipped.iterdir()} == before
    assert weights_sha256(variables(6)) != weights_sha256(variables(3))


def test_the_mean_of_several_trainings_may_ship(run, shipped, images_dir, tmp_path):
    command(run, shipped, images_dir)
    save_weights(tmp_path / "other" / "weights.safetensors", variables(5))
    entry = command(run, shipped, images_dir, "--mean-with", str(tmp_path / "other"))
    assert entry["mean_with"] == ["other"]
    (tmp_path / "other" / "config.json").write_text(json.dumps(config_of(20)))
    assert ship.in_words(str(tmp_path / "other")).startswith("other (300 cut-outs from ")
    found = safetensors.numpy.load_file(shipped / entry["file"])["params/conv1/kernel"]
    each = [variables(seed)["params"]["conv1"]["kernel"] for seed in (3, 5)]
    np.testing.assert_allclose(found, np.mean(each, axis=0), rtol=1e-3, atol=1e-6)
    with pytest.raises(SystemExit, match="2"):
        command(run, shipped, images_dir, "--mean-with", "nowhere")
