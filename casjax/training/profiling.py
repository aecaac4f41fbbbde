"""A trace of some training steps, for TensorBoard's profile tab: `profiling`."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
from absl import logging

from casjax.training import processes

UNWATCHED = 2  # first steps: the first compiles, and the second may still wait for it

TrainStep = Callable[[Any, Any], tuple[Any, Any]]


@contextlib.contextmanager
def profiling(train_step: TrainStep, folder: Path, *, count: int) -> Iterator[TrainStep]:
    """Provide a training step that does the same, and writes a trace of some of its calls.

    Args:
      train_step: takes state and batch.
      folder: for the trace of the first process, in the format of TensorBoard's profile plugin.
      count: calls to trace, after the first two; 0 for none. Those made before the block ends
        early are written too.
    """
    if not count or not processes.is_first():
        yield train_step
        return
    calls = 0
    watching = False

    def stop() -> None:
        nonlocal watching
        jax.profiler.stop_trace()
        watching = False
        logging.info("The trace of %d steps is in %s", calls - UNWATCHED, folder)

    def step(state: Any, batch: Any) -> tuple[Any, Any]:
        nonlocal calls, watching
        if calls == UNWATCHED:
            jax.profiler.start_trace(folder)
            watching = True
        calls += 1
        with jax.profiler.StepTraceAnnotation("train", step_num=calls):
            result = train_step(state, batch)
        if watching and calls == UNWATCHED + count:
            jax.block_until_ready(result)
            stop()
        return result

    try:
        yield step
    finally:
        if watching:
            stop()
