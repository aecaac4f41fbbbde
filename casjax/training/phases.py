"""The phases of training: steps, cut-outs, loss and learning rate of each."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax

Decay = Literal["constant", "cosine"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Phase:
    """A stretch of training with one loss (Section III-C).

    Attributes:
      name: of its weights file and in the metrics.
      first_step: the number of steps before it.
      end_step: the number of steps after it.
      cutouts: how many it uses, from the start of the file of cut-outs.
      loss_weights: share of each output of the network in the loss, finest first.
      learning_rate: of the optimizer, a function of the steps since ``first_step``.
    """

    name: str
    first_step: int
    end_step: int
    cutouts: int
    loss_weights: tuple[float, ...]
    learning_rate: optax.Schedule


def plan_phases(sections: Mapping[str, Mapping[str, Any]], *, batch_size: int) -> tuple[Phase, ...]:
    """Plan the phases in the order of ``sections``, whose values are keywords of `plan_phase`."""
    phases: list[Phase] = []
    for name, section in sections.items():
        first_step = phases[-1].end_step if phases else 0
        phases.append(plan_phase(name, first_step=first_step, batch_size=batch_size, **section))
    return tuple(phases)


def plan_phase(
    name: str,
    *,
    first_step: int,
    batch_size: int,
    epochs: float,
    cutouts: int,
    loss_weights: tuple[float, ...],
    learning_rate: float,
    warmup_steps: int,
    decay: Decay,
) -> Phase:
    """Plan a phase of ``epochs`` passes, possibly a fraction, over its ``cutouts``.

    The learning rate rises from zero to ``learning_rate`` during ``warmup_steps``; from then on it
    stays (``"constant"``) or falls to zero at the end of the phase (``"cosine"``).

    Raises:
      ValueError: the warm-up is longer than the phase.
    """
    steps = round(epochs * cutouts / batch_size)
    if steps and warmup_steps >= steps:
        raise ValueError(
            f"{name}.warmup_steps={warmup_steps}: expected less than the phase's {steps} steps"
        )
    schedules: dict[Decay, optax.Schedule] = {
        "constant": optax.constant_schedule(learning_rate),
        "cosine": optax.cosine_decay_schedule(learning_rate, max(1, steps - warmup_steps)),
    }
    schedule = schedules[decay]
    if warmup_steps:
        warmup = optax.linear_schedule(0.0, learning_rate, warmup_steps)
        schedule = optax.join_schedules([warmup, schedule], [warmup_steps])
    return Phase(
        name=name,
        first_step=first_step,
        end_step=first_step + steps,
        cutouts=cutouts,
        loss_weights=loss_weights,
        learning_rate=schedule,
    )


def phase_at(phases: Sequence[Phase], step: int) -> Phase:
    """Return the phase to which the step after ``step`` steps belongs."""
    return next(phase for phase in phases if step < phase.end_step)


def learning_rate_at(phases: Sequence[Phase]) -> optax.Schedule:
    """Return the learning rate by step over all phases."""
    return optax.join_schedules(
        [phase.learning_rate for phase in phases], [phase.first_step for phase in phases[1:]]
    )


def loss_weights_at(phases: Sequence[Phase], step: jax.Array) -> jax.Array:
    """Return the loss weights of a step, float32 ``[outputs]``; ``step`` may be traced."""
    ends = jnp.array([phase.end_step for phase in phases[:-1]], jnp.int32)
    index = jnp.searchsorted(ends, step, side="right")
    return jnp.array([phase.loss_weights for phase in phases], jnp.float32)[index]
