"""The training loop: steps, with logging, validation and checkpoints."""

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from casjax.networks.weights import save_weights
from casjax.networks.workdir import phase_weights_file
from casjax.training import processes
from casjax.training.checkpoints import Checkpoints
from casjax.training.feed import Batch, Feed
from casjax.training.interrupted import InterruptedTrainingError
from casjax.training.interruption import StopRequest
from casjax.training.journal import Journal
from casjax.training.phases import Phase, phase_at
from casjax.training.steps import Metrics, TrainState

SMALLEST_ERROR = 1e-10  # 100 dB: JPEG leaves flat images unchanged


class Steps(NamedTuple):
    """The computations, compiled for the devices.

    Attributes:
      train: maps state and batch to new state and metrics; may reuse the state's memory.
      validate: maps the network's variables and a batch to metrics.
    """

    train: Callable[[TrainState, Batch], tuple[TrainState, Metrics]]
    validate: Callable[[dict[str, Any], Batch], Metrics]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Intervals:
    """Intervals in steps.

    Attributes:
      log_every: between records of metrics.
      validate_every: between validations, each with a checkpoint.
      checkpoint_every: between checkpoints.
    """

    log_every: int
    validate_every: int
    checkpoint_every: int


def fit(
    state: TrainState,
    phases: Sequence[Phase],
    steps: Steps,
    feed: Feed,
    intervals: Intervals,
    *,
    checkpoints: Checkpoints,
    journal: Journal,
    workdir: Path,
) -> TrainState:
    """Train from ``state`` to the end of the last phase.

    Logs, validates and saves at the given intervals and at the end of each phase, whose weights
    are also written to a file in ``workdir``. Nothing is saved before the losses since the last
    save have been found finite, and everything is saved before a failed validation ends the
    training.

    Returns:
      The state after the last step.

    Raises:
      FloatingPointError: a loss is not finite; the message names the step.
      InterruptedTrainingError: a signal came; the state after the current step is saved.
    """
    step, last_step = int(state.step), phases[-1].end_step
    pending: list[Metrics] = []
    with StopRequest() as stop:
        while step < last_step:
            phase = phase_at(phases, step)
            batch = feed.batch_at(step)
            state, metrics = steps.train(state, batch)
            pending.append(metrics)
            wait_for_device(pending)
            step += 1
            journal.count_step()

            told_to_stop = stop.after(step)
            validates = step % intervals.validate_every == 0 or step == phase.end_step
            saves = step % intervals.checkpoint_every == 0 or validates or told_to_stop is not None
            if step % intervals.log_every == 0 or saves:
                means = summarize(pending, steps=range(step - len(pending) + 1, step + 1))
                pending.clear()
                cutouts = batch["quality"].size * jax.process_count()
                next_save = save_after(step, phases, intervals)
                journal.train(step, phase.name, means, cutouts=cutouts, next_save=next_save)
            if step == phase.end_step and processes.is_first():
                weights = jax.device_get(state.variables)
                save_weights(workdir / phase_weights_file(phase.name), weights)
            scores = None
            if validates:
                with saving_on_failure(checkpoints, step, state):
                    scores = validate(steps, feed, state, step)
                    journal.validate(step, phase.name, scores)
            if saves:
                checkpoints.save(step, state, metrics=scores)
            if told_to_stop:
                raise InterruptedTrainingError(step, told_to_stop)
    return state


def save_after(step: int, phases: Sequence[Phase], intervals: Intervals) -> int:
    """Return the step of the next checkpoint: a multiple of an interval, or a phase's end."""
    ends = [phase.end_step for phase in phases if phase.end_step > step]
    saving = intervals.validate_every, intervals.checkpoint_every
    multiples = [step + interval - step % interval for interval in saving]
    return min(multiples + ends) if ends else step


def wait_for_device(pending: Sequence[Metrics]) -> None:
    """Let the host run ahead of the device by two steps, which keeps it busy, or by none on CPU.

    On CPU there is nothing to gain, and several CPU devices that wait for each other with more than
    one step in flight can run out of threads and hang.
    """
    ahead = 0 if jax.default_backend() == "cpu" else 2
    if len(pending) > ahead:
        jax.block_until_ready(pending[-1 - ahead])


def validate(steps: Steps, feed: Feed, state: TrainState, step: int) -> dict[str, float]:
    """Return the mean metrics over the batches of a validation after ``step`` steps."""
    errors = [steps.validate(state.variables, batch) for batch in feed.validation_batches()]
    return summarize(errors, steps=[step] * len(errors))


@contextlib.contextmanager
def saving_on_failure(checkpoints: Checkpoints, step: int, state: TrainState) -> Iterator[None]:
    """Save the state if the block fails, except because of numbers that are not finite."""
    try:
        yield
    except FloatingPointError:
        raise
    except BaseException:  # a second Ctrl-C, say
        checkpoints.save(step, state, metrics=None)
        raise


def summarize(metrics: Sequence[Metrics], *, steps: Sequence[int]) -> dict[str, float]:
    """Average each metric, and compute the PSNR in dB of each mean squared error.

    Args:
      metrics: of some steps, or of the batches of one validation.
      steps: the numbers of these steps, to name one that went wrong.

    Raises:
      FloatingPointError: a value is not finite; the message names the step.
    """
    series = jax.tree.map(lambda *values: np.array(values, np.float64), *jax.device_get(metrics))
    finite = np.all([np.isfinite(values) for values in series.values()], axis=0)
    if not finite.all():
        raise FloatingPointError(
            f"the loss is not finite at step {steps[int(np.argmin(finite))]}. The last "
            "checkpoint is good; a lower learning rate or --config.optimizer.gradient_clip_norm "
            "may help, in another --workdir"
        )
    means = {name: float(values.mean()) for name, values in series.items()}
    psnr = {
        name.replace("mse", "psnr"): -10 * math.log10(max(mean, SMALLEST_ERROR))
        for name, mean in means.items()
        if name.endswith("mse")
    }
    return means | psnr
