"""One job of the command done: a file read, its network chosen, restored, the result written."""

import dataclasses
import sys
import time
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from casjax.images import write_png
from casjax.images.metadata import Metadata, upright
from casjax.images.photographs import Photograph, read_photograph
from casjax.images.writing import encode, write_atomically
from casjax.networks import compilation, memory
from casjax.restoration import colour, restoring
from casjax.restoration.choosing import Choice, choose_network, default_network, explain
from casjax.restoration.comparison import compare
from casjax.restoration.jobs import Job
from casjax.restoration.options import Options

COMPARISON_ENDING = "-compare.png"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a job.

    Attributes:
      kind: `skipped` where the result was there before.
      name: of the job.
      message: what to say of it, in one line.
      pixels: how many were restored.
    """

    kind: Literal["restored", "skipped", "failed"]
    name: str
    message: str
    pixels: int = 0


def prepare(options: Options) -> None:
    """Load the network if it is known which.

    Raises:
      ValueError: the network is damaged, or `options.memory` too small for it.
      OSError: there is no such network.
    """
    compilation.cache_compilations()
    memory.return_what_compilers_leave()
    model = options.model
    if model is None and options.qf is not None:
        model = default_network(options.qf, luma=options.luma)
    if model is not None and colour.is_for_colour(model):
        colour.load_colour_restorer(model, options.memory)
    elif model is not None:
        restoring.load_restorer(model, options.memory)


def run_job(job: Job, options: Options) -> Outcome:
    """Restore one picture as the command's options ask for; whatever fails is in the outcome."""
    if options.resume and job.destination and job.destination.exists():
        return Outcome("skipped", job.name, f"{job.name}: finished before, {job.destination}")
    start = time.monotonic()
    try:
        pixels, details = restore_one(job, options)
    except Exception as error:  # whatever happens to one file, the others are restored
        reason = " ".join(str(error).split()) or type(error).__name__
        message = reason if job.name in reason else f"{job.name}: {reason}"
        return Outcome("failed", job.name, message)
    seconds = time.monotonic() - start
    return Outcome("restored", job.name, f"{job.name}{details}, {seconds:.1f} s", pixels)


def restore_one(job: Job, options: Options) -> tuple[int, str]:
    """Restore one picture and write it; return its number of pixels and what to say of it."""
    check_destinations(job, options)
    photograph = read_photograph(
        job.source.read_bytes() if job.source else sys.stdin.buffer.read(),
        name=job.name,
        max_pixels=options.max_megapixels * 10**6,
        salvage=options.salvage,
    )
    choice = choose_network(photograph, options)
    if options.explain:
        stream = sys.stdout if job.destination else sys.stderr
        print(explain(job.name, photograph, choice), file=stream, flush=True)
    restored = restore(photograph, choice, options)
    write(job, photograph, restored, options)
    details = ", ".join(
        [f"quality {choice.quality}", choice.model, *photograph.notes, *choice.notes]
    )
    pixels = restored.shape[0] * restored.shape[1]
    return pixels, f" -> {job.destination or 'standard output'}: {details}"


def restore(photograph: Photograph, choice: Choice, options: Options) -> npt.NDArray[np.uint8]:
    """Restore a photograph as was chosen and asked for: uint8 [h, w] or, in RGB, [h, w, 3]."""
    if colour.is_for_colour(choice.model):
        return colour.restore_in_colour(
            photograph,
            colour.load_colour_restorer(choice.model, options.memory),
            tables=colour.tables_of(photograph, options.qf),
            consistent=choice.consistent,
            ensemble=options.ensemble,
        )
    return restoring.restore_photograph(
        photograph,
        restoring.load_restorer(choice.model, options.memory),
        chroma=options.chroma,
        consistent=choice.consistent,
        ensemble=options.ensemble,
    )


def check_destinations(job: Job, options: Options) -> None:
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


def write(
    job: Job,
    photograph: Photograph,
    restored: npt.NDArray[np.uint8],
    options: Options,
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
        before = upright(restoring.shown(photograph), photograph.orientation)
        picture = compare(before, upright(restored, photograph.orientation))
        write_png(comparison_path(job.destination), picture)
