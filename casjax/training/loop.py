"""The training loop: steps, and what is logged, checked and saved on the way."""

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import jax
import numpy as np

from casjax.networks.weights import save_weights
from casjax.training import processes
from casjax.training.interruption import InterruptedTrainingError, StopRequest
from casjax.training.journal import Journal, Say
from casjax.training.phases import Phase, phase_at
from casjax.training.steps import Metrics, TrainState

Batch = Mapping[str, np.ndarray]


class Save(Protocol):
    """Writes a checkpoint, as `checkpoints.Checkpoints.save` does."""

    def __call__(self, step: int, state: Any, *, metrics: Mapping[str, float] | None) -> None:
        """``metrics`` are those of the validation at this step, if there was one."""


def fit(
    state: TrainState,
    phases: Sequence[Phase],
    *,
    train_step: Callable[[TrainState, Batch], tuple[TrainState, Metrics]],
    validation_step: Callable[[dict[str, Any], Batch], Metrics],
    batch_at: Callable[[int], Batch],
    validation_batches: Callable[[], Iterator[Batch]],
    save: Save,
    say: Say,
    workdir: Path,
    log_every: int,
    validate_every: int,
    checkpoint_every: int,
) -> TrainState:
    """Train from ``state`` to the end of the last phase.

    Logs, validates and saves every so many steps and at the end of each phase, whose weights go
    to ``workdir/PHASE.safetensors`` too. Nothing is saved before the losses since the last time
    have been found finite.

    Args:
      state: where to begin.
      phases: what to go through.
      train_step: of state and batch, to new state and metrics; may take the state's memory.
      validation_step: of the network's variables and a batch, to metrics.
      batch_at: the training batch of any step.
      validation_batches: the batches of one validation.
      save: writes a checkpoint.
      say: tells the state of the run to who asks; see `journal.status_file`.
      workdir: where metrics and weights go.
      log_every: steps between two records of metrics.
      validate_every: steps between two validations, each with a checkpoint.
      checkpoint_every: steps between two checkpoints.

    Returns:
      The state after the last step.

    Raises:
      FloatingPointError: a loss is not finite; the message names the step.
      InterruptedTrainingError: a signal came; the state after the step under way is saved.
    """
    step, last_step = int(state.step), phases[-1].end_step
    journal = Journal(workdir, say, first_step=step, last_step=last_step)
    pending: list[Metrics] = []
    with contextlib.closing(journal), StopRequest() as stop:
        while step < last_step:
            phase = phase_at(phases, step)
            batch = batch_at(step)
            state, metrics = train_step(state, batch)
            pending.append(metrics)
            wait_for_device(pending)
            step += 1
            journal.count_step()

            told_to_stop = stop.after(step)
            validates = step % validate_every == 0 or step == phase.end_step
            saves = step % checkpoint_every == 0 or validates or told_to_stop is not None
            if step % log_every == 0 or saves:
                means = summarize(pending, first_step=step - len(pending) + 1)
                pending.clear()
                cutouts = batch["quality"].size * jax.process_count()
                next_save = save_after(step, phases, validate_every, checkpoint_every)
                journal.train(step, phase.name, means, cutouts=cutouts, next_save=next_save)
            scores = None
            if validates:
                errors = [validation_step(state.network, batch) for batch in validation_batches()]
                scores = summarize(errors, first_step=step)
                journal.validate(step, phase.name, scores)
            if step == phase.end_step and processes.is_first():
                weights = jax.device_get(state.network)
                save_weights(workdir / f"{phase.name}.safetensors", weights)
            if saves:
                save(step, state, metrics=scores)
            if told_to_stop:
                raise InterruptedTrainingError(step, told_to_stop)
    return state


def save_after(step: int, phases: Sequence[Phase], *intervals: int) -> int:
    """The step of the next checkpoint: a multiple of an interval, or the end of a phase."""
    ends = [phase.end_step for phase in phases if phase.end_step > step]
    multiples = [step + interval - step % interval for interval in intervals]
    return min(multiples + ends) if ends else step


def wait_for_device(pending: Sequence[Metrics]) -> None:
    """Let the host run ahead of the device by two steps, which keeps it busy, or by none on CPU.

    There the host has nothing to gain, and several CPU devices that wait for each other with
    more than one step begun can run out of threads and hang.
    """
    ahead = 0 if jax.default_backend() == "cpu" else 2
    if len(pending) > ahead:
        jax.block_until_ready(pending[-1 - ahead])


def summarize(metrics: Sequence[Metrics], *, first_step: int) -> dict[str, float]:
    """Mean each metric, and give the PSNR in dB that each mean squared error amounts to.

    Args:
      metrics: of consecutive steps, or of the batches of one validation.
      first_step: the number of the first of these steps, to name one that went wrong.

    Raises:
      FloatingPointError: a value is not finite; the message names the step.
    """
    series = jax.tree.map(lambda *values: np.array(values, np.float64), *jax.device_get(metrics))
    finite = np.all([np.isfinite(values) for values in series.values()], axis=0)
    if not finite.all():
        raise FloatingPointError(
            f"the loss is not finite at step {first_step + int(np.argmin(finite))}. The last "
            "checkpoint is good; a lower learning rate or --config.optimizer.gradient_clip_norm "
            "may help, in another --workdir"
        )
    means = {name: float(values.mean()) for name, values in series.items()}
    psnr = {
        name.replace("mse", "psnr"): -10 * math.log10(mean)
        for name, mean in means.items()
        if name.endswith("mse")
    }
    return means | psnr
