"""Restore photographs: ``python -m casjax.restore photo.jpg``.

Results are written beside the photographs, as PNG files with `-restored` in their names, or
where -o says. Exit status: 0 all restored, 1 some failed, 2 wrong usage, 130 interrupted.
"""

import argparse
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from casjax.images import write_png
from casjax.images.metadata import Metadata, upright
from casjax.images.photographs import Photograph, read_photograph
from casjax.images.writing import SUFFIXES, encode, write_atomically
from casjax.restoration.comparison import compare
from casjax.restoration.jobs import Job, Plan, UsageError, plan
from casjax.restoration.progress import Progress

COMPARISON_ENDING = "-compare.png"
UNLIKE = 10  # quality factors between a file and its network from which on a note is given


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = make_parser()
    options = parser.parse_args(arguments)
    try:
        todo = plan(
            options.inputs,
            output=options.output,
            file_format=options.format,
            only_jpeg=options.qf is None and options.model is None,
        )
        check_streams(todo, options)
        if not todo.jobs and not todo.missing:
            raise UsageError(f"no pictures to restore in {', '.join(options.inputs)}")
        prepare(options)
    except (ValueError, OSError) as error:
        parser.error(" ".join(str(error).split()))
    sizes = [0] * len(todo.missing) + [size_of(job) for job in todo.jobs]
    progress = Progress(sys.stderr, sizes=sizes, quiet=options.quiet)
    try:
        restore_all(todo, options, progress)
    except KeyboardInterrupt:
        print("\ninterrupted; with --resume the same command goes on", file=sys.stderr)
        return 130
    progress.summarise()
    return 1 if progress.failed else 0


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m casjax.restore",
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
    add("--subsampling", choices=["4:4:4", "4:2:2", "4:2:0"], default="4:4:4", help="of JPEG")
    add("--strip", action="store_true", help="drop EXIF, XMP and resolution; keep ICC profiles")
    add("--compare", action="store_true", help="also write before, after and difference as PNG")
    finished = result.add_mutually_exclusive_group()
    finished.add_argument("--overwrite", action="store_true", help="replace results that exist")
    finished.add_argument("--resume", action="store_true", help="skip results that exist")

    network = parser.add_argument_group("the network")
    add = network.add_argument
    add("--qf", type=number(1, 100), metavar="N", help="quality factor; default: the file's tables")
    add(
        "--model",
        metavar="NAME",
        help="network that ships, or workdir of a run; default: by quality",
    )
    add("--chroma", action="store_true", help="restore colour as well as luma")
    add("--consistent", action="store_true", help="keep within what the file's coefficients allow")
    add("--ensemble", action="store_true", help="average eight flips and turns: 8 times the work")
    add(
        "--memory",
        type=memory_size,
        metavar="SIZE",
        help="for a tile, as 2GB; default: half of the free",
    )

    files = parser.add_argument_group("reading and saying")
    add = files.add_argument
    add("--salvage", action="store_true", help="restore damaged files as far as they go")
    add("--max-megapixels", type=number(1, 10**6), default=200, metavar="N", help="default: 200")
    add("--explain", action="store_true", help="print what was read from each file and chosen")
    add("-q", "--quiet", action="store_true", help="say nothing but errors")
    return parser


def number(lowest: int, highest: int) -> Callable[[str], int]:
    """Return the parser of an integer option."""

    def parse(text: str) -> int:
        if not text.isdecimal() or not lowest <= int(text) <= highest:
            raise argparse.ArgumentTypeError(f"expected {lowest} to {highest}, got {text!r}")
        return int(text)

    return parse


def memory_size(text: str) -> int:
    """Parse an amount of memory, such as 500MB or 2GiB, both in powers of 1024, into bytes."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([MG])(?:i?B)?", text, re.IGNORECASE)
    if not match:
        raise argparse.ArgumentTypeError(f"expected a size such as 500MB or 2GB, got {text!r}")
    return int(float(match[1]) * 2 ** (20 if match[2].upper() == "M" else 30))


def check_streams(todo: Plan, options: argparse.Namespace) -> None:
    """Refuse what standard output cannot take."""
    if all(job.destination for job in todo.jobs):
        return
    if options.compare:
        raise UsageError("--compare needs a result that is a file")
    if sys.stdout.isatty():
        raise UsageError("the picture would go to the terminal: redirect it, or name a file by -o")


def prepare(options: argparse.Namespace) -> None:
    """Import JAX and load the network if it is known which: what is wrong there is wrong usage."""
    from casjax import inference
    from casjax.restoration import pictures

    inference.cache_compilations()
    if options.model is None and options.qf is not None:
        options.model = pictures.nearest_network(options.qf)
    if options.model is not None:
        pictures.load_restorer(options.model, options.memory)


def size_of(job: Job) -> int:
    """Return the size of a job's file in bytes; what cannot be told counts as none."""
    try:
        return job.source.stat().st_size if job.source else 0
    except OSError:
        return 0


def restore_all(todo: Plan, options: argparse.Namespace, progress: Progress) -> None:
    """Restore picture by picture; what fails is said and does not stop the others."""
    if todo.left_out and not options.quiet:
        print(f"left out {todo.left_out} files that are no JPEG: they need --qf", file=sys.stderr)
    for reason in todo.missing:
        progress.fail(reason)
    for job in todo.jobs:
        if options.resume and job.destination and job.destination.exists():
            progress.skip(f"{job.name}: finished before, {job.destination}")
            continue
        progress.begin(job.name)
        start = time.monotonic()
        try:
            pixels, outcome = restore_one(job, options)
        except Exception as error:  # whatever happens to one file, the others are restored
            reason = " ".join(str(error).split()) or type(error).__name__
            progress.fail(reason if job.name in reason else f"{job.name}: {reason}")
        else:
            seconds = time.monotonic() - start
            progress.restore(f"{job.name}{outcome}, {seconds:.1f} s", pixels=pixels)


def restore_one(job: Job, options: argparse.Namespace) -> tuple[int, str]:
    """Restore one picture and write it; return its number of pixels and what to say of it."""
    from casjax.restoration import pictures

    check_destinations(job, options)
    photograph = read_photograph(
        job.source.read_bytes() if job.source else sys.stdin.buffer.read(),
        name=job.name,
        max_pixels=options.max_megapixels * 10**6,
        salvage=options.salvage,
    )
    model, quality, notes = choose_network(photograph, options)
    if options.explain:
        stream = sys.stdout if job.destination else sys.stderr
        print(explanation(job, photograph, quality, model), file=stream, flush=True)
    restored = pictures.restore_photograph(
        photograph,
        pictures.load_restorer(model, options.memory),
        chroma=options.chroma,
        consistent=options.consistent,
        ensemble=options.ensemble,
    )
    write(job, photograph, restored, options)
    details = ", ".join([f"quality {quality}", model, *photograph.notes, *notes])
    pixels = restored.shape[0] * restored.shape[1]
    return pixels, f" -> {job.destination or 'standard output'}: {details}"


def check_destinations(job: Job, options: argparse.Namespace) -> None:
    """Refuse to write over what is there, and always over the picture itself."""
    if job.destination is None:
        return
    if job.source and job.destination.exists() and job.destination.samefile(job.source):
        raise ValueError(
            f"{job.name}: the result would replace the picture itself: choose another -o"
        )
    paths = [job.destination, *([comparison_path(job.destination)] if options.compare else [])]
    for path in paths:
        if path.exists() and not (options.overwrite or options.resume):
            raise ValueError(f"{job.name}: {path} exists: use --overwrite, or --resume to skip it")


def comparison_path(destination: Path) -> Path:
    """Return where the comparison with a result goes."""
    return destination.with_name(destination.stem + COMPARISON_ENDING)


def choose_network(
    photograph: Photograph, options: argparse.Namespace
) -> tuple[str, str, list[str]]:
    """Return the network's name, the quality in words and notes on how well they go together."""
    from casjax import pretrained
    from casjax.restoration import pictures

    if options.qf is not None:
        factor, described = options.qf, f"{options.qf} as asked for"
    elif estimates := pictures.estimate_qualities(photograph):
        factor, described = estimates[0].factor, str(estimates[0])
    elif options.model is not None:
        return options.model, "unknown", []
    else:
        raise ValueError(
            f"{photograph.file_format} files have no quantisation tables: "
            "give the quality of the JPEG that it was by --qf"
        )
    model = options.model or pictures.nearest_network(factor)
    lowest, highest = pretrained.manifest().get(model, {}).get("qualities", (1, 100))
    notes = []
    if not lowest - UNLIKE < factor < highest + UNLIKE:
        made_for = f"{lowest}" if lowest == highest else f"{lowest} to {highest}"
        notes.append(f"the network was made for quality {made_for}")
    return model, described, notes


def explanation(job: Job, photograph: Photograph, quality: str, model: str) -> str:
    """Describe what was read from a file and what was chosen for it."""
    from casjax.restoration import pictures

    height, width = photograph.pixels.shape[:2]
    header = photograph.header
    coding = header.coding if header else photograph.coding
    sampling = ""
    if header and len(header.components) == 3:
        samples = (f"{c.horizontal}x{c.vertical}" for c in header.components)
        sampling = f", sampling {' '.join(samples)}"
    lines = [
        job.name,
        f"  file       {photograph.file_format}, {width} x {height}, {coding}{sampling}",
        f"  metadata   {photograph.metadata}, orientation {photograph.orientation}",
    ]
    for component, estimate in zip(
        ("luma", "chroma"), pictures.estimate_qualities(photograph), strict=False
    ):
        lines.append(f"  {component:10} quality {estimate}, deviation {estimate.deviation:.1%}")
    lines += [f"  note       {note}" for note in photograph.notes]
    return "\n".join([*lines, f"  chosen     {model} for quality {quality}"])


def write(
    job: Job,
    photograph: Photograph,
    restored: npt.NDArray[np.uint8],
    options: argparse.Namespace,
) -> None:
    """Write the restored picture, upright, and with it what was asked for."""
    metadata = photograph.metadata
    alpha = photograph.alpha
    data = encode(
        upright(restored, photograph.orientation),
        alpha=None if alpha is None else upright(alpha, photograph.orientation),
        metadata=Metadata(icc=metadata.icc) if options.strip else metadata,
        file_format=job.file_format,
        quality=options.output_quality,
        subsampling=options.subsampling,
    )
    if job.destination is None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    job.destination.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(job.destination, data)
    if options.compare:
        from casjax.restoration.pictures import shown

        before = upright(shown(photograph), photograph.orientation)
        picture = compare(before, upright(restored, photograph.orientation))
        write_png(comparison_path(job.destination), picture)


if __name__ == "__main__":
    sys.exit(main())
