"""Checkpoints and weights: what is written comes back, and what is wrong is named."""

import functools
import hashlib
import json
import multiprocessing
import os
import time
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from casjax.networks.weights import load_weights, save_weights, weights_sha256
from casjax.networks.workdir import WEIGHTS_FILE
from casjax.training.checkpoints import Checkpoints, DamagedCheckpointError

VARIABLES = {"params": {"A1": {"kernel": np.arange(6.0, dtype=np.float32).reshape(2, 3)}}}
CONFIG = {"quality": 20, "data": {"sources": ("live1",)}}
open_checkpoints = functools.partial(Checkpoints, config=CONFIG, newest_kept=2)


def state(value):
    return {"step": jnp.int32(value), "variables": {"w": jnp.full((3,), value, jnp.float32)}}


def test_the_newest_checkpoint_comes_back_with_its_config(tmp_path):
    with open_checkpoints(tmp_path) as checkpoints:
        assert checkpoints.steps() == []
        for step in (1, 2):
            checkpoints.save(step, state(step), metrics=None)
    with open_checkpoints(tmp_path) as checkpoints:
        assert checkpoints.steps() == [2, 1]
        restored, config = checkpoints.restore(2, state(0)), checkpoints.config(2)
    assert restored["step"] == 2
    np.testing.assert_array_equal(restored["variables"]["w"], [2, 2, 2])
    assert config == json.loads(json.dumps(CONFIG))


def test_the_newest_and_the_best_are_kept(tmp_path):
    scores = {1: 30.0, 2: 31.0, 3: 29.0, 4: 28.0, 5: None}
    with open_checkpoints(tmp_path) as checkpoints:
        for step, psnr in scores.items():
            metrics = None if psnr is None else {"psnr": psnr}
            checkpoints.save(step, state(step), metrics=metrics)
    assert sorted(int(path.name) for path in tmp_path.iterdir()) == [2, 4, 5]


def test_what_an_interrupted_save_left_is_no_checkpoint(tmp_path):
    with open_checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, state(1), metrics=None)
    torn = tmp_path / "2.orbax-checkpoint-tmp"
    torn.mkdir()
    with open_checkpoints(tmp_path) as checkpoints:
        assert checkpoints.steps() == [1]
        checkpoints.save(2, state(2), metrics=None)
    with open_checkpoints(tmp_path) as checkpoints:
        assert checkpoints.steps() == [2, 1]


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def turn_a_bit(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


# What Orbax has begun to read when it finds the damage.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("damage", [Path.unlink, cut, turn_a_bit])
@pytest.mark.parametrize("part", ["config/metadata", "state/_METADATA", "state/d/*"])
def test_damage_is_found(tmp_path, part, damage):
    noise = np.random.default_rng(0).standard_normal((100, 100)).astype(np.float32)
    with open_checkpoints(tmp_path / "all") as checkpoints:
        for step in (1, 2):
            checkpoints.save(step, {"w": noise + step}, metrics=None)
    [*files] = (tmp_path / "all/2").glob(part)
    assert files
    for file in files:
        damage(file)
    with open_checkpoints(tmp_path / "all") as checkpoints:
        with pytest.raises(DamagedCheckpointError, match="step 2: ") as error:
            checkpoints.restore(2, {"w": noise})
        assert "\n" not in str(error.value)
        checkpoints.set_aside(2)
        assert checkpoints.steps() == [1]
        np.testing.assert_array_equal(checkpoints.restore(1, {"w": noise})["w"], noise + 1)
        checkpoints.save(2, {"w": noise + 2}, metrics=None)
    assert [path.name[:10] for path in tmp_path.glob("damaged*")] == ["damaged-2-"]


def test_a_config_with_another_value_is_damage(tmp_path):
    with open_checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, state(1), metrics=None)
    [file] = tmp_path.glob("1/config/metadata")
    assert file.read_text().count('"quality": 20') == 1
    file.write_text(file.read_text().replace('"quality": 20', '"quality": 21'))
    with (
        open_checkpoints(tmp_path) as checkpoints,
        pytest.raises(DamagedCheckpointError, match="step 1: its bits are not those"),
    ):
        checkpoints.config(1)


def large(step):
    """A state that takes some time to write."""
    return {"step": jnp.int32(step), "w": np.random.default_rng(step).random((200, 1000))}


def save_until_killed(folder, begun_at, finished):
    with open_checkpoints(folder) as checkpoints:
        [step, *_] = checkpoints.steps() or [0]
        if step:
            restored = checkpoints.restore(step, large(0))
            np.testing.assert_array_equal(restored["w"], large(step)["w"])
        begun_at.value = step
        while True:
            step += 1
            checkpoints.save(step, large(step), metrics=None)
            finished.value = step - 1  # a save waits for the one before it


@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=pytest.mark.slow)])
def test_kills_lose_no_finished_checkpoint(tmp_path, monkeypatch, kills):
    tests = Path(__file__).parent
    monkeypatch.setenv("PYTHONPATH", f"{tests.parent}{os.pathsep}{tests}")
    context = multiprocessing.get_context("forkserver")  # which imports everything only once
    context.set_forkserver_preload(["test_checkpoint"])
    delays = np.random.default_rng(0).uniform(0, 0.4, kills)
    begun_at, finished = context.Value("q", -1), context.Value("q", 0)
    torn = 0
    for kill, delay in enumerate(delays):
        begun_at.value = -1
        child = context.Process(
            target=save_until_killed, args=(tmp_path / "all", begun_at, finished)
        )
        child.start()
        finished_before = finished.value
        # Every other one is killed after a save at the earliest, so that there is progress.
        while begun_at.value < 0 or (kill % 2 == 0 and finished.value <= begun_at.value):
            assert child.is_alive(), f"no resuming after step {finished.value}"
            time.sleep(0.001)
        assert begun_at.value >= finished_before
        time.sleep(delay)
        child.kill()
        child.join()
        torn += any("tmp" in path.name for path in (tmp_path / "all").iterdir())
    print(f"{kills} kills, {torn} in the midst of a save, up to step {finished.value}")
    assert torn or kills < 50
    with open_checkpoints(tmp_path / "all") as checkpoints:
        assert checkpoints.steps()[0] >= finished.value > 0


def test_weights_come_back_from_a_file_or_a_workdir(tmp_path):
    save_weights(tmp_path / WEIGHTS_FILE, VARIABLES)
    for path in (tmp_path, tmp_path / WEIGHTS_FILE):
        loaded = load_weights(path, VARIABLES)
        np.testing.assert_array_equal(
            loaded["params"]["A1"]["kernel"], VARIABLES["params"]["A1"]["kernel"]
        )
    assert [path.name for path in tmp_path.iterdir()] == [WEIGHTS_FILE]


def test_half_precision_weights_are_widened(tmp_path):
    kernel = VARIABLES["params"]["A1"]["kernel"]
    safetensors.numpy.save_file({"params/A1/kernel": kernel.astype(np.float16)}, tmp_path / "w")
    loaded = load_weights(tmp_path / "w", VARIABLES)["params"]["A1"]["kernel"]
    assert loaded.dtype == np.float32
    np.testing.assert_array_equal(loaded, kernel)


def test_weights_of_another_network_are_refused_by_name(tmp_path):
    other = {
        "params": {"A1": {"kernel": np.zeros((3, 3), np.float32)}, "B1": {"bias": np.zeros(1)}}
    }
    like = VARIABLES | {"batch_stats": {"mean": np.zeros(1)}}
    save_weights(tmp_path / "w", other)
    with pytest.raises(ValueError, match="weights of another network") as error:
        load_weights(tmp_path / "w", like)
    for part in (
        "missing batch_stats/mean",
        "unexpected params/B1/bias",
        "params/A1/kernel is (3, 3), not (2, 3)",
    ):
        assert part in str(error.value)


def test_weights_that_are_not_finite_are_refused_by_name(tmp_path):
    save_weights(tmp_path / "w", {"params": {"A1": {"kernel": np.full((2, 3), np.nan)}}})
    with pytest.raises(ValueError, match=r"w: .* not finite in params/A1/kernel"):
        load_weights(tmp_path / "w", VARIABLES)


def test_missing_and_damaged_weights_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing: no weights there"):
        load_weights(tmp_path / "nothing", VARIABLES)
    (tmp_path / "damaged").write_bytes(b"\x08" + bytes(7) + b"not json")
    with pytest.raises(ValueError, match="damaged: not a readable safetensors file"):
        load_weights(tmp_path / "damaged", VARIABLES)


def test_sha256_is_that_of_names_and_bytes():
    kernel = VARIABLES["params"]["A1"]["kernel"]
    expected = hashlib.sha256(b"params/A1/kernel float32 (2, 3)\n" + kernel.tobytes()).hexdigest()
    assert weights_sha256(VARIABLES) == expected
    changed = {"params": {"A1": {"kernel": np.nextafter(kernel, 9)}}}
    assert weights_sha256(changed) != expected
