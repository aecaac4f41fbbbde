"""Restore photographs: ``casjax restore photo.jpg``.

Results are written beside the photographs, as PNG files with `-restored` in their names, or as
given by -o. Exit status: 0 all restored, 1 some failed, 2 wrong usage, 130 interrupted, 141 if the
reader of the picture on standard output stops early.
"""

import argparse
import contextlib
import importlib.util
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from casjax.cli import ExitStatus
from casjax.files import remove_abandoned
from casjax.images.writing import SUFFIXES
from casjax.restoration.jobs import (
    ClusterError,
    Job,
    Plan,
    UsageError,
    plan,
)
from casjax.restoration.options import SUBSAMPLINGS, Options
from casjax.restoration.progress import Progress, say

if TYPE_CHECKING:
    from casjax.restoration.running import Outcome


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    try:
        return restore(arguments)
    except KeyboardInterrupt:
        say("\ninterrupted; with --resume the same command continues", sys.stderr)
        return ExitStatus.INTERRUPTED
    except BrokenPipeError:  # nobody reads the picture any more
        return ExitStatus.READER_GONE
    finally:
        say("", sys.stdout, end="")  # flush what is left to print, of --help say


def restore(arguments: Sequence[str] | None) -> int:
    """Execute the command line and return the exit status."""
    parser = make_parser()
    given = parser.parse_args(arguments)
    options = options_of(given)
    try:
        todo = plan(
            given.inputs,
            output=given.output,
            file_format=given.format,
            only_jpeg=options.qf is None and options.model is None,
            overwrite=options.overwrite,
            compare=options.compare,
            is_framed=options.frames == "each",
        )
        check_streams(todo, options)
        if given.ray:
            check_cluster(todo, options)
        elif given.workers:
            raise UsageError("--workers is for a cluster: it needs --ray")
        if not todo.jobs and not todo.missing:
            among = "; ".join(what_is_left_out(todo))
            among = f": {among}" if among else ""
            raise UsageError(f"no pictures to restore in {', '.join(given.inputs)}{among}")
        if given.failures:
            check_failures(Path(given.failures), todo)
        if not given.ray:  # its workers do it themselves
            prepare(options)
        failures = list_of_failures(given.failures)
    except (ValueError, OSError) as error:
        parser.error(" ".join(str(error).split()))
    sizes = [0] * len(todo.missing) + [size_of(job) for job in todo.jobs]
    progress = Progress(sys.stderr, sizes=sizes, quiet=given.quiet)
    jobs_run = (
        run_on_cluster(todo, options, address=given.ray, workers=given.workers)
        if given.ray
        else run_here(todo, options, progress)
    )
    try:
        with failures:
            for line in what_is_left_out(todo) if not given.quiet else []:
                say(line, sys.stderr)
            for folder in {job.destination.parent for job in todo.jobs if job.destination}:
                remove_abandoned(folder)
            for name, reason in todo.missing.items():
                fail(f"{name}: {reason}", name, progress, failures)
            follow(jobs_run, progress, failures)
    except ClusterError as error:
        say(f"error: {error}; the same command continues", sys.stderr)
        return ExitStatus.FAILED
    except BrokenPipeError:
        raise
    except OSError as error:  # not of a picture, but of the list of failures, say
        place = "" if error.filename else f"--failures {given.failures}: "
        say(f"error: {place}{error}", sys.stderr)
        return ExitStatus.FAILED
    progress.summarise()
    return ExitStatus.FAILED if progress.failed else ExitStatus.DONE


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="casjax restore",
        description="Remove JPEG compression artifacts from photographs.",
        epilog="Exit status: 0 all restored, 1 some failed, 2 wrong usage, 130 interrupted.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("inputs", nargs="+", metavar="INPUT", help="file, folder, glob pattern, or - for stdin")

    result = parser.add_argument_group("the result")
    add = result.add_argument
    add("-o", "--output", help="file, folder, pattern such as '{folder}/{stem}.png', or - (stdout)")
    add("--format", choices=list(SUFFIXES), help="of the result; default: by its suffix, or png")
    add("--output-quality", type=number(1, 100), metavar="N", help="of JPEG (95) and lossy WebP")
    add("--subsampling", choices=SUBSAMPLINGS, default="4:4:4", help="of JPEG")
    add(
        "--strip",
        action="store_true",
        help="drop all metadata except what defines the colours, such as ICC profiles",
    )
    add("--keep-date", action="store_true", help="give results the date of their files")
    add("--compare", action="store_true", help="also write before, after and difference as PNG")
    finished = result.add_mutually_exclusive_group()
    finished.add_argument("--overwrite", action="store_true", help="replace results that exist")
    finished.add_argument("--resume", action="store_true", help="skip results that exist")

    network = parser.add_argument_group("the network")
    add = network.add_argument
    add("--qf", type=number(1, 100), metavar="N", help="quality factor; default: the file's own")
    add(
        "--model",
        metavar="NAME",
        help="network that ships, or workdir of a run; default: that for colour, or for grey "
        "files and with --luma that of the nearest quality",
    )
    add("--luma", action="store_true", help="use the networks for luma")
    add("--chroma", action="store_true", help="restore colour as well with a network for luma")
    add(
        "--consistent",
        action=argparse.BooleanOptionalAction,
        help="keep within what the file's coefficients allow; default: with a network for colour "
        "unless --qf is given, or one made for another quality, but not in files saved twice",
    )
    add("--ensemble", action="store_true", help="average eight flips and turns: 8 times the work")
    add(
        "--strength",
        type=share,
        default=1,
        metavar="S",
        help="of what is changed, 0 (the picture as it is) to 1, the default",
    )
    add(
        "--memory",
        type=memory_size,
        metavar="SIZE",
        help="for a tile, such as 2GB; default: at most half of the free memory, on CPUs 1.25GB",
    )

    machines = parser.add_argument_group("many machines")
    add = machines.add_argument
    add("--ray", metavar="ADDRESS", help="of a Ray cluster to run on, or local; implies --resume")
    add(
        "--workers", type=number(1, 10**4), metavar="N", help="default: one per GPU, or per machine"
    )

    files = parser.add_argument_group("reading and reporting")
    add = files.add_argument
    add("--frames", choices=["first", "each"], help="of files with several pictures")
    add("--salvage", action="store_true", help="restore damaged files as far as possible")
    add("--max-megapixels", type=number(1, 10**6), default=200, metavar="N", help="default: 200")
    add("--failures", metavar="FILE", help="list failures in this file, as lines of JSON")
    add(
        "--explain",
        action="store_true",
        help="print what was read from each file, and the choice",
    )
    add("-q", "--quiet", action="store_true", help="print only errors")
    return parser


def number(lowest: int, highest: int) -> Callable[[str], int]:
    """Return the parser of an integer option."""

    def parse(text: str) -> int:
        if not text.isdecimal() or not lowest <= int(text) <= highest:
            raise argparse.ArgumentTypeError(f"expected {lowest} to {highest}, got {text!r}")
        return int(text)

    return parse


def share(text: str) -> float:
    """Parse a number from 0 to 1."""
    if not re.fullmatch(r"\d*\.?\d+", text) or not 0 <= float(text) <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, got {text!r}")
    return float(text)


def memory_size(text: str) -> int:
    """Parse an amount of memory, such as 500MB or 2GiB, both in powers of 1024, into bytes."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([MG])(?:i?B)?", text, re.IGNORECASE)
    if not match:
        raise argparse.ArgumentTypeError(f"expected a size such as 500MB or 2GB, got {text!r}")
    return int(float(match[1]) * 2 ** (20 if match[2].upper() == "M" else 30))


def options_of(given: argparse.Namespace) -> Options:
    """Return the options of the command line that concern a single picture."""
    return Options(**{field.name: getattr(given, field.name) for field in fields(Options)})


def check_streams(todo: Plan, options: Options) -> None:
    """Refuse what standard output cannot take."""
    if all(job.destination for job in todo.jobs):
        return
    if options.compare:
        raise UsageError("--compare needs a result that is a file")
    if sys.stdout.isatty():
        raise UsageError(
            "the picture would go to the terminal: redirect it, or name a file with -o"
        )


def check_cluster(todo: Plan, options: Options) -> None:
    """Refuse what a cluster cannot do."""
    if not importlib.util.find_spec("ray"):
        raise UsageError("--ray needs Ray, which is not installed: pip install 'casjax[ray]'")
    if options.overwrite or options.explain:
        raise UsageError("--overwrite and --explain are for one machine, without --ray")
    if not all(job.source and job.destination for job in todo.jobs):
        raise UsageError("standard input and output are for one machine, without --ray")


def what_is_left_out(todo: Plan) -> list[str]:
    """Say how many files in folders are not restored, and why."""
    lines = []
    if todo.other_formats:
        lines.append(
            f"left out {todo.other_formats} files that are not JPEGs: name them individually, "
            "or give --qf or --model"
        )
    if todo.results:
        lines.append(f"left out {todo.results} files that are results of earlier runs")
    return lines


def check_failures(path: Path, todo: Plan) -> None:
    """Refuse to write the list of failures over anything but an older one."""
    place = os.path.realpath(path)
    pictures = [job.source for job in todo.jobs if job.source]
    pictures += [path for job in todo.jobs for path in job.written(compare=True)]
    if place in map(os.path.realpath, pictures):
        raise UsageError(f"--failures {path}: that is a picture: name a file for the list")
    if path.is_file() and path.stat().st_size and not is_list_of_failures(path):
        raise UsageError(f"--failures {path}: it exists, but is no such list: name another file")


def is_list_of_failures(path: Path) -> bool:
    """Return whether a file starts like a list of failures."""
    with path.open("rb") as file:
        line = file.readline(2**20)
    try:
        return json.loads(line).keys() == {"source", "error"}
    except (ValueError, AttributeError):
        return False


def list_of_failures(path: str | None) -> TextIO:
    """Open the requested file, or one that discards everything."""
    return open(path or os.devnull, "w", encoding="utf-8")


def size_of(job: Job) -> int:
    """Return the size of a job's file in bytes; 0 if unknown."""
    try:
        return job.source.stat().st_size if job.source else 0
    except OSError:
        return 0


def prepare(options: Options) -> None:
    """Import JAX and load the network if it is already known: errors there are wrong usage."""
    from casjax.restoration import running

    running.prepare(options)


def run_here(todo: Plan, options: Options, progress: Progress) -> Iterator["Outcome"]:
    """Do the work in this process; yield the outcome of each picture."""
    from casjax.restoration import running

    for job in todo.jobs:
        progress.begin(job.name)
        yield running.run_job(job, options)


def run_on_cluster(
    todo: Plan, options: Options, *, address: str, workers: int | None
) -> Iterator["Outcome"]:
    """Do the work on a cluster; yield the outcome of each picture."""
    from casjax.restoration import cluster

    yield from cluster.run_jobs(todo.jobs, options, address=address, workers=workers)


def follow(outcomes: Iterable["Outcome"], progress: Progress, failures: TextIO) -> None:
    """Report the outcome of each picture; failures are listed, and do not stop the others."""
    for outcome in outcomes:
        match outcome.kind:
            case "restored":
                progress.restore(outcome.message, pixels=outcome.pixels)
            case "skipped":
                progress.skip(outcome.message)
            case "failed":
                fail(outcome.message, outcome.name, progress, failures)


def fail(message: str, name: str, progress: Progress, failures: TextIO) -> None:
    """Report and list a failed input."""
    progress.fail(message)
    with contextlib.suppress(OSError):  # a full disk, say: tried again when the list is closed
        print(json.dumps({"source": name, "error": message}), file=failures, flush=True)


if __name__ == "__main__":
    sys.exit(main())
