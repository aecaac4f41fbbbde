"""A run with several processes, on one host or many: connecting and coordinating them.

They take every step together, each on its share of the batch. Only the first one writes to the
workdir, which all must be able to read, and prints to the user. If a process is lost, perhaps with
its machine, the others stop: as soon as a sum over all processes fails, or, through jax itself,
`HEARTBEAT` seconds after its last sign of life.
"""

import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from typing import Any, NoReturn

import jax
from absl import logging
from jax._src import distributed  # the key-value store of jax.distributed has no public name
from jax.experimental import multihost_utils

from casjax.training.interrupted import InterruptedRunError

HEARTBEAT = 30  # seconds
FOREVER = 1000 * 3600 * 24 * 365  # milliseconds
DONE, STOPPED = "done", "stopped"


def join(coordinator: str, count: int | None, index: int | None) -> None:
    """Connect to the other processes of the run; to be called before any computation.

    Args:
      coordinator: ``host:port`` of the first process, the same in all. If it is empty, a SLURM
        step of several tasks determines all three, with one process per GPU; elsewhere the run
        is a single process, and there is nothing to do.
      count: how many processes there are.
      index: which of them this is, from 0.

    Raises:
      ValueError: some of the three are missing, or make no sense.
    """
    if not coordinator and count is None and index is None:
        if "SLURM_STEP_NODELIST" not in os.environ or os.environ.get("SLURM_NTASKS", "1") == "1":
            return
        place = "as SLURM says"
    elif not coordinator or ":" not in coordinator or count is None or index is None:
        raise ValueError(
            "with several processes each needs the coordinator (host:port), the number of "
            f"processes and its index: got {coordinator!r}, {count} and {index}"
        )
    elif not 0 <= index < count:
        raise ValueError(f"process {index} of {count}: expected an index from 0 to {count - 1}")
    else:
        place = f"{index} of {count} at {coordinator}"
    logging.info(
        "Process %s on %s waits up to 5 minutes for the others", place, socket.gethostname()
    )
    jax.distributed.initialize(
        coordinator or None,
        num_processes=count,
        process_id=index,
        cluster_detection_method="deactivate" if coordinator else "slurm",
        initialization_timeout=300,
        heartbeat_timeout_seconds=HEARTBEAT,
        shutdown_timeout_seconds=600,  # the first may still be saving when the others are done
    )


def several() -> bool:
    """Return whether the run has more than this process."""
    return jax.process_count() > 1


def is_first() -> bool:
    """Return whether this is the process that writes files and prints."""
    return jax.process_index() == 0


@contextlib.contextmanager
def first_goes_ahead(task: str) -> Iterator[None]:
    """Run a block in the first process and then, if it ended well, in the others.

    Raises:
      ValueError: in the others, when the first one failed.
      InterruptedRunError: in the others, when the first one was told to stop.
    """
    if not several():
        yield
    elif is_first():
        try:
            yield
        except BaseException as error:
            reason = str(error) or type(error).__name__
            if isinstance(error, InterruptedRunError):
                reason = STOPPED
            _store().key_value_set(f"casjax/{task}", reason)
            # The store ends with this process: wait until the others have read it.
            with contextlib.suppress(jax.errors.JaxRuntimeError):
                _store().wait_at_barrier(f"casjax/{task}", 1000 * HEARTBEAT)
            raise
        _store().key_value_set(f"casjax/{task}", DONE)
    else:
        outcome = _store().blocking_key_value_get(f"casjax/{task}", FOREVER)
        if outcome != DONE:
            _store().wait_at_barrier(f"casjax/{task}", 1000 * HEARTBEAT)
            if outcome == STOPPED:
                raise InterruptedRunError("with the first process", signal.SIGTERM)
            raise ValueError(f"stopped because the first process failed: {outcome}")
        yield


def require_agreement(on: str, value: str) -> None:
    """Compare a value with that of all other processes.

    Raises:
      ValueError: in all of them, if one has a different value.
    """
    if not several():
        return
    _store().key_value_set(f"casjax/{on}/{jax.process_index()}", value)
    values = [
        _store().blocking_key_value_get(f"casjax/{on}/{index}", FOREVER)
        for index in range(jax.process_count())
    ]
    for index, other in enumerate(values):
        if other != values[0]:
            raise ValueError(
                f"process 0 has {on} {values[0]}, process {index} has {other}: start all with "
                "the same options, and with a --workdir that all of them see"
            )


def told_to_stop(step: int) -> bool:
    """Return whether a process got SIGTERM; from then on true in all, and at the same step.

    To be called by all processes after each step. (jax receives the signal: a handler in Python
    would take it away from jax.)
    """
    return multihost_utils.reached_preemption_sync_point(step)


def is_loss(error: Exception) -> bool:
    """Return whether an error comes from the loss of another process, not from this one."""
    own = "RESOURCE_EXHAUSTED" in str(error)
    return several() and isinstance(error, jax.errors.JaxRuntimeError) and not own


def exit_alone(status: int) -> NoReturn:
    """End this process without waiting for the others, as an ordinary exit does."""
    if several():
        sys.stdout.flush()
        sys.stderr.flush()
        if is_first():
            time.sleep(2)  # it ends the others too: give them time for their messages
        os._exit(status)
    sys.exit(status)


def _store() -> Any:
    return distributed.global_state.client
