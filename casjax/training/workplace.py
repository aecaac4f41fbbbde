"""Entering the workdir of a run: exclusively, and without overwriting anything of others."""

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from casjax.files import held, remove_abandoned
from casjax.networks.provenance import PHASES
from casjax.networks.workdir import (
    CHECKPOINTS_FOLDER,
    CONFIG_FILE,
    METRICS_FILE,
    PROFILE_FOLDER,
    RESULTS_FILE,
    RUN_FILE,
    TENSORBOARD_FOLDER,
    WEIGHTS_FILE,
    phase_weights_file,
)
from casjax.training import processes
from casjax.training.journal import read_status
from casjax.training.resuming import differences

RECORDS = (CONFIG_FILE, RUN_FILE, METRICS_FILE, TENSORBOARD_FOLDER, PROFILE_FOLDER)
RESULTS = (WEIGHTS_FILE, RESULTS_FILE, *map(phase_weights_file, PHASES))


@contextlib.contextmanager
def enter(workdir: Path, *, config: Mapping[str, Any], pictures: Iterable[str]) -> Iterator[None]:
    """Create the workdir of a run, and lock it against other runs until the block ends.

    Args:
      workdir: created if missing.
      config: of the run.
      pictures: names of the files that the run will write besides those of every run.

    Raises:
      ValueError: another run is using it, or the folder contains files that the run would
        overwrite but did not write.
    """
    with contextlib.ExitStack() as until_the_end:
        with processes.first_goes_ahead("entrance"):
            if workdir.exists() and not workdir.is_dir():
                raise ValueError(f"{workdir}: --workdir is a file, expected a folder or a new name")
            workdir.mkdir(parents=True, exist_ok=True)
            if processes.is_first():
                try:
                    until_the_end.enter_context(held(workdir))
                except BlockingIOError as error:
                    raise ValueError(
                        f"{workdir}: another run is using it ({read_status(workdir)}): wait "
                        "for it to end, or choose another --workdir"
                    ) from error
                require_own(workdir, config, pictures)
                remove_abandoned(workdir)
        yield


def require_own(workdir: Path, config: Mapping[str, Any], pictures: Iterable[str]) -> None:
    """Check that what a run would overwrite in a folder is its own.

    A run with checkpoints resumes from them. One that was stopped before its first checkpoint has
    left records, and starts over, even with another config. Results without checkpoints belong to
    another run, unless they were made with the same config; a finished run is not repeated.

    Raises:
      ValueError: there are files that would be lost; the message names some.
    """
    if has_checkpoint(workdir):
        return
    stored = read_config(workdir / CONFIG_FILE)
    if stored is None:
        endangered = [*RECORDS, *RESULTS, *pictures]
    elif differences(stored, config):
        endangered = [*RESULTS, *pictures]
    else:
        endangered = [WEIGHTS_FILE]
    there = [name for name in endangered if (workdir / name).exists()]
    if there:
        raise ValueError(
            f"{workdir}: it holds {', '.join(there[:3])}, which this run would overwrite, and no "
            "checkpoint of it: choose another --workdir (to train a network that is there "
            f"further: with --config.initial_weights={workdir})"
        )


def has_checkpoint(workdir: Path) -> bool:
    """Return whether a run in this folder would resume."""
    return next((workdir / CHECKPOINTS_FOLDER).glob("[0-9]*"), None) is not None


def read_config(path: Path) -> dict[str, Any] | None:
    """Read the config of a run; None if the file is missing or is something else."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return config if isinstance(config, dict) and "degradation" in config else None
