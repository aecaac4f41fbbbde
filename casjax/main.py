"""Train CAS-CNN and score it: ``casjax train --config=qf20``.

The config is the name of one that ships, or a file: ``--config=mine.py``. Any of its keys can be
overridden: ``--config.quality=30 --config.batch_size=64``.
Running the same command again resumes where it stopped; a finished run is only scored.
Exit status: 0 done; 1 training, or scoring a picture, failed; 2 wrong usage, config or data; 75
stopped by SIGTERM with the state saved, or because another process was lost: to be queued again;
130 stopped by Ctrl-C, which also saves the state unless pressed twice.

A run may have several processes, on one host or many, each started with the same options and
connected by three flags or the environment; a SLURM step of several tasks needs neither. launch/
has a script for each case.
"""

import logging as python_logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from absl import app, flags, logging
from ml_collections import config_flags

from casjax.cli import ExitStatus
from casjax.networks.workdir import RESULTS_FILE
from casjax.training.configs import ConfigParser, config_name

CONFIG = config_flags.DEFINE_config_file(
    "config", None, "The config: one that ships, such as qf20 or efficient:qf=10, or a file."
)
flags.FLAGS["config"].parser = ConfigParser()
WORKDIR = flags.DEFINE_string(
    "workdir",
    None,
    "The folder for all the run writes. Default: runs/ and the config's name.",
)
COORDINATOR = flags.DEFINE_string(
    "coordinator",
    os.environ.get("JAX_COORDINATOR_ADDRESS", ""),
    "With several processes: host:port of the first. Default: JAX_COORDINATOR_ADDRESS.",
)
PROCESSES = flags.DEFINE_integer(
    "processes", None, "The number of processes. Default: JAX_NUM_PROCESSES.", lower_bound=1
)
PROCESS = flags.DEFINE_integer(
    "process", None, "The index of this process, from 0. Default: JAX_PROCESS_ID.", lower_bound=0
)
PROFILE = flags.DEFINE_integer(
    "profile",
    0,
    "The number of steps to trace, in the workdir, for TensorBoard's profile tab.",
    lower_bound=0,
)


def main(_: Sequence[str]) -> None:
    """Run the command; see `train.train_and_evaluate`."""
    # Imported here so that --help and mistyped flags need not wait for these.
    from casjax.evaluation import evaluator
    from casjax.networks import compilation, memory
    from casjax.networks.circumstances import require_devices
    from casjax.training import processes
    from casjax.training.interrupted import InterruptedRunError, InterruptedTrainingError
    from casjax.training.train import train_and_evaluate

    logging.set_verbosity(logging.INFO)
    python_logging.getLogger("jax").setLevel(python_logging.WARNING)
    memory.keep_freed_memory()
    config = config_flags.get_config_filename(flags.FLAGS["config"])
    workdir = Path(WORKDIR.value or f"runs/{config_name(config)}")
    try:
        compilation.cache_compilations()
        processes.join(
            COORDINATOR.value,
            from_environment(PROCESSES.value, "JAX_NUM_PROCESSES"),
            from_environment(PROCESS.value, "JAX_PROCESS_ID"),
        )
        try:
            require_devices()
        except ValueError as error:  # without them JAX does not even know the other processes
            leave(str(error), status=ExitStatus.WRONG_USAGE)
        results = train_and_evaluate(CONFIG.value, workdir, profile_steps=PROFILE.value)
    except (ValueError, OSError) as error:
        logging.debug("The error in full:", exc_info=True)
        leave(str(error), status=ExitStatus.WRONG_USAGE, exit_with=processes.exit_alone)
    except FloatingPointError as error:
        leave(str(error), status=ExitStatus.FAILED)
    except InterruptedRunError as error:
        preempted = error.signal == signal.SIGTERM
        status = ExitStatus.QUEUE_AGAIN if preempted else ExitStatus.INTERRUPTED
        message = f"{error}; the same command resumes from there"
        if isinstance(error, InterruptedTrainingError):  # all processes of the run stop like this
            leave(message, status=status)
        leave(message, status=status, exit_with=processes.exit_alone)
    except KeyboardInterrupt:
        message = "interrupted; the same command resumes from the last checkpoint"
        leave(message, status=ExitStatus.INTERRUPTED, exit_with=processes.exit_alone)
    except Exception as error:
        if not processes.is_loss(error):
            traceback.print_exc()
            processes.exit_alone(ExitStatus.FAILED)
        [cause, *_] = str(error).splitlines()
        message = f"another process of the run was lost ({cause})"
        message += "; the same command, started for all, resumes from the last checkpoint"
        leave(message, status=ExitStatus.QUEUE_AGAIN, exit_with=processes.exit_alone)
    if not processes.is_first():
        return
    print(evaluator.format_table(results))
    if pictures := ", ".join(str(path) for path in sorted(workdir.glob("*.png"))):
        print(f"JPEG, restored and clean, side by side: {pictures}")
    print(f"All results: {workdir / RESULTS_FILE}")
    print(f"parameters sha256 {results['parameters_sha256']}")
    if failed := len(results["failures"]):
        leave(f"{failed} scores failed and are not in the means", status=ExitStatus.FAILED)


def from_environment(flag: int | None, variable: str) -> int | None:
    """Return the value of a flag, or if it is not given that of an environment variable.

    Raises:
      ValueError: the variable is not a number.
    """
    text = os.environ.get(variable)
    if flag is not None or not text:
        return flag
    if not text.isdecimal():
        raise ValueError(f"{variable}={text}: expected a number in the environment")
    return int(text)


def parse_flags(arguments: Sequence[str]) -> list[str]:
    """Parse the command line; say in one line what is wrong with it, or with the config."""
    try:
        rest = flags.FLAGS(arguments)
        if CONFIG.value is None:
            wrong("--config is missing; for example --config=qf20")
    except AttributeError as error:  # carries a KeyError with the key and the nearest one
        [cause] = error.args
        message = " ".join(str(getattr(cause, "args", [cause])[0]).split())
        wrong(f"--config has no such key: {message}")
    except (flags.Error, KeyError, OSError, TypeError, ValueError) as error:
        wrong(str(error))
    if rest[1:]:
        wrong(f"unexpected argument {rest[1]!r}: options start with --")
    return rest


def wrong(message: str) -> NoReturn:
    """Say in one line what is wrong with the command line or the config."""
    leave(message, status=ExitStatus.WRONG_USAGE)


def leave(
    message: str, *, status: int, exit_with: Callable[[int], NoReturn] = sys.exit
) -> NoReturn:
    """Say in one line why the command ends, and end it."""
    print(f"error: {message}", file=sys.stderr)
    exit_with(status)


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
