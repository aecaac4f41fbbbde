"""Checkpoints and weights: what is written comes back, and what is wrong is named."""

import hashlib
import json

import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from casjax.checkpoint import (
    WEIGHTS_FILE,
    Checkpoints,
    load_weights,
    save_weights,
    weights_sha256,
)

VARIABLES = {"params": {"A1": {"kernel": np.arange(6.0, dtype=np.float32).reshape(2, 3)}}}
CONFIG = {"quality": 20, "data": {"sources": ("live1",)}}


def state(value):
    return {"step": jnp.int32(value), "variables": {"w": jnp.full((3,), value, jnp.float32)}}


def test_the_newest_checkpoint_comes_back_with_its_config(tmp_path):
    with Checkpoints(tmp_path, newest_kept=2) as checkpoints:
        assert checkpoints.latest_step() is None
        for step in (1, 2):
            checkpoints.save(step, state(step), metrics=None, config=CONFIG)
    with Checkpoints(tmp_path, newest_kept=2) as checkpoints:
        assert checkpoints.latest_step() == 2
        restored, config = checkpoints.restore(2, state(0))
    assert restored["step"] == 2
    np.testing.assert_array_equal(restored["variables"]["w"], [2, 2, 2])
    assert config == json.loads(json.dumps(CONFIG))


def test_the_newest_and_the_best_are_kept(tmp_path):
    scores = {1: 30.0, 2: 31.0, 3: 29.0, 4: 28.0, 5: None}
    with Checkpoints(tmp_path, newest_kept=2) as checkpoints:
        for step, psnr in scores.items():
            metrics = None if psnr is None else {"psnr": psnr}
            checkpoints.save(step, state(step), metrics=metrics, config=CONFIG)
    assert sorted(int(path.name) for path in tmp_path.iterdir()) == [2, 4, 5]


def test_what_an_interrupted_save_left_is_no_checkpoint(tmp_path):
    with Checkpoints(tmp_path, newest_kept=2) as checkpoints:
        checkpoints.save(1, state(1), metrics=None, config=CONFIG)
    torn = tmp_path / "2.orbax-checkpoint-tmp"
    torn.mkdir()
    with Checkpoints(tmp_path, newest_kept=2) as checkpoints:
        assert checkpoints.latest_step() == 1
        checkpoints.save(2, state(2), metrics=None, config=CONFIG)
    with Checkpoints(tmp_path, newest_kept=2) as checkpoints:
        assert checkpoints.latest_step() == 2


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
