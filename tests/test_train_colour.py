"""Training in colour as a whole, on a network of a few weights: cut-outs, steps, what is left."""

import json

import numpy as np
import pytest
import safetensors.numpy
import small
from PIL import Image

from casjax import models
from casjax.networks.pretrained import made_for
from casjax.restoration.restoring import restore_image
from casjax.training import train
from casjax.training.config_rules import require_fit


@pytest.fixture(autouse=True)
def small_network(monkeypatch):
    monkeypatch.setitem(models.MODELS, "small", small.SmallColourNetwork)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Two pictures of smooth colours."""
    folder = tmp_path_factory.mktemp("photographs")
    y, x = np.mgrid[:96, :128]
    for i in (1, 2):
        waves = np.stack([np.sin(x / 9 + i), np.cos(y / 7 * i), np.sin((x + y) / 12)], axis=-1)
        Image.fromarray((128 + 90 * waves).astype(np.uint8)).save(folder / f"{i}.png")
    return folder


@pytest.fixture
def config(photographs, tmp_path_factory):
    config = small.get_config()
    config.model.channels = 3
    config.model.condition = 2
    config.data.cutouts_dir = str(tmp_path_factory.mktemp("cutouts"))
    config.data.sources = config.data.validation_sources = (f"folder:{photographs}",)
    config.degradation.recompress = 0.3
    return config


def test_a_run_trains_and_what_is_left_restores_in_colour(config, tmp_path, photographs):
    config.devices = 2
    config.evaluation.datasets = (f"folder:{photographs}",)
    config.evaluation.qualities = (10,)
    workdir = tmp_path / "run"
    results = train.train_and_evaluate(config, workdir)
    assert results["channels"] == 3
    assert [row["method"] for row in results["rows"]] == ["jpeg", "small"]
    assert abs(results["rows"][1]["ipsnr"]) < 1
    [picture] = workdir.glob("*.png")
    assert np.asarray(Image.open(picture)).shape == (96, 3 * 128 + 2 * 4, 3)
    records = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    losses = [record["loss"] for record in records if record["kind"] == "train"]
    assert np.isfinite(losses).all()
    [first, *_, last] = [record for record in records if record["kind"] == "validation"]
    assert first["jpeg_psnr"] == last["jpeg_psnr"]
    assert 20 < last["psnr"] < 60

    weights = safetensors.numpy.load_file(workdir / "weights.safetensors")
    assert weights["params/Conv_0/kernel"].shape == (3, 3, 5, 3)
    assert made_for(str(workdir)).is_for_colour
    picture = np.asarray(Image.open(photographs / "1.png"))
    restored = restore_image(picture, quality=20, model=str(workdir))
    coarse = restore_image(picture, quality=5, model=str(workdir))
    assert restored.shape == picture.shape
    assert (restored != coarse).any()  # the network is told the quality


def test_two_devices_do_as_one(config, tmp_path):
    weights = []
    for devices in (1, 2):
        config.devices = devices
        train.train_and_evaluate(config, tmp_path / str(devices))
        weights.append(safetensors.numpy.load_file(tmp_path / str(devices) / "weights.safetensors"))
    for name, array in weights[0].items():
        np.testing.assert_allclose(weights[1][name], array, rtol=0, atol=1e-6)


def test_networks_for_colour_are_told_two_numbers_of_jpegs(config):
    model = small.SmallColourNetwork(condition=3)
    with pytest.raises(ValueError, match=r"config.model.condition=3: expected 2 in colour"):
        require_fit(config.to_dict(), model, outputs=2)
    for channels, condition, said in ((2, 2, "channels=2: expected 1"), (1, 2, "condition=2: exp")):
        model = small.SmallColourNetwork(channels=channels, condition=condition)
        with pytest.raises(ValueError, match=f"config.model.{said}"):
            require_fit(config.to_dict(), model, outputs=2)
    config.degradation.codec = "webp"
    with pytest.raises(ValueError, match=r"config.degradation.codec='webp': expected 'jpeg'"):
        require_fit(config.to_dict(), small.SmallColourNetwork(), outputs=2)
