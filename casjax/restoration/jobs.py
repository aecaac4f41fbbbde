"""Which files a command is to restore, and where each result goes."""

import dataclasses
import glob
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from casjax.images import find_images
from casjax.images.writing import FORMAT_OF_SUFFIX, SUFFIXES

STANDARD = "-"  # stands for standard input and standard output
ENDING = "-restored"
JPEG_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"})


class UsageError(ValueError):
    """A command line that cannot be followed; the message is one line that says why."""


class ClusterError(RuntimeError):
    """A cluster that cannot do the work, or no longer; the message is one line that says why."""


@dataclasses.dataclass(frozen=True)
class Job:
    """One picture to restore.

    Attributes:
      source: its file; None is standard input.
      destination: where the result goes; None is standard output.
      file_format: of the result.
    """

    source: Path | None
    destination: Path | None
    file_format: str

    @property
    def name(self) -> str:
        """What to call the picture in messages."""
        return "standard input" if self.source is None else str(self.source)


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a command line amounts to.

    Attributes:
      jobs: the pictures to restore.
      missing: inputs that lead to no file, each with the reason.
      left_out: how many files of other formats lie in the folders.
    """

    jobs: list[Job]
    missing: dict[str, str]
    left_out: int


def plan(
    inputs: Sequence[str], *, output: str | None, file_format: str | None, only_jpeg: bool
) -> Plan:
    """Find the pictures and name their results.

    Args:
      inputs: files, folders (searched through), glob patterns, or `-`, standard input.
      output: a file, a folder, a pattern with `{folder}`, `{stem}` or `{name}`, or `-`, standard
        output. None: beside each picture, `-restored` added to its name.
      file_format: of the results; None is what the output's suffix says, or PNG.
      only_jpeg: leave out other files that lie in folders.

    Raises:
      UsageError: inputs and output do not fit together.
    """
    sources: list[tuple[Path, Path]] = []  # with the folder that the name in a folder begins at
    missing: dict[str, str] = {}
    left_out = 0
    for text in (text for text in inputs if text != STANDARD):
        path = Path(text)
        if path.is_dir():
            found = [p for p in find_images(path) if not p.stem.endswith(ENDING)]
            chosen = [p for p in found if not only_jpeg or p.suffix.lower() in JPEG_SUFFIXES]
            left_out += len(found) - len(chosen)
            sources += [(p, path) for p in chosen]
        elif path.is_file():
            sources.append((path, path.parent))
        elif path.exists():  # a device, say, with no end
            missing[text] = "neither a file nor a folder"
        else:
            matches = sorted(Path(match) for match in glob.glob(text, recursive=True))
            sources += [(match, match.parent) for match in matches if match.is_file()]
            if not matches:
                missing[text] = "no such file or folder"
    sources = list({path: (path, root) for path, root in sources}.values())
    if STANDARD in inputs:
        if len(inputs) > 1:
            raise UsageError("standard input (-) can only be restored by itself")
        return Plan([_job_of_standard_input(output, file_format)], {}, 0)
    several = len(sources) != 1 or any(Path(text).is_dir() for text in inputs)
    name_result, result_format = _naming(output, file_format, several=several)
    jobs = [Job(path, name_result(path, root), result_format) for path, root in sources]
    _refuse_equal_destinations(jobs)
    return Plan(jobs, missing, left_out)


def _job_of_standard_input(output: str | None, file_format: str | None) -> Job:
    if output is None or output == STANDARD:
        return Job(None, None, file_format or "png")
    if _is_folder(output) or "{" in output:
        raise UsageError(f"-o {output}: expected a file, for standard input has no name")
    return Job(None, Path(output), _format_of(output, file_format))


def _naming(
    output: str | None, file_format: str | None, *, several: bool
) -> tuple[Callable[[Path, Path], Path | None], str]:
    """Return the function from a picture and its root to where the result goes; and the format."""
    result_format = file_format or "png"
    suffix = SUFFIXES[result_format]
    if output is None:
        return lambda path, _: path.with_name(f"{path.stem}{ENDING}{suffix}"), result_format
    if "{" in output:
        return lambda path, _: _fill_in(output, path), _format_of(output, file_format)
    if _is_folder(output) or (several and not Path(output).suffix):
        folder = Path(output)
        return lambda p, root: folder / p.relative_to(root).with_suffix(suffix), result_format
    if several:
        raise UsageError(f"-o {output}: several pictures need a folder or a pattern with {{stem}}")
    if output == STANDARD:
        return lambda *_: None, result_format
    return lambda *_: Path(output), _format_of(output, file_format)


def _is_folder(output: str) -> bool:
    return output.endswith(("/", os.sep)) or Path(output).is_dir()


def _fill_in(pattern: str, path: Path) -> Path:
    try:
        return Path(pattern.format(folder=path.parent, stem=path.stem, name=path.name))
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        raise UsageError(
            f"-o {pattern}: expected no other fields than {{folder}}, {{stem}} and {{name}}"
        ) from error


def _format_of(output: str, file_format: str | None) -> str:
    """Return the format that a file's suffix asks for, which must be the one asked for."""
    suffix = Path(output).suffix.lower()
    if suffix not in FORMAT_OF_SUFFIX:
        raise UsageError(f"-o {output}: expected a name that ends in {', '.join(FORMAT_OF_SUFFIX)}")
    if file_format not in (None, FORMAT_OF_SUFFIX[suffix]):
        raise UsageError(f"-o {output} is no {file_format} file, which --format asks for")
    return FORMAT_OF_SUFFIX[suffix]


def _refuse_equal_destinations(jobs: Sequence[Job]) -> None:
    first_with: dict[Path, Job] = {}
    for job in jobs:
        if job.destination is None:
            continue
        other = first_with.setdefault(job.destination, job)
        if other is not job:
            raise UsageError(
                f"{other.name} and {job.name} would both become {job.destination}: "
                f"use a pattern such as -o '{{folder}}/{{name}}{job.destination.suffix}'"
            )
