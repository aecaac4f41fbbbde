"""A network's weights on disk: safetensors, which any tool can read and which hold no code."""

import hashlib
from pathlib import Path
from typing import Any

import flax.traverse_util
import jax
import numpy as np
import safetensors
import safetensors.numpy

from casjax.files import replacing
from casjax.networks.workdir import WEIGHTS_FILE


def save_weights(path: Path, variables: Any) -> None:
    """Write a network's variables, nested dicts of arrays, to a safetensors file, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        try:
            safetensors.numpy.save_file(_flatten(variables), temporary)
        except safetensors.SafetensorError as error:
            raise OSError(f"{path} could not be written ({error})") from error


def load_weights(path: Path, like: Any) -> Any:
    """Read the variables of a network.

    Args:
      path: a safetensors file, or the workdir of a finished run.
      like: the expected variables: nested dicts of anything with ``shape``.

    Returns:
      Nested dicts of float32 arrays.

    Raises:
      FileNotFoundError: there are no weights at ``path``.
      ValueError: the file is damaged, of another network, or not finite; the message names all
        differences, or all such arrays.
    """
    file = require_weights(path)
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
    broken = [name for name, array in arrays.items() if not np.isfinite(array).all()]
    if broken:
        raise ValueError(f"{file}: values that are not finite in {', '.join(broken)}")
    return flax.traverse_util.unflatten_dict(
        {name: array.astype(np.float32) for name, array in arrays.items()}, sep="/"
    )


def are_weights_of(path: Path, like: Any) -> bool:
    """Return whether a file's arrays match a network by name and shape; see `load_weights`.

    Raises:
      FileNotFoundError: there are no weights at ``path``.
      ValueError: the file is damaged.
    """
    file = require_weights(path)
    try:
        with safetensors.safe_open(file, framework="numpy") as arrays:
            names = arrays.keys()
            shapes = {name: tuple(arrays.get_slice(name).get_shape()) for name in names}
    except safetensors.SafetensorError as error:
        raise ValueError(f"{file}: not a readable safetensors file ({error})") from error
    return shapes == {name: leaf.shape for name, leaf in _flatten(like).items()}


def weights_sha256(variables: Any) -> str:
    """Return the SHA-256 of a network's variables: equal if and only if all bits are."""
    digest = hashlib.sha256()
    for name, array in sorted(_flatten(variables).items()):
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def require_weights(path: Path) -> Path:
    """Return the file of weights that a path, a file's or a finished run's, stands for.

    Raises:
      FileNotFoundError: there are none.
    """
    file = path / WEIGHTS_FILE if path.is_dir() else path
    if not file.is_file():
        raise FileNotFoundError(
            f"{path}: no weights there; expected a .safetensors file or a finished workdir, "
            f"which has {WEIGHTS_FILE}"
        )
    return file


def _flatten(variables: Any) -> dict[str, Any]:
    flat = flax.traverse_util.flatten_dict(variables, sep="/")
    return {
        name: leaf if isinstance(leaf, jax.ShapeDtypeStruct) else np.asarray(leaf)
        for name, leaf in flat.items()
    }
