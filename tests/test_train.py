"""Training as a whole: devices, resuming, phases and faults, on a network of a few weights."""

import json
import os
import re
import signal
import socket
from pathlib import Path

import jax
import numpy as np
import pytest
import safetensors.numpy
import small

from casjax import models
from casjax.images import write_png
from casjax.training import loop, resuming, train, workplace
from casjax.training.interrupted import InterruptedRunError, InterruptedTrainingError


@pytest.fixture(autouse=True)
def small_network(monkeypatch):
    monkeypatch.setitem(models.MODELS, "small", small.SmallNetwork)


@pytest.fixture(scope="module")
def cutouts_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("cutouts")


@pytest.fixture
def config(cutouts_dir):
    config = small.get_config()
    config.data.cutouts_dir = str(cutouts_dir)
    return config


def records(workdir, kind):
    lines = (Path(workdir) / "metrics.jsonl").read_text().splitlines()
    return [record for record in map(json.loads, lines) if record["kind"] == kind]


def test_two_and_four_devices_do_as_one(config, tmp_path):
    weights, losses = [], []
    for devices in (1, 2, 4):
        config.devices = devices
        workdir = tmp_path / str(devices)
        train.train_and_evaluate(config, workdir)
        weights.append(safetensors.numpy.load_file(workdir / "weights.safetensors"))
        losses.append([record["loss"] for record in records(workdir, "train")])
    for found, loss in zip(weights[1:], losses[1:], strict=True):
        assert loss == pytest.approx(losses[0], rel=1e-5)
        for name, array in weights[0].items():
            np.testing.assert_allclose(found[name], array, rtol=0, atol=1e-6)


@pytest.mark.parametrize("devices", [2, 4])
def test_shard_map_gives_the_bits_of_pmap(devices, config, tmp_path):
    config.devices = devices
    files = {}
    for parallelism in ("pmap", "shard_map"):
        config.parallelism = parallelism
        workdir = tmp_path / parallelism
        train.train_and_evaluate(config, workdir)
        names = ("multiscale.safetensors", "weights.safetensors", "metrics.jsonl")
        files[parallelism] = [(workdir / name).read_bytes() for name in names]
    assert files["shard_map"] == files["pmap"]


def test_a_stopped_run_goes_on_as_if_it_had_not_been(config, tmp_path, monkeypatch):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    expected = train.train_and_evaluate(config, whole)
    for steps in (4, 3, 2):  # within the first phase, across the border, within the second
        with monkeypatch.context() as patch:
            patch.setattr(train, "fit", stopping_after(steps))
            with pytest.raises(KeyboardInterrupt):
                train.train_and_evaluate(config, stopped)
    results = train.train_and_evaluate(config, stopped)
    assert results["parameters_sha256"] == expected["parameters_sha256"]
    assert (stopped / "metrics.jsonl").read_text() == (whole / "metrics.jsonl").read_text()
    for phase in ("multiscale", "finetune"):
        name = f"{phase}.safetensors"
        assert (stopped / name).read_bytes() == (whole / name).read_bytes()


def test_a_run_keeps_the_dtype_it_was_begun_with(config, tmp_path, monkeypatch):
    """Where the fastest one is another after an interruption: the same to the bit, in bfloat16."""
    config.model = {"name": "l4", "dtype": "auto", "convolution": "auto"}
    for phase in (config.multiscale, config.finetune):
        phase.loss_weights = (1.0,)
    monkeypatch.setattr(train, "fastest_dtype", lambda: "bfloat16")
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    expected = train.train_and_evaluate(config, whole)
    with monkeypatch.context() as patch:
        patch.setattr(train, "fit", stopping_after(4))
        with pytest.raises(KeyboardInterrupt):
            train.train_and_evaluate(config, stopped)
    assert json.loads((stopped / "config.json").read_text())["model"]["dtype"] == "bfloat16"
    monkeypatch.setattr(train, "fastest_dtype", lambda: "float32")
    results = train.train_and_evaluate(config, stopped)
    assert results["parameters_sha256"] == expected["parameters_sha256"]
    assert config.model.dtype == "auto"


@pytest.mark.parametrize(("name", "dtype"), [("cascnn", "mixed"), ("l4", "bfloat16")])
def test_no_dtype_is_chosen_that_rounds_the_picture(name, dtype, config, tmp_path, monkeypatch):
    config.model.name, config.model.dtype = name, "auto"
    monkeypatch.setattr(train, "fastest_dtype", lambda: "bfloat16")
    assert train.with_dtype(config, tmp_path).model.dtype == dtype
    monkeypatch.setattr(train, "fastest_dtype", lambda: "float32")
    assert train.with_dtype(config, tmp_path).model.dtype == "float32"


@pytest.mark.parametrize(
    ("dtype", "fastest", "warned"),
    [
        ("mixed", "float32", True),
        ("bfloat16", "float32", True),
        ("mixed", "bfloat16", False),
        ("float32", "float32", False),
    ],
)
def test_a_dtype_that_is_slow_here_is_warned_of(
    dtype, fastest, warned, config, monkeypatch, caplog
):
    config.model.name, config.model.dtype = "cascnn", dtype
    monkeypatch.setattr(train, "fastest_dtype", lambda: fastest)
    with caplog.at_level("WARNING", logger="absl"):
        train.warn_of_slow_dtype(config)
    assert ("faster in float32" in caplog.text) == warned


def test_no_dtype_is_taken_from_a_run_that_saved_nothing(config, tmp_path, monkeypatch):
    config.model.name, config.model.dtype = "cascnn", "auto"
    (tmp_path / "config.json").write_text(
        json.dumps(config.to_dict() | {"model": {"name": "cascnn", "dtype": "bfloat16"}})
    )
    monkeypatch.setattr(train, "fastest_dtype", lambda: "bfloat16")
    assert train.with_dtype(config, tmp_path).model.dtype == "mixed"
    (tmp_path / "checkpoints/8").mkdir(parents=True)
    assert train.with_dtype(config, tmp_path).model.dtype == "bfloat16"


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("finetune.warmup_steps", 10**6, "expected less than the phase's"),
        ("optimizer.slow_layers", ("A9",), "the network has no A9"),
        ("initial_weights", "nowhere", "nowhere: no weights there"),
    ],
)
def test_mistakes_leave_no_workdir(key, value, message, config, tmp_path):
    config.update_from_flattened_dict({key: value})
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        train.train_and_evaluate(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_workdir_of_a_network_without_a_dtype_tells_none(config, tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text(json.dumps({"model": {"name": "mine"}}))
    config.model.dtype = "auto"
    monkeypatch.setattr(train, "fastest_dtype", lambda: "float32")
    assert train.with_dtype(config, tmp_path).model.dtype == "float32"


def stopping_after(steps):
    """`loop.fit` that Ctrl-C ends at the begin of a step."""
    fit = train.fit

    def stopping_fit(state, phases, steps_of, feed, *rest, **others):
        last = int(state.step) + steps

        def stop(step):
            if step == last:
                raise KeyboardInterrupt

        return fit(state, phases, steps_of, Watched(feed, stop), *rest, **others)

    return stopping_fit


class Watched:
    """A `feed.Feed` that calls a function before each batch of the training."""

    def __init__(self, feed, before):
        self._feed, self._before = feed, before
        self.validation_batches = feed.validation_batches

    def batch_at(self, step):
        self._before(step)
        return self._feed.batch_at(step)


def test_a_signal_stops_after_the_step_under_way_and_saves_it(config, tmp_path, monkeypatch):
    expected = train.train_and_evaluate(config, tmp_path / "whole")
    for number, step in ((signal.SIGTERM, 2), (signal.SIGHUP, 5), (signal.SIGINT, 8)):
        with monkeypatch.context() as patch:
            patch.setattr(train, "fit", signalled_at(step, number))
            with pytest.raises(InterruptedTrainingError) as interruption:
                train.train_and_evaluate(config, tmp_path / "stopped")
        assert (interruption.value.step, interruption.value.signal) == (step + 1, number)
    results = train.train_and_evaluate(config, tmp_path / "stopped")
    assert results["parameters_sha256"] == expected["parameters_sha256"]
    assert {signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP)} == {signal.SIG_DFL}


def test_a_run_under_nohup_outlives_its_terminal(config, tmp_path, monkeypatch):
    monkeypatch.setattr(train, "fit", signalled_at(2, signal.SIGHUP))
    usual = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert "parameters_sha256" in train.train_and_evaluate(config, tmp_path)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, usual)


@pytest.mark.parametrize(("task", "function"), [("preparation", "resume"), ("evaluation", "score")])
def test_sigterm_before_and_after_the_training_stops_the_run(
    config, tmp_path, monkeypatch, task, function
):
    def signalled(*_, **__):
        os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(train, function, signalled)
        with pytest.raises(InterruptedRunError, match=f"SIGTERM: stopped during the {task}"):
            train.train_and_evaluate(config, tmp_path)
    assert "stopped: SIGTERM" in (tmp_path / "status.txt").read_text()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert "parameters_sha256" in train.train_and_evaluate(config, tmp_path)


def test_two_runs_do_not_share_a_workdir(config, tmp_path, monkeypatch):
    abandoned = tmp_path / f".{socket.gethostname()}-{2**22 + 1}-0123abcd.part"  # no such process
    abandoned.touch()
    with workplace.enter(tmp_path, config=config.to_dict(), pictures=()):
        assert not abandoned.exists()
        (tmp_path / "status.txt").write_text("step 3 of 8\n")
        with pytest.raises(ValueError, match=r"another run is using it \(step 3 of 8\)"):
            train.train_and_evaluate(config, tmp_path)
    assert (tmp_path / "status.txt").read_text() == "step 3 of 8\n"


def signalled_at(signalled_step, number):
    """`loop.fit` during whose given step a signal comes."""
    fit = train.fit

    def signalled_fit(state, phases, steps, feed, *rest, **others):
        def signal(step):
            if step == signalled_step:
                os.kill(os.getpid(), number)

        return fit(state, phases, steps, Watched(feed, signal), *rest, **others)

    return signalled_fit


def test_a_finished_run_is_only_evaluated(config, tmp_path, monkeypatch):
    first = train.train_and_evaluate(config, tmp_path)
    monkeypatch.setattr(train, "open_feed", None)  # no data is needed any more
    assert train.train_and_evaluate(config, tmp_path) == first


def test_training_learns_and_both_phases_are_recorded(config, tmp_path):
    config.multiscale.epochs = config.finetune.epochs = 12.0
    train.train_and_evaluate(config, tmp_path)
    training, validation = records(tmp_path, "train"), records(tmp_path, "validation")
    assert [r["step"] for r in validation] == list(range(4, 121, 4))
    assert {r["phase"] for r in training} == {"multiscale", "finetune"}
    assert training[-1]["loss"] == pytest.approx(training[-1]["mse"])  # the finest output alone
    assert validation[-1]["psnr"] > validation[0]["psnr"] + 1
    for record in validation:
        assert record["psnr"] == pytest.approx(-10 * np.log10(record["mse"]))


def test_the_state_is_the_same_on_every_device(config, tmp_path, monkeypatch):
    states = []
    fit = train.fit
    monkeypatch.setattr(train, "fit", lambda *a, **k: states.append(fit(*a, **k)) or states[-1])
    train.train_and_evaluate(config, tmp_path)
    for leaf in jax.tree.leaves(states[0]):
        first, *others = [np.asarray(shard.data) for shard in leaf.addressable_shards]
        assert len(others) == 3
        assert all((first == other).all() for other in others)


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_step(config, tmp_path, monkeypatch):
    make_train_step = train.make_train_step

    def make_failing_step(*arguments, **options):
        train_step = make_train_step(*arguments, **options)

        def failing_step(state, batch):
            new_state, metrics = train_step(state, batch)
            loss = jax.numpy.where(state.step + 1 == 8, jax.numpy.nan, metrics["loss"])
            return new_state, {**metrics, "loss": loss}

        return failing_step

    monkeypatch.setattr(train, "make_train_step", make_failing_step)
    config.loop.checkpoint_every = 3
    with pytest.raises(FloatingPointError, match="not finite at step 8"):
        train.train_and_evaluate(config, tmp_path)
    kept = sorted(int(path.name) for path in (tmp_path / "checkpoints").iterdir())
    assert kept[-1] == 6


def test_training_starts_from_given_weights(config, tmp_path):
    train.train_and_evaluate(config, tmp_path / "first")
    config.initial_weights = str(tmp_path / "first")
    config.multiscale.epochs = config.finetune.epochs = 0.0
    config.quality = 40
    results = train.train_and_evaluate(config, tmp_path / "second")
    first = json.loads((tmp_path / "first/results.json").read_text())
    assert results["parameters_sha256"] == first["parameters_sha256"]


def test_another_config_in_the_same_workdir_is_refused(config, tmp_path):
    train.train_and_evaluate(config, tmp_path)
    config.quality = 40
    config.loop.log_every = 1  # does not matter
    with pytest.raises(ValueError, match=r"another config: .*quality was 20 and is 40") as error:
        train.train_and_evaluate(config, tmp_path)
    assert "log_every" not in str(error.value)


def test_a_config_of_another_version_is_refused_by_its_keys(config, tmp_path):
    del config.optimizer.epsilon
    config.optimizer.momentum = 0.5
    with pytest.raises(ValueError, match="another config") as error:
        resuming.require_same(small.get_config().to_dict(), config.to_dict(), workdir=tmp_path)
    for part in ("optimizer.epsilon was 1e-08 and no longer exists", "optimizer.momentum is new"):
        assert part in str(error.value)


def damage(folder):
    for path in Path(folder, "state").rglob("manifest.ocdbt"):
        path.write_bytes(b"rubbish")


def test_a_damaged_checkpoint_costs_only_the_steps_since_the_one_before(config, tmp_path, caplog):
    expected = train.train_and_evaluate(config, tmp_path)
    damage(tmp_path / "checkpoints/10")
    caplog.clear()
    assert train.train_and_evaluate(config, tmp_path) == expected
    assert "Damaged checkpoint set aside: step 10: " in caplog.text
    assert "Going back to 9" in caplog.text
    assert list(tmp_path.glob("damaged-10-*"))
    for path in (tmp_path / "checkpoints").glob("[0-9]*"):
        damage(path)
    with pytest.raises(ValueError, match=r"no checkpoint can be read: step 10: .*; step 9: "):
        train.train_and_evaluate(config, tmp_path)
    assert "failed: no checkpoint can be read" in (tmp_path / "status.txt").read_text()


def test_the_status_says_what_the_run_does_and_why_it_stopped(config, tmp_path, monkeypatch):
    said = []
    replace = os.replace

    def noting_replace(source, target):
        if Path(target).name == "status.txt":
            said.append(Path(source).read_text())
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", noting_replace)
        train.train_and_evaluate(config, tmp_path)
    assert "preparing" in said[0]
    assert re.search(r"training: step 2 of 10, .* left; .*; next checkpoint at 3, in ", said[1])
    assert "evaluating" in said[-2]
    assert said[-1] == (tmp_path / "status.txt").read_text()
    assert said[-1].endswith(": finished\n")
    config.quality = 40
    with pytest.raises(ValueError, match="another config"):
        train.train_and_evaluate(config, tmp_path)
    assert "was started with another config" in (tmp_path / "status.txt").read_text()


def test_what_was_trained_is_on_disk_when_a_validation_fails(config, tmp_path, monkeypatch):
    expected = train.train_and_evaluate(config, tmp_path / "whole")

    def failing(*_):
        raise RuntimeError("out of memory")

    for step, weights in ((4, []), (5, ["multiscale.safetensors"])):
        with monkeypatch.context() as patch:
            patch.setattr(loop, "validate", failing)
            with pytest.raises(RuntimeError, match="out of memory"):
                train.train_and_evaluate(config, tmp_path / "failing")
        saved = [int(path.name) for path in (tmp_path / "failing/checkpoints").iterdir()]
        assert max(saved) == step
        assert [path.name for path in (tmp_path / "failing").glob("*.safetensors")] == weights
    results = train.train_and_evaluate(config, tmp_path / "failing")
    assert results["parameters_sha256"] == expected["parameters_sha256"]


def test_weights_and_scores_are_on_disk_when_a_picture_fails(config, tmp_path, monkeypatch):
    config.evaluation.datasets = ("synthetic:1",)

    def failing(*_, **__):
        raise OSError("no space left")

    for name, function, there in (
        ("evaluate", train.evaluator, ["weights.safetensors"]),
        ("write_png", train, ["results.json", "weights.safetensors"]),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(function, name, failing)
            with pytest.raises(OSError, match="no space left"):
                train.train_and_evaluate(config, tmp_path)
        names = [path.name for path in tmp_path.iterdir()]
        assert sorted({"weights.safetensors", "results.json"} & {*names}) == there


def test_flat_images_are_no_reason_to_stop(config, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for level in (127, 200):
        write_png(images / f"{level}.png", np.full((64, 64), level, np.uint8))
    config.data.sources = config.data.validation_sources = (f"folder:{images}",)
    train.train_and_evaluate(config, tmp_path / "run")
    for record in records(tmp_path / "run", "validation"):
        assert 0 < record["jpeg_psnr"] <= 100


def test_more_epochs_for_a_finished_run_the_way_is_named_and_works(config, tmp_path):
    train.train_and_evaluate(config, tmp_path / "run")
    config.finetune.epochs = 2.0
    with pytest.raises(ValueError, match=r"finetune\.epochs was 1\.0 and is 2\.0") as error:
        train.train_and_evaluate(config, tmp_path / "run")
    option = f"--config.initial_weights={tmp_path / 'run'}"
    assert f"Choose another --workdir, where {option} trains its finished network" in str(
        error.value
    )
    config.initial_weights = str(tmp_path / "run")
    config.multiscale.epochs = 0.0
    train.train_and_evaluate(config, tmp_path / "further")
    assert records(tmp_path / "further", "train")[-1]["step"] == 10


def test_a_mistake_in_the_config_leaves_nothing(config, tmp_path):
    for key, value, message in (
        ("batch_size", 16, "validation_cutouts=8"),
        ("quality", 0, "config.quality=0"),
        ("devices", 9, "devices=9: there are 4"),
    ):
        wrong = config.copy_and_resolve_references()
        wrong[key] = value
        with pytest.raises(ValueError, match=message):
            train.train_and_evaluate(wrong, tmp_path / "run")
    config.evaluation.datasets = ("folder:a/b", "folder:a-b")
    with pytest.raises(ValueError, match="two of them would write the same picture"):
        train.train_and_evaluate(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_other_images_than_those_a_run_was_begun_with_are_refused(config, tmp_path, monkeypatch):
    images = tmp_path / "images"
    images.mkdir()
    noise = np.random.default_rng(0).integers(256, size=(2, 64, 64), dtype=np.uint8)
    write_png(images / "a.png", noise[0])
    config.data.sources = (f"folder:{images}",)
    config.data.cutouts_dir = str(tmp_path / "cutouts")
    with monkeypatch.context() as patch:
        patch.setattr(train, "fit", stopping_after(4))
        with pytest.raises(KeyboardInterrupt):
            train.train_and_evaluate(config, tmp_path / "run")
    write_png(images / "a.png", noise[1])
    with pytest.raises(ValueError, match="was made from other images"):
        train.train_and_evaluate(config, tmp_path / "run")
    config.data.cutouts_dir = str(tmp_path / "others")
    with pytest.raises(ValueError, match=r"are not those that .*run was started with"):
        train.train_and_evaluate(config, tmp_path / "run")
    write_png(images / "a.png", noise[0])
    with pytest.raises(ValueError, match="was made from other images"):
        train.train_and_evaluate(config, tmp_path / "run")
    config.data.cutouts_dir = str(tmp_path / "cutouts")
    train.train_and_evaluate(config, tmp_path / "run", profile_steps=2)
    parts = json.loads((tmp_path / "run/run.json").read_text())["parts"]
    assert [(part["first_step"], part["last_step"]) for part in parts] == [(0, 4), (4, 10)]
    assert list((tmp_path / "run/profile").rglob("*.xplane.pb"))
