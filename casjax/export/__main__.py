"""Write a network for other programs: ``casjax export cascnn-qf20``.

Writes NAME.stablehlo for JAX, NAME.onnx for ONNX Runtime and similar runtimes, and NAME.json, which
describes inputs and output, how long the files can be used and how to make them again. Each file is
first run in a fresh process and compared with the network. Exit status: 0 done, 1 a file computes
something else, 2 wrong usage, 130 interrupted.
"""

import argparse
import dataclasses
import datetime
import importlib.util
import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import casjax
from casjax.cli import ExitStatus
from casjax.files import replacing, write_json

if TYPE_CHECKING:
    import numpy as np

    from casjax.networks.pretrained import Network

# With the libraries that each needs besides the package's own.
FORMATS = {"stablehlo": (), "onnx": ("onnx", "onnxruntime")}
PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
TOLERANCE = 1e-4  # of white: a fortieth of a uint8 level
SHAPES = ((1, 64, 88), (2, 104, 72))  # compared: batch, height, width; fit any alignment


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    try:
        return check_and_export(arguments)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return ExitStatus.INTERRUPTED


def check_and_export(arguments: Sequence[str] | None) -> int:
    """Execute the command line and return the exit status."""
    parser = make_parser()
    options = parser.parse_args(arguments)
    paths = [file_of(options, end) for end in options.formats]
    description = file_of(options, "json")
    try:
        require_libraries(options.formats)
        existing = [path for path in paths if path.exists()]
        if description.exists() and earlier_facts(options).get("network") != options.network:
            existing.append(description)
        if existing and not options.overwrite:
            raise ValueError(f"{existing[0]} exists: --overwrite replaces it")
        from casjax.models import vary
        from casjax.networks import compilation, pretrained
        from casjax.networks.circumstances import require_devices

        require_devices("cpu")  # where the files are compared with the network
        compilation.cache_compilations()
        network = pretrained.load_network(options.network)
        # Every platform runs this formulation, and it is exact, whatever was used in training.
        model = vary(network.model, convolution="direct", dtype="float32")
        network = dataclasses.replace(network, model=model)
        if "onnx" in options.formats:
            from casjax.export.onnx_graph import require_graph

            require_graph(model)
        options.output.mkdir(parents=True, exist_ok=True)
    except (ValueError, OSError) as error:
        parser.error(" ".join(str(error).split()))
    try:
        export(network, options)
    except (ValueError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return ExitStatus.FAILED
    return ExitStatus.DONE


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="casjax export",
        description="Write a network as StableHLO and ONNX, weights included, for any batch, "
        "height and width.",
        epilog="Exit status: 0 done, 1 a file computes something else, 2 wrong usage, 130 "
        "interrupted.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("network", help="name of a shipped network, or the workdir of a finished run")
    add("-o", "--output", type=Path, default=Path(), metavar="FOLDER", help="default: this one")
    add("--formats", nargs="+", choices=FORMATS, default=list(FORMATS), help="default: both")
    add(
        "--platforms",
        nargs="+",
        choices=PLATFORMS,
        default=["cpu", "cuda", "tpu"],
        help="for the StableHLO file, besides cpu, where it is checked; default: cpu cuda tpu",
    )
    add("--overwrite", action="store_true", help="replace existing files")
    return parser


def name_of(options: argparse.Namespace) -> str:
    """Return the name of the files: the network's, or that of its workdir."""
    return Path(options.network).resolve().name


def file_of(options: argparse.Namespace, ending: str) -> Path:
    """Return the path of a file: a format's, or the description, ``json``."""
    return options.output / f"{name_of(options)}.{ending}"


def earlier_facts(options: argparse.Namespace) -> dict[str, Any]:
    """Return the description of files that are there already; empty if there is none of ours."""
    try:
        facts = json.loads(file_of(options, "json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    is_ours = isinstance(facts, dict) and isinstance(facts.get("files"), dict)
    return facts if is_ours else {}


def require_libraries(formats: Sequence[str]) -> None:
    """Refuse formats whose libraries are not installed."""
    for file_format in formats:
        for library in FORMATS[file_format]:
            if importlib.util.find_spec(library) is None:
                raise ValueError(
                    f"{file_format} needs {library}: pip install 'casjax[export]', or leave it "
                    "out with --formats"
                )


def export(network: "Network", options: argparse.Namespace) -> None:
    """Write the files, each one only if it agrees with the network.

    Raises:
      ValueError: a file does not agree, or this network cannot be written.
    """
    from casjax.export.function import white

    facts, peak = describe(network), white(network.model)
    inputs = noise(network)
    expected = restored(network, inputs)
    for file_format in options.formats:
        content = serialize(network, file_format, facts, options.platforms)
        path = file_of(options, file_format)
        with replacing(path) as temporary:
            temporary.write_bytes(content)
            difference = largest_difference(file_format, temporary, inputs, expected) / peak
            if not difference <= TOLERANCE:
                raise ValueError(
                    f"{path} is not written: it differs from the network by {difference:.1e}, "
                    f"expected at most {TOLERANCE:.0e}"
                )
        print(f"{path}: {len(content) / 1e6:.1f} MB, within {difference:.1e} of the network")
    earlier = earlier_facts(options)
    is_same = earlier.get("network") == options.network
    others = {
        file_format: about
        for file_format, about in (earlier["files"] if is_same else {}).items()
        if file_of(options, file_format).exists()
    }
    files = {file_format: about_file(file_format, options) for file_format in options.formats}
    write_json(file_of(options, "json"), {**facts, "files": {**others, **files}})


def describe(network: "Network") -> dict[str, str]:
    """Return what users of the files must know, as texts by name, the form of ONNX's metadata."""
    from casjax.images.codecs import CODECS
    from casjax.networks.colour import is_for_colour
    from casjax.networks.inference import context

    lowest, highest = network.qualities
    alignment, overlap = network.model.alignment, context(network.model)
    sizes = f"multiples of {alignment}; pad others with their edge, at the bottom and the right"
    codec = CODECS[network.codec]["format"]
    purpose = f"removes the artifacts of {codec} quality {lowest} to {highest} from"
    if is_for_colour(network.model):
        seen = {
            "purpose": f"{purpose} luma and chroma",
            "input": "degraded, float32 [batch, height, width, 3]: the planes Y, Cb and Cr of a "
            "decoded JPEG, in 0..255, chroma enlarged to all pixels",
            "tables": "tables, float32 [batch, 2, 8, 8]: the quantisation steps of luma, and those "
            "of chroma",
            "output": "float32 of the input's shape and unit, clipped to 0..255 and not rounded",
        }
    else:
        seen = {
            "purpose": f"{purpose} luma",
            "input": f"float32 [batch, height, width, 1]: luma of a decoded {codec}, as MATLAB's "
            "rgb2ycbcr gives it, divided by 255: black is 16/255, white 235/255",
            "output": "float32 of the input's shape and range, clipped to [0, 1]",
        }
    return {
        "network": network.name,
        **seen,
        "height and width": sizes if alignment > 1 else "any",
        "context": f"{overlap} pixels: tiles leave no seams if each is cropped by that much at "
        "borders inside the picture"
        + (f", and all begin and end at multiples of {alignment}" if alignment > 1 else ""),
        "casjax": casjax.__version__,
    }


def about_file(file_format: str, options: argparse.Namespace) -> dict[str, str]:
    """Return how long a file can be used, and how to make it again, as texts by name.

    Sources: JAX's documentation of `jax.export`, "Compatibility guarantees", which counts from when
    a jaxlib was built (jaxlib itself does not say when); ONNX Runtime's documentation of versions.
    """
    again = ["casjax", "export", options.network, "-o", str(options.output)]
    again += ["--overwrite", "--formats", file_format]
    if file_format == "onnx":
        from casjax.export.onnx_graph import IR_VERSION, OPSET

        serves = (
            "without a fixed end: every ONNX Runtime for "
            f"opset {OPSET}, IR version {IR_VERSION}, or later"
        )
    else:
        import jaxlib

        serves = (
            "JAX guarantees it for a jaxlib built up to 6 months after jaxlib "
            f"{jaxlib.__version__} was, or up to 3 weeks before; what counts is when they were "
            "built, not when this file was written"
        )
        again += ["--platforms", *options.platforms]
    return {
        "written": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "serves": serves,
        "made anew by": shlex.join(again),
    }


def serialize(
    network: "Network", file_format: str, facts: dict[str, str], platforms: Sequence[str]
) -> bytes:
    """Return the content of a file."""
    if file_format == "onnx":
        from casjax.export.onnx_graph import export_onnx

        return export_onnx(network.model, network.variables, metadata=facts)
    from casjax.export.stablehlo import export_stablehlo

    every = list(dict.fromkeys(["cpu", *platforms]))
    return export_stablehlo(network.model, network.variables, platforms=every)


def noise(network: "Network") -> list[list["np.ndarray"]]:
    """Return the inputs of each test call: noise, in which no error can hide."""
    import numpy as np

    from casjax.export.function import input_shapes, white

    generator = np.random.default_rng(0)
    peak = white(network.model)
    lowest = peak // 255  # of quantisation steps, where there are any
    return [
        [
            generator.uniform(lowest, peak, shape).astype(np.float32)
            for shape in input_shapes(network.model, *size)
        ]
        for size in SHAPES
    ]


def restored(network: "Network", inputs: list[list["np.ndarray"]]) -> list["np.ndarray"]:
    """Return the network's own output for each call."""
    import jax
    import numpy as np

    from casjax.export.function import restore

    run = jax.jit(restore, static_argnums=0)
    with jax.default_device(jax.devices("cpu")[0]):  # exact, as the files are run
        return [np.asarray(run(network.model, network.variables, *call)) for call in inputs]


def largest_difference(
    file_format: str,
    path: Path,
    inputs: list[list["np.ndarray"]],
    expected: list["np.ndarray"],
) -> float:
    """Run a file in a fresh process and return its error at the worst pixel.

    Raises:
      ValueError: the file does not run.
    """
    import numpy as np

    with tempfile.TemporaryDirectory() as folder:
        given, outputs = Path(folder, "inputs.npz"), Path(folder, "outputs.npz")
        named: dict[str, Any] = {
            f"{i}.{j}": x for i, call in enumerate(inputs) for j, x in enumerate(call)
        }
        np.savez(given, **named)
        program = [sys.executable, "-m", "casjax.export.run"]
        done = subprocess.run(
            [*program, file_format, str(path), str(given), str(outputs)],
            capture_output=True,
            text=True,
            env=os.environ | {"JAX_PLATFORMS": "cpu"},
        )
        if done.returncode:
            reason = done.stderr.strip().splitlines()[-1:] or [f"status {done.returncode}"]
            raise ValueError(f"the {file_format} file does not run: {reason[0]}")
        with np.load(outputs) as restored:
            pairs = zip(restored.values(), expected, strict=True)
            # NumPy's, because Python's would overlook what is not a number.
            return float(np.max([np.abs(ours - theirs).max() for theirs, ours in pairs]))


if __name__ == "__main__":
    sys.exit(main())
