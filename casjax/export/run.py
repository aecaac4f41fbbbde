"""Run an exported file: ``python -m casjax.export.run FORMAT FILE INPUTS.npz OUTPUTS.npz``.

Uses none of what made the file, so that what runs here runs elsewhere. Each array of the inputs is
restored by itself.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


def main(file_format: str, path: Path, inputs: Path, outputs: Path) -> None:
    """Run the file on every input."""
    restore = RUNNERS[file_format](path)
    with np.load(inputs) as pictures:
        restored = [np.asarray(restore(picture)) for picture in pictures.values()]
    np.savez(outputs, *restored)


def _stablehlo(path: Path) -> Callable[[np.ndarray], Any]:
    from jax import export

    return export.deserialize(bytearray(path.read_bytes())).call


def _onnx(path: Path) -> Callable[[np.ndarray], Any]:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda degraded: session.run(None, {session.get_inputs()[0].name: degraded})[0]


RUNNERS = {"stablehlo": _stablehlo, "onnx": _onnx}


if __name__ == "__main__":
    main(sys.argv[1], *(Path(argument) for argument in sys.argv[2:]))
