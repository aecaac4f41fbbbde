"""The trace of training steps holds as many of them as were asked for."""

import jax
import jax.numpy as jnp
import pytest

from casjax.training.profiling import profiling


def run(folder, *, calls, count):
    step = jax.jit(lambda state, batch: (state + batch, batch))
    state = jnp.zeros(3)
    with profiling(step, folder, count=count) as watched:
        for _ in range(calls):
            state, _ = watched(state, jnp.ones(3))
    assert state[0] == calls


def steps_in(folder):
    [path] = folder.rglob("*.xplane.pb")
    planes = jax.profiler.ProfileData.from_file(str(path)).planes
    events = (event for plane in planes for line in plane.lines for event in line.events)
    return sum(event.name.startswith("train") for event in events)


@pytest.mark.parametrize(("calls", "watched"), [(9, 3), (4, 2)])
def test_the_steps_asked_for_are_traced_as_far_as_there_are_any(tmp_path, caplog, calls, watched):
    with caplog.at_level("INFO", logger="absl"):
        run(tmp_path, calls=calls, count=3)
    assert steps_in(tmp_path) == watched
    assert f"The trace of {watched} steps" in caplog.text


@pytest.mark.parametrize(("calls", "count"), [(5, 0), (2, 3)])
def test_nothing_is_written_otherwise(tmp_path, calls, count):
    run(tmp_path, calls=calls, count=count)
    assert not list(tmp_path.iterdir())
