"""Run an exported file: ``python -m casjax.export.run FORMAT FILE INPUTS.npz OUTPUTS.npz``.

Uses nothing of the code that made the file, so that what runs here runs elsewhere. The arrays in
INPUTS.npz are named CALL.INPUT by number: 0.0 is the first call's first input, 0.1 its second.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


def main(file_format: str, path: Path, inputs: Path, outputs: Path) -> None:
    """Run the file on every input."""
    restore = RUNNERS[file_format](path)
    calls: dict[str, list[np.ndarray]] = {}
    with np.load(inputs) as arrays:
        for name in arrays:
            calls.setdefault(name.split(".")[0], []).append(arrays[name])
    np.savez(outputs, *(np.asarray(restore(*call)) for call in calls.values()))


def _stablehlo(path: Path) -> Callable[..., Any]:
    from jax import export

    return export.deserialize(bytearray(path.read_bytes())).call


def _onnx(path: Path) -> Callable[..., Any]:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    return lambda *inputs: session.run(None, dict(zip(names, inputs, strict=True)))[0]


RUNNERS = {"stablehlo": _stablehlo, "onnx": _onnx}


if __name__ == "__main__":
    main(sys.argv[1], *(Path(argument) for argument in sys.argv[2:]))
