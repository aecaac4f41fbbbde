"""Phases against the arithmetic of epochs, cut-outs and steps."""

import jax.numpy as jnp
import pytest

from casjax.training.phases import learning_rate_at, loss_weights_at, phase_at, plan_phases

SECTION = {
    "epochs": 2.0,
    "cutouts": 50,
    "loss_weights": (0.5, 0.5),
    "learning_rate": 1e-3,
    "warmup_steps": 0,
    "decay": "constant",
}


def plan(**changes_of_second):
    return plan_phases(
        {"first": SECTION, "second": SECTION | {"loss_weights": (1.0, 0.0)} | changes_of_second},
        batch_size=10,
    )


def test_steps_follow_from_epochs():
    first, second = plan(epochs=0.5, cutouts=150)
    assert (first.first_step, first.end_step) == (0, 10)
    assert (second.first_step, second.end_step) == (10, 18)  # 7.5 steps, rounded
    assert phase_at([first, second], 9) is first
    assert phase_at([first, second], 10) is second


def test_a_phase_of_no_epochs_is_left_out():
    first, second = plan(epochs=0.0)
    assert second.first_step == second.end_step == 10
    assert all(phase_at([first, second], step) is first for step in range(10))


def test_loss_weights_change_with_the_phase():
    phases = plan()
    weights = [loss_weights_at(phases, jnp.int32(step)).tolist() for step in (0, 9, 10, 19)]
    assert weights == [[0.5, 0.5], [0.5, 0.5], [1, 0], [1, 0]]


def test_learning_rate_warms_up_and_decays_anew_in_each_phase():
    rate = learning_rate_at(plan(learning_rate=1e-2, warmup_steps=4, decay="cosine"))
    assert [float(rate(step)) for step in (0, 9)] == pytest.approx([1e-3, 1e-3])
    second = [float(rate(step)) for step in (10, 12, 14, 17, 20)]
    assert second == pytest.approx([0, 5e-3, 1e-2, 5e-3, 0], abs=1e-9)


def test_a_warmup_beyond_the_phase_is_named():
    with pytest.raises(ValueError, match=r"second\.warmup_steps=10: .* phase's 10 steps"):
        plan(warmup_steps=10)
