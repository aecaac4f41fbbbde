"""A run in several processes, on one host or many: how they meet, and how they agree.

They take every step together, each on its share of the batch. The first one alone writes to the
workdir, which all must be able to read, and speaks to the user. A process that is lost, be it by
its machine, is noticed by the others, which then stop: as soon as a sum over all processes fails,
or, by jax itself, after `HEARTBEAT` seconds without a sign of life.
"""

import contextlib
import os
import socket
import sys
import time
from collections.abc import Iterator
from typing import Any, NoReturn

import jax
from absl import logging
from jax._src import distributed  # the key-value store of jax.distributed has no public name
from jax.experimental import multihost_utils

HEARTBEAT = 30  # seconds
FOREVER = 1000 * 3600 * 24 * 365  # milliseconds
DONE = "done"


def join(coordinator: str, count: int | None, index: int | None) -> None:
    """Meet the other processes of the run; to be called before anything is computed.

    Args:
      coordinator: ``host:port`` of the first process, the same in all. Where it is empty, a SLURM
        step of several tasks says all three, one process a GPU; elsewhere the run is a single
        process, and there is nothing to do.
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
            "of several processes each needs the coordinator (host:port), the number of processes "
            f"and its index: given are {coordinator!r}, {count} and {index}"
        )
    elif not 0 <= index < count:
        raise ValueError(f"process {index} of {count}: the indices are 0 to the number less one")
    else:
        place = f"{index} of {count} at {coordinator}"
    logging.info("Process %s on %s waits for the others, 5 minutes", place, socket.gethostname())
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
    """Whether the run has more than this process."""
    return jax.process_count() > 1


def is_first() -> bool:
    """Whether this is the process that writes and speaks."""
    return jax.process_index() == 0


@contextlib.contextmanager
def first_goes_ahead(task: str) -> Iterator[None]:
    """Run a block in the first process and then, if it ended well, in the others.

    Raises:
      ValueError: in the others, when the first one failed.
    """
    if not several():
        yield
    elif is_first():
        try:
            yield
        except BaseException as error:
            _store().key_value_set(f"casjax/{task}", str(error) or type(error).__name__)
            # It takes the store along when it leaves: not before the others have read it.
            with contextlib.suppress(jax.errors.JaxRuntimeError):
                _store().wait_at_barrier(f"casjax/{task}", 1000 * HEARTBEAT)
            raise
        _store().key_value_set(f"casjax/{task}", DONE)
    else:
        outcome = _store().blocking_key_value_get(f"casjax/{task}", FOREVER)
        if outcome != DONE:
            _store().wait_at_barrier(f"casjax/{task}", 1000 * HEARTBEAT)
            raise ValueError(f"stopped because the first process failed: {outcome}")
        yield


def require_agreement(on: str, value: str) -> None:
    """Compare a value with that of all other processes.

    Raises:
      ValueError: in all of them, when one has another value.
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
    """Whether a process got SIGTERM; from then on true in all of them, and at the same step.

    To be asked by all processes, after each step. (jax hears the signal: a handler of Python's
    own would take it away from there.)
    """
    return multihost_utils.reached_preemption_sync_point(step)


def is_loss(error: Exception) -> bool:
    """Whether it comes from a computation with another process, and not from this machine's."""
    own = "RESOURCE_EXHAUSTED" in str(error)
    return several() and isinstance(error, jax.errors.JaxRuntimeError) and not own


def exit_alone(status: int) -> NoReturn:
    """End this process, be the others where they are; an ordinary exit waits for them."""
    if several():
        sys.stdout.flush()
        sys.stderr.flush()
        if is_first():
            time.sleep(2)  # its end is theirs: first they may say what they have to say
        os._exit(status)
    sys.exit(status)


def _store() -> Any:
    return distributed.global_state.client
