"""Measure the speed of casjax on this machine: ``casjax benchmark``.

Each figure is compared with the machine's own limit, measured at the same time, and on request
(``--compare torch``) with PyTorch on the same network. Exit status: 0 done, 1 a part failed, 2
wrong usage, 130 interrupted.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from casjax.cli import ExitStatus
from casjax.files import write_json

PARTS = (
    "inference",
    "train_step",
    "feeding",
    "jpeg",
    "metrics",
    "evaluation",
    "start_up",
    "memory",
    "growth",
)
NOT_ASKED = {"growth"}  # runs only on request
# Compiling a training step of CAS-CNN alone can take a minute.
NOT_QUICK = {"train_step", "evaluation", "start_up", "memory", "growth"}
COLUMNS = "{:<34} {:<13} {:<8} {:<8} {:<13} {:>9} {:>9} {:>9} {:<10} {:>8} {:>8}"
TITLES = ("what", "by", "network", "dtype", "shape", "min", "median", "max", "", "/ limit")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = make_parser()
    options = parser.parse_args(arguments)
    # PyTorch needs device memory too, and peaks should measure memory needed, not reserved.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    try:
        settings = make_settings(options)
    except ValueError as error:
        parser.error(str(error))
    machine = describe()
    print("  ".join(f"{key} {value}" for key, value in machine.items()))
    print(COLUMNS.format(*TITLES, "/ torch"))
    records: list[dict[str, Any]] = []
    failed = False
    for part in options.only or default_parts(options.quick):
        try:
            for record in run_part(part, settings, options):
                print(row(record), flush=True)
                records.append(record | {"machine": machine})
        except (OSError, RuntimeError, ValueError) as error:
            print(f"{part}: {' '.join(str(error).split())}", file=sys.stderr)
            # Missing images are not a failure of what is measured.
            failed |= not isinstance(error, FileNotFoundError)
        except KeyboardInterrupt:
            print(f"\n{part}: interrupted", file=sys.stderr)
            return ExitStatus.INTERRUPTED
        finally:
            if options.json:
                write_json(options.json, records)
    return ExitStatus.FAILED if failed else ExitStatus.DONE


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="casjax benchmark",
        description="Measure the speed of casjax on this machine, against the machine's limits.",
        epilog="Exit status: 0 done, 1 a part failed, 2 wrong usage, 130 interrupted.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--only", type=names(PARTS), metavar="PARTS", help=f"some of {', '.join(PARTS)}")
    add("--models", type=names(), metavar="NAMES", help="networks; default: all")
    add(
        "--dtypes",
        type=names(("float32", "bfloat16", "mixed")),
        metavar="DTYPES",
        help="default: float32, and on accelerators also bfloat16; mixed: of cascnn only, compared "
        "with bfloat16",
    )
    add(
        "--compare",
        choices=["torch"],
        help="also run networks that exist in PyTorch there, in turn",
    )
    add(
        "--batches",
        type=counts,
        default=[],
        metavar="SIZES",
        help="batch sizes for networks and training; default: several",
    )
    add("--quick", action="store_true", help="small pictures, no training")
    add("--calls", type=count, default=10, metavar="N", help="timed calls of each; default: 10")
    add("--seconds", type=float, default=30, metavar="S", help="time limit for each; default: 30")
    add(
        "--max-megapixels",
        type=float,
        default=20,
        metavar="N",
        help="skip larger pictures; default: 20",
    )
    add("--json", type=Path, metavar="FILE", help="write the figures to this file")
    return parser


def count(text: str) -> int:
    """Parse a number of calls."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {text!r}")
    return int(text)


def counts(text: str) -> list[int]:
    """Parse a comma-separated list of numbers."""
    return [count(number) for number in text.split(",")]


def names(choices: Sequence[str] | None = None) -> Callable[[str], list[str]]:
    """Return the parser of a comma-separated list of names."""

    def parse(text: str) -> list[str]:
        found = text.split(",")
        unknown = [name for name in found if choices and name not in choices]
        if unknown:
            expected = ", ".join(choices or ())
            raise argparse.ArgumentTypeError(f"no {', '.join(unknown)}: expected {expected}")
        return found

    return parse


def default_parts(quick: bool) -> list[str]:
    """Return the parts that are measured by default."""
    return [part for part in PARTS if part not in (NOT_QUICK if quick else NOT_ASKED)]


def make_settings(options: argparse.Namespace) -> Any:
    """Import JAX and return the `parts.Settings` for the command line.

    Raises:
      ValueError: an option is not available.
    """
    import importlib.util

    from casjax.benchmark import networks
    from casjax.benchmark.parts import Settings
    from casjax.models import MODELS
    from casjax.networks import compilation
    from casjax.networks.circumstances import require_devices

    require_devices()
    compilation.cache_compilations()
    models = options.models or sorted(MODELS)
    unknown = sorted(set(models) - MODELS.keys())
    if unknown:
        raise ValueError(f"no network {', '.join(unknown)}: expected {', '.join(sorted(MODELS))}")
    if "mixed" in (options.dtypes or []) and models != ["cascnn"]:
        raise ValueError("--dtypes mixed needs --models cascnn, the only network that has it")
    if options.json and not os.access(options.json.parent, os.W_OK):
        raise ValueError(f"--json {options.json}: cannot write to {options.json.parent}")
    if options.json and options.json.is_dir():
        raise ValueError(f"--json {options.json}: it is a folder, expected a file")
    if options.compare and importlib.util.find_spec("torch") is None:
        raise ValueError("--compare torch needs PyTorch: pip install -e '.[torch]'")
    return Settings(
        models=models,
        dtypes=options.dtypes or networks.default_dtypes(),
        compare=options.compare is not None,
        quick=options.quick,
        max_megapixels=options.max_megapixels,
        batches=options.batches,
    )


def run_part(part: str, settings: Any, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Measure a part, record by record."""
    from casjax.benchmark.parts import IN_THIS_PROCESS
    from casjax.benchmark.processes import IN_PROCESSES
    from casjax.benchmark.timing import measure

    if part in IN_PROCESSES:
        yield from IN_PROCESSES[part](settings)
        return
    for case in IN_THIS_PROCESS[part](settings):
        yield from measure(case, calls=options.calls, seconds=options.seconds)


def describe() -> dict[str, Any]:
    """Describe what a figure depends on."""
    import jax

    from casjax.networks.circumstances import machine, versions

    return {"device": jax.devices()[0].device_kind, **machine(), **versions()}


def row(record: Mapping[str, Any]) -> str:
    """Format a record as a row of the table."""
    ratios = (
        "" if record[key] is None else f"{record[key]:.2f}"
        for key in ("ratio_to_limit", "ratio_to_torch")
    )
    return COLUMNS.format(
        f"{record['name']} {record['detail']}".strip(),
        record["library"],
        record["model"],
        record["dtype"],
        "x".join(map(str, record["shape"])),
        *(f"{record[key]:.4g}" for key in ("min", "median", "max")),
        record["unit"],
        *ratios,
    ).rstrip()


if __name__ == "__main__":
    sys.exit(main())
