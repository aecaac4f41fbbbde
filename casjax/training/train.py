"""Training and evaluation of one network as specified by a config: `train_and_evaluate`.

A run is a sequence of phases: the multi-scale loss, then fine-tuning on the full-resolution output
(Section III-C). Everything that changes over time, batches, loss weights, learning rate, is a
function of the step. So a checkpoint holds only the training state, and a stopped run resumes as if
nothing had happened.
"""

import contextlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from absl import logging
from ml_collections import ConfigDict

from casjax.datasets import ImageSource, open_source, readable_images
from casjax.evaluation import evaluator
from casjax.evaluation.methods import find_restorer
from casjax.files import readable_name, write_json
from casjax.images import write_png
from casjax.models import count_outputs, create_model, initial_variables, variable_shapes, vary
from casjax.models.convolutions import fastest_dtype
from casjax.networks.colour import is_for_colour, load_start
from casjax.networks.manifest import find_weights
from casjax.networks.provenance import PHASES
from casjax.networks.weights import require_weights, save_weights, weights_sha256
from casjax.networks.workdir import (
    CHECKPOINTS_FOLDER,
    CONFIG_FILE,
    PROFILE_FOLDER,
    RESULTS_FILE,
    WEIGHTS_FILE,
)
from casjax.training import processes
from casjax.training.checkpoints import Checkpoints
from casjax.training.compression import Compression
from casjax.training.config_rules import require_fit, require_valid
from casjax.training.feed import open_feed
from casjax.training.interruption import sigterm_stops
from casjax.training.journal import Journal, Say, status_file
from casjax.training.loop import Intervals, Steps, fit
from casjax.training.optimizer import make_optimizer
from casjax.training.phases import Phase, plan_phases
from casjax.training.profiling import profiling
from casjax.training.resuming import digest_of, resume
from casjax.training.run_record import RunRecord
from casjax.training.steps import (
    TrainState,
    everywhere,
    make_train_step,
    make_validation_step,
    on_devices,
)
from casjax.training.workplace import enter, has_checkpoint, read_config


def train_and_evaluate(
    config: ConfigDict, workdir: Path, *, profile_steps: int = 0
) -> dict[str, Any]:
    """Train a network, or resume where an earlier call stopped, and score it.

    Args:
      config: as described in `configs/base.py`.
      workdir: created if missing. Receives the files named in `networks.workdir`, and an example
        picture of each test set.
      profile_steps: the number of steps to trace for TensorBoard's profile tab.

    Returns:
      The content of ``results.json``: the results of `evaluator.evaluate` and
      ``parameters_sha256``. With several processes only the first scores and writes, and the
      others return nothing.

    Raises:
      ValueError: the config, the data or the workdir does not fit, or another run is using the
        workdir; the message says which.
      FileNotFoundError: a file named in the config is missing.
      FloatingPointError: the loss is no longer finite; the message names the step.
      InterruptedTrainingError: SIGTERM or Ctrl-C came during training; its state is saved.
      InterruptedRunError: SIGTERM came before or after it.
    """
    # Before anything is written or takes long, so that a mistake costs nothing.
    require_valid(config.to_dict())
    config = with_dtype(config, workdir)
    warn_of_slow_dtype(config)
    processes.require_agreement("config", digest_of(config.to_dict()))
    model = create_model(**config.model)
    shapes = variable_shapes(model)
    require_fit(config.to_dict(), model, outputs=count_outputs(model, shapes))
    phases, optimizer = plan(config, shapes)
    require_start(config, workdir)
    devices = choose_devices(config.devices, batch_size=config.batch_size)
    pictures = plan_pictures(config.evaluation.datasets)
    with (
        enter(workdir, config=config.to_dict(), pictures=pictures.values()),
        status_file(workdir) as say,
        sigterm_stops("preparation", training_follows=True),
    ):
        say("preparing")
        tests = [
            open_source(
                name,
                images_dir=config.data.images_dir,
                seed=config.seed,
                channels=3 if is_for_colour(model) else 1,
            )
            for name in config.evaluation.datasets
        ]
        if processes.is_first():
            for source in tests:
                require_readable(source)
        variables = train(
            config,
            model,
            shapes,
            phases,
            optimizer,
            devices,
            workdir,
            say=say,
            profile_steps=profile_steps,
        )
        with processes.first_goes_ahead("evaluation"):
            if not processes.is_first():
                return {}
            with sigterm_stops("evaluation", training_follows=False):
                say("evaluating")
                return score(config, model, variables, tests, pictures, workdir)


def with_dtype(config: ConfigDict, workdir: Path) -> ConfigDict:
    """Replace ``model.dtype="auto"`` by the actual dtype in a copy of a config.

    It is the dtype that a run in the workdir was started with, wherever it resumes, so that it
    computes the same bits; or else the fastest here. That is never bfloat16 for CAS-CNN, through
    whose layers the picture passes, but mixed: after 200 steps at quality 80 it is 0.2 dB better.

    Raises:
      ValueError: another process chose a different one.
    """
    if config.model.get("dtype") != "auto":
        return config
    begun = (has_checkpoint(workdir) and read_config(workdir / CONFIG_FILE)) or {}
    dtype = begun.get("model", {}).get("dtype") or fastest_dtype()
    if not begun and dtype == "bfloat16" and config.model.name == "cascnn":
        dtype = "mixed"
    processes.require_agreement("model.dtype", dtype)
    config = config.copy_and_resolve_references()
    config.model.dtype = dtype
    return config


def warn_of_slow_dtype(config: ConfigDict) -> None:
    """Tell whoever chose bfloat16 for CAS-CNN, or resumes in it, where float32 is faster."""
    dtype, name = config.model.get("dtype"), config.model.name
    if name == "cascnn" and dtype in ("bfloat16", "mixed") and fastest_dtype() == "float32":
        logging.warning(
            "model.dtype=%r: this processor trains CAS-CNN faster in float32, which 'auto' chooses "
            "for new runs",
            dtype,
        )


def plan(
    config: ConfigDict, shapes: Mapping[str, Any]
) -> tuple[Sequence[Phase], optax.GradientTransformation]:
    """Return the phases and the optimizer for a network with variables of these shapes.

    Raises:
      ValueError: a warm-up is longer than its phase, or the network has no layer of a name.
    """
    phases = plan_phases({name: config[name] for name in PHASES}, batch_size=config.batch_size)
    optimizer = make_optimizer(phases, config.model.get("dtype", "float32"), **config.optimizer)
    jax.eval_shape(optimizer.init, shapes["params"])
    return phases, optimizer


def require_start(config: ConfigDict, workdir: Path) -> None:
    """Check that the initial weights are there, unless a run resumes.

    Raises:
      FileNotFoundError: there are none.
      ValueError: they ship with the package and are damaged.
    """
    if config.initial_weights and not has_checkpoint(workdir):
        require_weights(find_weights(config.initial_weights))


def choose_devices(count: int, *, batch_size: int) -> list[jax.Device]:
    """Return the first ``count`` devices of each process, or all for 0.

    Raises:
      ValueError: a process has fewer, or they do not divide the batch evenly.
    """
    owned = [
        [device for device in jax.devices() if device.process_index == index]
        for index in range(jax.process_count())
    ]
    fewest = min(len(devices) for devices in owned)
    if not 0 <= count <= fewest:
        raise ValueError(f"devices={count}: there are {fewest}; 0 takes all")
    chosen = [device for devices in owned for device in devices[: count or fewest]]
    if batch_size % len(chosen):
        raise ValueError(
            f"batch_size={batch_size} does not divide by {len(chosen)} devices: "
            "choose a multiple, or fewer devices with --config.devices"
        )
    return chosen


def require_readable(source: ImageSource) -> None:
    """Check that a test set is there, before a long training: published ones may be downloaded.

    Raises:
      ValueError: none of its images can be read.
    """
    if next(readable_images(source), None) is None:
        raise ValueError(f"image source {source.name}: none of its images can be read")


def plan_pictures(datasets: Sequence[str]) -> dict[str, str]:
    """Return the file names of the pictures of test sets, by the names of the sets.

    Raises:
      ValueError: two would be the same.
    """
    pictures = {name: f"{readable_name(name)}.png" for name in datasets}
    if len(set(pictures.values())) < len(datasets):
        raise ValueError(
            f"config.evaluation.datasets={tuple(datasets)}: two of them would write the same "
            "picture, expected names that differ in letters and digits"
        )
    return pictures


def train(
    config: ConfigDict,
    model: nn.Module,
    shapes: dict[str, Any],
    phases: Sequence[Phase],
    optimizer: optax.GradientTransformation,
    devices: Sequence[jax.Device],
    workdir: Path,
    *,
    say: Say,
    profile_steps: int,
) -> dict[str, Any]:
    """Train to the end of the last phase, unless already done, and return the variables."""
    settings = config.to_dict()

    def state_of(variables: dict[str, Any]) -> TrainState:
        return TrainState(jnp.int32(0), variables, optimizer.init(variables["params"]))

    folder = workdir / CHECKPOINTS_FOLDER
    with Checkpoints(folder, config=settings, **config.checkpoints) as checkpoints:
        with processes.first_goes_ahead("resuming"):
            like = jax.eval_shape(state_of, shapes)
            state = resume(checkpoints, like, settings, workdir=workdir)
        if state is None:
            state = state_of(first_variables(config, model, shapes))
        if processes.is_first():
            write_json(workdir / CONFIG_FILE, settings)
        first_step, last_step = int(state.step), phases[-1].end_step
        if first_step == last_step:
            return jax.device_get(state.variables)

        own_devices = [d for d in devices if d.process_index == jax.process_index()]
        with processes.first_goes_ahead("preparation"):
            feed = open_feed(
                phases,
                device_count=len(own_devices),
                batch_size=config.batch_size,
                seed=config.seed,
                compression=Compression(**config.colour) if is_for_colour(model) else None,
                **config.data,
                **config.degradation,
            )
            record = RunRecord(workdir, feed.images, first_step=first_step)
        processes.require_agreement("images", str(feed.images))
        begin = f"{weights_sha256(state.variables)[:16]} at step {first_step}"
        processes.require_agreement("weights", begin)
        train_step = make_train_step(model, optimizer, phases, **config.loss)
        spread = partial(on_devices, devices=devices, parallelism=config.parallelism)
        steps = Steps(
            spread(train_step, donate_argnums=0),
            spread(make_validation_step(model)),
        )
        journal = Journal(
            workdir,
            say,
            record,
            first_step=first_step,
            last_step=last_step,
            tracker=config.tracker,
            config=settings,
        )
        profile = profiling(steps.train, workdir / PROFILE_FOLDER, count=profile_steps)
        with contextlib.closing(journal), profile as watched_step:
            state = fit(
                everywhere(state, devices, parallelism=config.parallelism),
                phases,
                steps._replace(train=watched_step),
                feed,
                Intervals(**config.loop),
                checkpoints=checkpoints,
                journal=journal,
                workdir=workdir,
            )
        return jax.device_get(state.variables)


def first_variables(config: ConfigDict, model: nn.Module, shapes: dict[str, Any]) -> dict[str, Any]:
    """Return the initial variables: those of another network, or random ones."""
    if config.initial_weights:
        return load_start(find_weights(config.initial_weights), model, shapes)
    return initial_variables(model, config.seed)


def score(
    config: ConfigDict,
    model: nn.Module,
    variables: dict[str, Any],
    tests: Sequence[ImageSource],
    pictures: Mapping[str, str],
    workdir: Path,
) -> dict[str, Any]:
    """Write a network's weights, evaluate it, and show its result on an image of each test set.

    The weights are written first, so that no later failure loses them.
    """
    save_weights(workdir / WEIGHTS_FILE, variables)
    # In float32 like all scores, whatever it was trained in.
    model = vary(model, dtype="float32")
    restorer = find_restorer(model, variables, tile=config.evaluation.tile)
    codec = config.degradation.codec
    qualities = config.evaluation.qualities or (config.quality,)
    results: dict[str, Any] = {"rows": [], "images": [], "failures": []}
    if is_for_colour(model):
        results["channels"] = 3
    for source in tests:
        scores = evaluator.evaluate(
            restorer, source, method=config.model.name, codec=codec, qualities=qualities
        )
        for part, records in scores.items():
            results[part] += records
    results["parameters_sha256"] = weights_sha256(variables)
    evaluator.write_results(workdir / RESULTS_FILE, results)
    for source in tests:
        picture = evaluator.example(restorer, source, codec=codec, quality=qualities[0])
        write_png(workdir / pictures[source.name], picture)
    return results
