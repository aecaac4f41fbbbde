"""Running one job of the command: read a file, choose the network, restore, write the result."""

import dataclasses
import os
import sys
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from casjax.files import write_bytes
from casjax.images import write_png
from casjax.images.exif import is_adobe_rgb
from casjax.images.metadata import Metadata, upright
from casjax.images.photographs import Photograph, count_frames, read_photograph
from casjax.images.writing import FORMAT_OF_SUFFIX, encode
from casjax.networks import compilation, memory
from casjax.networks.circumstances import require_devices
from casjax.restoration.choosing import choose_network, default_network, explain
from casjax.restoration.comparison import compare
from casjax.restoration.jobs import Job, frame_path
from casjax.restoration.loading import load_restorer
from casjax.restoration.options import Options
from casjax.restoration.progress import say
from casjax.restoration.restoring import restore_photograph, shown


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The outcome of a job.

    Attributes:
      kind: `skipped` if the result already existed.
      name: of the job.
      message: to the user, in one line.
      pixels: how many were restored.
    """

    kind: Literal["restored", "skipped", "failed"]
    name: str
    message: str
    pixels: int = 0


def restore_file(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    **options: Any,
) -> str:
    """Restore a photograph in a file, as ``casjax restore`` does, with its metadata.

    Args:
      source: any image file that was a JPEG, or is one.
      destination: where the result goes, of the format that its suffix says (`writing.SUFFIXES`);
        folders on the way there are made.
      **options: the attributes of `options.Options`, as ``strength=0.5`` or ``overwrite=True``.

    Returns:
      What was found and done, in a line: quality, network, notes; or that it was finished before.

    Raises:
      TypeError: there is no such option.
      OSError: the file cannot be read, or the result not be written.
      ValueError: an option has none of its values; the file is no image, or damaged; nothing tells
        the quality; the result exists and is not to be overwritten, or its format is unknown or
        cannot hold the picture.
    """
    path = Path(destination)
    if path.suffix.lower() not in FORMAT_OF_SUFFIX:
        raise ValueError(f"{path}: expected a name that ends in {', '.join(FORMAT_OF_SUFFIX)}")
    job = Job(Path(source), path, FORMAT_OF_SUFFIX[path.suffix.lower()])
    return restore_job(job, Options(**options)).message


def prepare(options: Options) -> None:
    """Load the network if it is already known.

    Raises:
      ValueError: the network is damaged, `options.memory` is too small for it, or JAX lacks the
        devices that the environment asks for.
      OSError: there is no such network.
    """
    require_devices()
    compilation.cache_compilations()
    memory.return_what_compilers_leave()
    model = options.model
    if model is None and options.qf is not None:
        model = default_network(options.qf, luma=options.luma)
    if model is not None:
        load_restorer(model, options.memory)


def run_job(job: Job, options: Options) -> Outcome:
    """Restore one file according to the command's options; any failure is in the outcome.

    Raises:
      BrokenPipeError: nobody reads the picture on standard output any more.
    """
    start = time.monotonic()
    try:
        outcome = restore_job(job, options)
    except BrokenPipeError:
        if job.destination is None:
            raise
        return Outcome("failed", job.name, f"{job.name}: broken pipe")
    except Exception as error:  # whatever happens to one file, the others are restored
        reason = " ".join(str(error).split()) or type(error).__name__
        message = reason if job.name in reason else f"{job.name}: {reason}"
        return Outcome("failed", job.name, message)
    if outcome.kind == "skipped":
        return outcome
    message = f"{job.name} -> {outcome.message}, {time.monotonic() - start:.1f} s"
    return dataclasses.replace(outcome, message=message)


def restore_job(job: Job, options: Options) -> Outcome:
    """Restore all wanted pictures of a file that are not finished yet; failures are raised."""
    # Each picture of a file may have a result of its own, under another name than the file's.
    unread = options.frames != "each" and _is_finished(job, options)
    data = None if unread else _read(job)
    frames = [(job, None)] if data is None else _frames(job, data, options)
    todo = [(one, frame) for one, frame in frames if not _is_finished(one, options)]
    if data is None or not todo:
        places = ", ".join(str(one.destination) for one, _ in frames)
        return Outcome("skipped", job.name, f"{job.name}: finished before, {places}")
    results = [restore_one(one, data, options, frame=frame) for one, frame in todo]
    pixels, details = zip(*results, strict=True)
    return Outcome("restored", job.name, "; ".join(details), sum(pixels))


def restore_one(job: Job, data: bytes, options: Options, *, frame: int | None) -> tuple[int, str]:
    """Restore one picture and write it; return its number of pixels and a message."""
    check_destinations(job, options)
    photograph = read_photograph(
        data,
        name=job.name,
        max_pixels=options.max_megapixels * 10**6,
        salvage=options.salvage,
        frame=frame,
    )
    choice = choose_network(photograph, options)
    if options.explain:
        stream = sys.stdout if job.destination else sys.stderr
        say(explain(job.name, photograph, choice), stream)
    restored = restore_photograph(photograph, choice, options)
    written = [path for path in job.written(compare=options.compare) if _is_wanted(path, options)]
    lost = write(job, photograph, restored, options)
    details = [f"quality {choice.quality}", *([choice.model] if choice.method == "network" else [])]
    details += [*photograph.notes, *choice.notes]
    details += [f"left out: {', '.join(lost)}"] if lost else []
    pixels = restored.shape[0] * restored.shape[1]
    return pixels, f"{written[0] if written else 'standard output'}: {', '.join(details)}"


def check_destinations(job: Job, options: Options) -> None:
    """Refuse to overwrite existing files, and always the picture itself."""
    for path in job.written(compare=options.compare):
        if job.source and path.exists() and path.samefile(job.source):
            raise ValueError(
                f"{job.name}: {path} would replace the picture itself: choose another -o"
            )
        if path.exists() and not (options.overwrite or options.resume):
            raise ValueError(f"{job.name}: {path} exists: use --overwrite, or --resume to skip it")


def write(
    job: Job,
    photograph: Photograph,
    restored: npt.NDArray[np.uint8],
    options: Options,
) -> list[str]:
    """Write the restored picture, upright, and any comparison; to resume, only what is missing.

    Returns:
      What could not be kept of the file, in words, but for what the options leave out.
    """
    metadata = photograph.metadata
    left_out = list(metadata.lost)
    if options.strip:
        if is_adobe_rgb(metadata.exif) and not metadata.icc:
            left_out.append("Adobe RGB in EXIF data: its colours will look different")
        metadata = Metadata(icc=metadata.icc, colour=metadata.colour)
    alpha = photograph.alpha
    data, lost = encode(
        upright(restored, photograph.orientation),
        alpha=None if alpha is None else upright(alpha, photograph.orientation),
        metadata=metadata,
        file_format=job.file_format,
        quality=options.output_quality,
        subsampling=options.subsampling,
    )
    if job.destination is None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    elif _is_wanted(job.destination, options):
        job.destination.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(job.destination, data, times=_times(job) if options.keep_date else None)
    if options.compare and job.comparison and _is_wanted(job.comparison, options):
        before = upright(shown(photograph), photograph.orientation)
        after = upright(restored, photograph.orientation)
        icc = b"" if photograph.coding == "grey" else metadata.icc  # comparisons are in RGB
        write_png(job.comparison, compare(before, after), icc=icc)
    return [*left_out, *lost]


def _is_finished(job: Job, options: Options) -> bool:
    written = job.written(compare=options.compare)
    return bool(written) and not any(_is_wanted(path, options) for path in written)


def _is_wanted(path: Path, options: Options) -> bool:
    return not (options.resume and path.exists())


def _read(job: Job) -> bytes:
    return job.source.read_bytes() if job.source else sys.stdin.buffer.read()


def _frames(job: Job, data: bytes, options: Options) -> list[tuple[Job, int | None]]:
    """Return the jobs of a file, one for each of its pictures that is wanted."""
    if options.frames == "first":
        return [(job, 0)]
    count = count_frames(data) if options.frames == "each" else 1
    if count == 1:
        return [(job, None)]
    if job.destination is None:
        raise ValueError(f"{job.name}: its {count} pictures need files: name them with -o")
    destinations = (frame_path(job.destination, i + 1) for i in range(count))
    return [(dataclasses.replace(job, destination=d), i) for i, d in enumerate(destinations)]


def _times(job: Job) -> tuple[int, int] | None:
    """Return when a job's file was last read and changed, in nanoseconds."""
    if job.source is None:
        return None
    status = job.source.stat()
    return status.st_atime_ns, status.st_mtime_ns
