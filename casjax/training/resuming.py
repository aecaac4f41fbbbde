"""Resuming an earlier run in a workdir: from an intact checkpoint, and with the same config."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from absl import logging
from flax.traverse_util import flatten_dict

from casjax.training.checkpoints import Checkpoints, DamagedCheckpointError
from casjax.training.steps import TrainState

# Keys that may differ between the processes of a run, each of which reads files of its own machine.
FOLDERS = ("data.cutouts_dir", "data.images_dir")
# Keys that may change between two runs in one workdir: the training does not depend on them.
FREE_KEYS = (
    *FOLDERS,
    "checkpoints",
    "devices",
    "evaluation",
    "loop",
    "parallelism",
    "tracker",
)


def resume(
    checkpoints: Checkpoints, like: TrainState, config: Mapping[str, Any], *, workdir: Path
) -> TrainState | None:
    """Return the state of the newest good checkpoint, or None if there is none.

    Newer ones that are damaged are logged and moved out of the way.

    Raises:
      ValueError: they were written with another config, or all are damaged.
    """
    damaged: dict[int, str] = {}
    for step in checkpoints.steps():
        try:
            require_same(checkpoints.config(step), config, workdir=workdir)
            state = checkpoints.restore(step, like)
        except DamagedCheckpointError as error:
            damaged[step] = str(error)
            continue
        for other, reason in damaged.items():
            logging.warning("Damaged checkpoint set aside: %s. Going back to %d", reason, step)
            checkpoints.set_aside(other)
        logging.info("Resuming after step %d", step)
        return state
    if damaged:
        raise ValueError(
            f"no checkpoint can be read: {'; '.join(damaged.values())}. Restore the "
            "folder from a backup, or choose another --workdir to start over"
        )
    return None


def require_same(stored: Mapping[str, Any], config: Mapping[str, Any], *, workdir: Path) -> None:
    """Compare a config with the one that a workdir was started with.

    Raises:
      ValueError: they have `differences`; the message names the keys.
    """
    if found := differences(stored, config):
        raise ValueError(
            f"{workdir} was started with another config: {'; '.join(found)}. Choose another "
            f"--workdir, where --config.initial_weights={workdir} trains its finished network "
            "further, or use the config and the version of casjax that it was started with"
        )


def differences(stored: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
    """Describe the differences between two configs by key, except for `FREE_KEYS`."""
    return [
        sentence
        for key, sentence in config_differences(stored, config)
        if not key.startswith(FREE_KEYS)
    ]


def digest_of(config: Mapping[str, Any]) -> str:
    """Return the first digits of a SHA-256 of a config, except for `FOLDERS`."""
    values = [s for key, s in config_differences({}, config) if not key.startswith(FOLDERS)]
    return hashlib.sha256("\n".join(values).encode()).hexdigest()[:16]


def config_differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the dotted keys that differ, each with a sentence; tuples equal lists, as in JSON."""
    before, after = (flatten_dict(config, sep=".") for config in (old, new))
    for key in sorted(before.keys() | after.keys()):
        was, now = (
            list(x) if isinstance(x, tuple) else x for x in (before.get(key), after.get(key))
        )
        if key not in before:
            yield key, f"{key} is new, {now!r}"
        elif key not in after:
            yield key, f"{key} was {was!r} and no longer exists"
        elif was != now:
            yield key, f"{key} was {was!r} and is {now!r}"
