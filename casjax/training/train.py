"""Training and evaluation of one network as a config says: `train_and_evaluate`.

A run is a row of phases: the multi-scale loss, then fine-tuning on the full-resolution output
(Section III-C). Whatever changes on the way, batches, loss weights, learning rate, is a function
of the step. So a checkpoint holds no more than the training state, and a run that was stopped
goes on as if nothing had happened.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from casjax.datasets import ImageSource, open_source
from casjax.evaluation import evaluator
from casjax.files import held, readable_name, remove_abandoned
from casjax.images import write_png
from casjax.models import create_model, initial_variables
from casjax.networks import inference
from casjax.networks.manifest import find_weights
from casjax.networks.weights import load_weights, save_weights, weights_sha256
from casjax.networks.workdir import CONFIG_FILE, WEIGHTS_FILE, save_config
from casjax.training import processes
from casjax.training.batches import Batches
from casjax.training.checkpoints import Checkpoints
from casjax.training.cutouts import cutouts_file_name, load_cutouts
from casjax.training.interruption import sigterm_stops
from casjax.training.journal import Say, read_status, status_file
from casjax.training.loop import Batch, fit
from casjax.training.optimizer import make_optimizer
from casjax.training.phases import Phase, phase_at, plan_phases
from casjax.training.resuming import resume
from casjax.training.steps import (
    TrainState,
    everywhere,
    make_train_step,
    make_validation_step,
    on_devices,
)


def train_and_evaluate(config: ConfigDict, workdir: Path) -> dict[str, Any]:
    """Train a network, or go on where an earlier call stopped, and score it.

    Args:
      config: as `configs/base.py` describes it.
      workdir: made if need be. Receives ``checkpoints/``, ``metrics.jsonl``, ``tensorboard/``,
        ``status.txt``, ``weights.safetensors``, such a file for each phase, and ``results.json``.

    Returns:
      What ``results.json`` holds: the results of `evaluator.evaluate` and
      ``parameters_sha256``. Of several processes the first alone scores and writes, and the
      others return nothing.

    Raises:
      ValueError: the config, the data or the workdir does not fit, or another run is at work
        there; the message says which.
      FileNotFoundError: a file that the config names is not there.
      FloatingPointError: the loss is not finite any more; the message names the step.
      InterruptedTrainingError: SIGTERM or Ctrl-C came during the training; its state is saved.
      InterruptedRunError: SIGTERM came before or after it.
    """
    with (
        enter(workdir),
        status_file(workdir) as say,
        sigterm_stops("preparation", training_follows=True),
    ):
        say("preparing")
        # Before the training and not after it, so that a mistake in them costs no training.
        tests = [
            open_source(name, images_dir=config.data.images_dir, seed=config.seed)
            for name in config.evaluation.datasets
        ]
        model = create_model(**config.model)
        variables = train(config, model, workdir, say=say)
        with processes.first_goes_ahead("evaluation"):
            if not processes.is_first():
                return {}
            with sigterm_stops("evaluation", training_follows=False):
                say("evaluating")
                return score(
                    model,
                    variables,
                    workdir,
                    tests,
                    name=config.model.name,
                    codec=config.degradation.codec,
                    qualities=config.evaluation.qualities or (config.quality,),
                    tile=config.evaluation.tile,
                )


@contextlib.contextmanager
def enter(workdir: Path) -> Iterator[None]:
    """Make the workdir of a run, and hold it against other runs until the block ends.

    Raises:
      ValueError: another run is at work there.
    """
    with contextlib.ExitStack() as until_the_end:
        with processes.first_goes_ahead("entrance"):
            workdir.mkdir(parents=True, exist_ok=True)
            if processes.is_first():
                try:
                    until_the_end.enter_context(held(workdir))
                except BlockingIOError as error:
                    raise ValueError(
                        f"{workdir}: another run is at work there ({read_status(workdir)}): wait "
                        "for its end, or choose another --workdir"
                    ) from error
                remove_abandoned(workdir)
        yield


def train(config: ConfigDict, model: nn.Module, workdir: Path, *, say: Say) -> dict[str, Any]:
    """Train to the end of the last phase, or restore what did, and give the network's variables."""
    devices = choose_devices(config.devices, batch_size=config.batch_size)
    local_devices = [device for device in devices if device.process_index == jax.process_index()]
    sections = {"multiscale": config.multiscale, "finetune": config.finetune}
    phases = plan_phases(sections, batch_size=config.batch_size)
    optimizer = make_optimizer(phases, **config.optimizer)

    def state_of(variables: dict[str, Any]) -> TrainState:
        return TrainState(jnp.int32(0), variables, optimizer.init(variables["params"]))

    with Checkpoints(workdir / "checkpoints", **config.checkpoints) as checkpoints:
        # Shapes alone, because computing and compiling the initial values takes a while.
        like = jax.eval_shape(lambda: state_of(initial_variables(model, config.seed)))
        with processes.first_goes_ahead("resuming"):
            state = resume(checkpoints, like, config)
        if processes.is_first():
            save_config(workdir / CONFIG_FILE, config.to_dict())
        if state is None and config.initial_weights:
            state = state_of(load_weights(find_weights(config.initial_weights), like.variables))
        if state is None or state.step < phases[-1].end_step:
            with processes.first_goes_ahead("preparation"):
                batch_at, validation_batches = open_batches(
                    phases,
                    device_count=len(local_devices),
                    batch_size=config.batch_size,
                    seed=config.seed,
                    **config.data,
                    **config.degradation,
                )
            if state is None:
                state = state_of(initial_variables(model, config.seed))
            begin = f"{weights_sha256(state.variables)[:16]} at step {int(state.step)}"
            processes.require_agreement("weights", begin)
            state = fit(
                everywhere(state, local_devices),
                phases,
                train_step=on_devices(
                    make_train_step(model, optimizer, phases, **config.loss),
                    devices,
                    donate_argnums=0,
                ),
                validation_step=on_devices(make_validation_step(model), devices),
                batch_at=batch_at,
                validation_batches=validation_batches,
                save=partial(checkpoints.save, config=config.to_dict()),
                say=say,
                workdir=workdir,
                **config.loop,
            )
    return jax.device_get(state.network)


def choose_devices(count: int, *, batch_size: int) -> list[jax.Device]:
    """The first ``count`` devices of each process, or all for 0.

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
            "choose a multiple, or fewer devices by --config.devices"
        )
    return chosen


def open_batches(
    phases: Sequence[Phase],
    *,
    device_count: int,
    batch_size: int,
    seed: int,
    sources: Sequence[str],
    validation_sources: Sequence[str],
    validation_cutouts: int,
    images_dir: str,
    cutouts_dir: str,
    cutout_size: int,
    augment: bool,
    codec: str,
    lowest_quality: int,
    highest_quality: int,
) -> tuple[Callable[[int], Batch], Callable[[], Iterator[Batch]]]:
    """The training batch of any step, and the batches of a validation, split over devices.

    Each array of a batch is ``[device_count, batch_size / device_count, ...]``; see
    `batches.Batches.at`. Validation leaves out what does not fill a batch.
    """

    def load(names: Sequence[str], count: int) -> np.ndarray:
        contents: dict[str, Any] = {"count": count, "size": cutout_size, "seed": seed}
        path = Path(cutouts_dir, cutouts_file_name(names, **contents))
        return load_cutouts(path, names, images_dir=images_dir, **contents)

    batches = partial(
        Batches,
        batch_size=batch_size,
        seed=seed,
        codec=codec,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
    )
    training = partial(
        batches,
        cutouts=load(sources, max(phase.cutouts for phase in phases)),
        augment=augment,
        qualities=(lowest_quality, highest_quality),
    )
    validation = batches(
        cutouts=load(validation_sources, validation_cutouts),
        augment=False,
        qualities=(lowest_quality, highest_quality),
        stream=0,
    )
    of_phase = {phase: training(stream=i) for i, phase in enumerate(phases)}

    def split(batch: Batch) -> Batch:
        return {name: x.reshape(device_count, -1, *x.shape[1:]) for name, x in batch.items()}

    def batch_at(step: int) -> Batch:
        phase = phase_at(phases, step)
        return split(of_phase[phase].at(step - phase.first_step, count=phase.cutouts))

    def validation_batches() -> Iterator[Batch]:
        for step in range(validation_cutouts // batch_size):
            yield split(validation.at(step, count=validation_cutouts))

    return batch_at, validation_batches


def score(
    model: nn.Module,
    variables: dict[str, Any],
    workdir: Path,
    tests: Sequence[ImageSource],
    *,
    name: str,
    codec: str,
    qualities: Sequence[int],
    tile: int,
) -> dict[str, Any]:
    """Evaluate a network; write weights, results and, of each test set, an example to look at."""
    save_weights(workdir / WEIGHTS_FILE, variables)
    restorer = inference.make_restorer(model, variables, tile=tile)
    results: dict[str, Any] = {"rows": [], "images": []}
    for source in tests:
        scores = evaluator.evaluate(restorer, source, method=name, codec=codec, qualities=qualities)
        results["rows"] += scores["rows"]
        results["images"] += scores["images"]
        picture = evaluator.example(restorer, source, codec=codec, quality=qualities[0])
        write_png(workdir / f"{readable_name(source.name)}.png", picture)
    results["parameters_sha256"] = weights_sha256(variables)
    evaluator.write_results(workdir / "results.json", results)
    return results
