"""Checkpoints to resume training from, with Orbax: the state, the step and the config."""

import contextlib
import hashlib
import json
import logging as python_logging
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging
from orbax.checkpoint.checkpoint_managers import preservation_policy

from casjax.training import processes

DIGESTS = "sha256"  # of state and config, kept with the latter to detect flipped bits


class DamagedCheckpointError(Exception):
    """A checkpoint that cannot be read, or does not hold what was written."""


class Checkpoints:
    """The checkpoints of one run, by step: the newest ones and the best by validation PSNR."""

    def __init__(self, folder: Path, *, config: Mapping[str, Any], newest_kept: int) -> None:
        """Open ``folder``, created if missing, and remove what an interrupted save left there.

        The ``config`` is saved with new checkpoints.

        With several processes all read, but only the first writes, without waiting for the others.
        """
        logging.get_absl_handler().addFilter(_not_of_orbax)
        folder.mkdir(parents=True, exist_ok=True)
        self._config = config
        me = jax.process_index()
        best = {"get_metric_fn": _psnr, "keep_checkpoints_without_metrics": False}
        self._manager = ocp.CheckpointManager(
            folder.absolute(),
            options=ocp.CheckpointManagerOptions(
                best_fn=_psnr,
                preservation_policy=preservation_policy.AnyPreservationPolicy(
                    [
                        preservation_policy.LatestN(newest_kept),
                        preservation_policy.BestN(n=1, **best),
                    ]
                ),
                create=False,
                cleanup_tmp_directories=processes.is_first(),
                multiprocessing_options=ocp.options.MultiprocessingOptions(
                    primary_host=me, active_processes={me}, barrier_sync_key_prefix=str(me)
                ),
            ),
        )

    def save(self, step: int, state: Any, *, metrics: Mapping[str, float] | None) -> None:
        """Write the state after ``step`` steps in the background; ``metrics`` has ``psnr``.

        Raises:
          OSError: this checkpoint or the previous one could not be written.
        """
        if not processes.is_first():
            return
        # Host arrays, which any number of processes and devices can save and restore.
        arrays = jax.tree.map(np.asarray, jax.device_get(state))
        digests = {"state": _sha256(arrays), "config": _sha256_of_json(self._config)}
        record = {"config": self._config, DIGESTS: digests}
        args = ocp.args.Composite(
            state=ocp.args.StandardSave(arrays), config=ocp.args.JsonSave(record)
        )
        with self._naming_failed_writes():
            self._manager.save(step, args=args, metrics=metrics, force=True)

    def steps(self) -> list[int]:
        """Return the steps of the complete checkpoints, the newest first."""
        return sorted(self._manager.all_steps(), reverse=True)

    def config(self, step: int) -> dict[str, Any]:
        """Return the config of a checkpoint.

        Raises:
          DamagedCheckpointError: it cannot be read, or is not what was written.
        """
        return self._record(step)[0]

    def restore(self, step: int, like: Any) -> Any:
        """Return the state of a checkpoint as NumPy arrays, with the tree and shapes of ``like``.

        Raises:
          DamagedCheckpointError: it cannot be read, or is not what was written.
        """
        args = ocp.args.StandardRestore(jax.tree.map(_abstract, like))
        with _damage_to(step):
            restored = self._manager.restore(step, args=ocp.args.Composite(state=args))
        state = jax.tree.map(np.asarray, restored["state"])
        _require_equal(step, self._record(step)[1], _sha256(state))
        return state

    def set_aside(self, step: int) -> None:
        """Move a checkpoint to ``damaged-STEP-TIME`` beside the folder, out of the way."""
        if processes.is_first():
            folder = Path(self._manager.directory)
            (folder / str(step)).rename(folder.with_name(f"damaged-{step}-{int(time.time())}"))
            self._manager.reload()

    def _record(self, step: int) -> tuple[dict[str, Any], str]:
        """Return the config of a checkpoint, and the digest of its state."""
        args = ocp.args.Composite(config=ocp.args.JsonRestore())
        with _damage_to(step):
            record = self._manager.restore(step, args=args)["config"]
            config, digests = record["config"], record[DIGESTS]
            _require_equal(step, digests["config"], _sha256_of_json(config))
            return config, digests["state"]

    @contextlib.contextmanager
    def _naming_failed_writes(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # of the file system, or of any layer in between
            [reason, *_] = str(error).splitlines() or [type(error).__name__]
            raise OSError(
                f"{self._manager.directory}: a checkpoint could not be written ({reason}). The "
                "last complete one is good: the same command resumes from there"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Wait until everything is on disk."""
        with self._naming_failed_writes():
            self._manager.close()


@contextlib.contextmanager
def _damage_to(step: int) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # each kind of damaged file raises its own errors
        [reason, *_] = str(error).splitlines() or [""]
        raise DamagedCheckpointError(f"step {step}: {reason[:200]}") from error


def _require_equal(step: int, written: str, read: str) -> None:
    if written != read:
        raise DamagedCheckpointError(f"step {step}: its bits are not those that were written")


def _sha256_of_json(config: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


def _sha256(state: Any) -> str:
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(state):
        digest.update(f"{leaf.dtype} {leaf.shape}\n".encode())
        digest.update(leaf.tobytes())
    return digest.hexdigest()


def _abstract(leaf: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)


def _psnr(metrics: Mapping[str, float]) -> float:
    return metrics["psnr"]


def _not_of_orbax(record: python_logging.LogRecord) -> bool:
    """Filter out Orbax's sixty lines per save, and the traces of errors, which it also raises."""
    return "/orbax/" not in record.pathname
