"""What a run leaves on disk: checkpoints to resume from (Orbax), and weights (safetensors).

A checkpoint holds the training state, the step and the config. Weights are the network's
variables alone, float32, in one file that any tool can read and no tool can run.
"""

import hashlib
import json
import logging as python_logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import flax.traverse_util
import jax
import numpy as np
import orbax.checkpoint as ocp
import safetensors
import safetensors.numpy
from absl import logging
from orbax.checkpoint.checkpoint_managers import preservation_policy

from casjax.files import replacing

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "weights.safetensors"


class Checkpoints:
    """The checkpoints of one run, by step: the newest ones and the best by validation PSNR."""

    def __init__(self, folder: Path, *, newest_kept: int) -> None:
        """Open ``folder``, made if need be; what an interrupted save left there is removed."""
        logging.get_absl_handler().addFilter(_without_orbax_chatter)
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
                cleanup_tmp_directories=True,
            ),
        )

    def save(
        self,
        step: int,
        state: Any,
        *,
        metrics: Mapping[str, float] | None,
        config: Mapping[str, Any],
    ) -> None:
        """Write in the background the state after ``step`` steps; ``metrics`` has ``psnr``."""
        # Host arrays: any number of processes and devices can save and restore them.
        arrays = jax.tree.map(np.asarray, jax.device_get(state))
        args = ocp.args.Composite(
            state=ocp.args.StandardSave(arrays), config=ocp.args.JsonSave(dict(config))
        )
        self._manager.save(step, args=args, metrics=metrics, force=True)

    def latest_step(self) -> int | None:
        """The step of the newest complete checkpoint, or None."""
        return self._manager.latest_step()

    def restore(self, step: int, like: Any) -> tuple[Any, dict[str, Any]]:
        """The state (numpy, of the structure and shapes of ``like``) and config of a step."""
        restored = self._manager.restore(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardRestore(jax.tree.map(_abstract, like)),
                config=ocp.args.JsonRestore(),
            ),
        )
        return jax.tree.map(np.asarray, restored["state"]), restored["config"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Wait until everything is on disk."""
        self._manager.close()


def save_config(path: Path, config: Mapping[str, Any]) -> None:
    """Write a config as JSON, atomically."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


def save_weights(path: Path, variables: Any) -> None:
    """Write a network's variables, nested dicts of arrays, to a safetensors file, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        safetensors.numpy.save_file(_flatten(variables), temporary)


def load_weights(path: Path, like: Any) -> Any:
    """Read the variables of a network.

    Args:
      path: a safetensors file, or the workdir of a finished run.
      like: what to expect: nested dicts of anything with ``shape``.

    Returns:
      Nested dicts of float32 arrays.

    Raises:
      FileNotFoundError: there are no weights at ``path``.
      ValueError: the file is damaged, or made for another network: all differences are named.
    """
    file = path / WEIGHTS_FILE if path.is_dir() else path
    if not file.is_file():
        raise FileNotFoundError(
            f"{path}: no weights there; expected a .safetensors file or a finished workdir, "
            f"which has {WEIGHTS_FILE}"
        )
    try:
        arrays = safetensors.numpy.load_file(file)
    except safetensors.SafetensorError as error:
        raise ValueError(f"{file}: not a readable safetensors file ({error})") from error
    expected = {name: leaf.shape for name, leaf in _flatten(like).items()}
    differences = [f"missing {name}" for name in sorted(expected.keys() - arrays.keys())]
    differences += [f"unexpected {name}" for name in sorted(arrays.keys() - expected.keys())]
    differences += [
        f"{name} is {arrays[name].shape}, not {shape}"
        for name, shape in expected.items()
        if name in arrays and arrays[name].shape != shape
    ]
    if differences:
        raise ValueError(f"{file}: weights of another network: {'; '.join(differences)}")
    return flax.traverse_util.unflatten_dict(
        {name: array.astype(np.float32) for name, array in arrays.items()}, sep="/"
    )


def weights_sha256(variables: Any) -> str:
    """The SHA-256 of a network's variables, by name: equal if and only if all bits are."""
    digest = hashlib.sha256()
    for name, array in sorted(_flatten(variables).items()):
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _flatten(variables: Any) -> dict[str, Any]:
    flat = flax.traverse_util.flatten_dict(variables, sep="/")
    return {
        name: leaf if isinstance(leaf, jax.ShapeDtypeStruct) else np.asarray(leaf)
        for name, leaf in flat.items()
    }


def _abstract(leaf: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)


def _psnr(metrics: Mapping[str, float]) -> float:
    return metrics["psnr"]


def _without_orbax_chatter(record: python_logging.LogRecord) -> bool:
    """Pass on all but Orbax's sixty INFO lines a save, and its wish for metrics at each."""
    is_chatter = record.levelno < python_logging.WARNING or "did not provide metrics" in record.msg
    return not ("/orbax/" in record.pathname and is_chatter)
