"""One job of the command done: a file read, its network chosen, restored, the result written."""

import argparse
import dataclasses
import sys
import time
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from casjax.images import write_png
from casjax.images.metadata import Metadata, upright
from casjax.images.photographs import Photograph, read_photograph
from casjax.images.writing import encode, write_atomically
from casjax.networks import compilation, memory, pretrained
from casjax.restoration import pictures
from casjax.restoration.comparison import compare
from casjax.restoration.jobs import Job
from casjax.restoration.traces import find_quality

COMPARISON_ENDING = "-compare.png"
UNLIKE = 10  # quality factors between a file and its network from which on a note is given
# Beyond it the network for 80 loses PSNR, 0.3 dB at 94 and 1.2 dB at 96 on 8 clean photographs.
BEST_RESTORED = 93


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


class Choice(NamedTuple):
    """How a photograph is restored.

    Attributes:
      model: the network's name.
      quality: of the photograph, in words.
      consistent: see `pictures.restore_photograph`.
      notes: what the user should know of it; a few words each.
    """

    model: str
    quality: str
    consistent: bool
    notes: list[str]


def prepare(options: argparse.Namespace) -> None:
    """Load the network if it is known which.

    Raises:
      ValueError: the network is damaged, or `options.memory` too small for it.
      OSError: there is no such network.
    """
    compilation.cache_compilations()
    memory.return_what_compilers_leave()
    if options.model is None and options.qf is not None:
        options.model = pictures.nearest_network(options.qf)
    if options.model is not None:
        pictures.load_restorer(options.model, options.memory)


def run_job(job: Job, options: argparse.Namespace) -> Outcome:
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


def restore_one(job: Job, options: argparse.Namespace) -> tuple[int, str]:
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
        print(explanation(job, photograph, choice), file=stream, flush=True)
    restored = pictures.restore_photograph(
        photograph,
        pictures.load_restorer(choice.model, options.memory),
        chroma=options.chroma,
        consistent=choice.consistent,
        ensemble=options.ensemble,
    )
    write(job, photograph, restored, options)
    details = ", ".join(
        [f"quality {choice.quality}", choice.model, *photograph.notes, *choice.notes]
    )
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


def choose_network(photograph: Photograph, options: argparse.Namespace) -> Choice:
    """Choose the network for a photograph, and whether to hold it to the file's coefficients.

    A network made for another quality is held to them where it can be: on files of a higher
    quality it would take details for artifacts.
    """
    if options.qf is not None:
        factor, described = options.qf, f"{options.qf} as asked for"
    elif estimates := pictures.estimate_qualities(photograph):
        factor, described = estimates[0].factor, str(estimates[0])
    elif found := find_quality(photograph.pixels):
        factor, described = found, f"{found} by a blind estimate from the pixels"
    elif options.model is not None:
        return Choice(options.model, "unknown", bool(options.consistent), [])
    else:
        raise ValueError(
            f"{photograph.file_format} files have no quantisation tables, and the pixels show no "
            "trace of JPEG: give the quality of the JPEG that it was by --qf"
        )
    model = options.model or pictures.nearest_network(factor)
    lowest, highest = pretrained.manifest().get(model, {}).get("qualities", (1, 100))
    notes = []
    if not lowest - UNLIKE < factor < highest + UNLIKE:
        made_for = f"{lowest}" if lowest == highest else f"{lowest} to {highest}"
        notes.append(f"the network was made for quality {made_for}")
    if options.model is None and factor > BEST_RESTORED:
        notes.append("a file so good is better left as it is")
    consistent = options.consistent
    if consistent is None and not lowest <= factor <= highest and pictures.has_steps(photograph):
        consistent = True
        notes.append("kept within what the file allows")
    return Choice(model, described, bool(consistent), notes)


def explanation(job: Job, photograph: Photograph, choice: Choice) -> str:
    """Describe what was read from a file and what was chosen for it."""
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
    lines += [f"  note       {note}" for note in (*photograph.notes, *choice.notes)]
    return "\n".join([*lines, f"  chosen     {choice.model} for quality {choice.quality}"])


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
        before = upright(pictures.shown(photograph), photograph.orientation)
        picture = compare(before, upright(restored, photograph.orientation))
        write_png(comparison_path(job.destination), picture)
