"""The files that a command restores, and where each result goes."""

import dataclasses
import glob
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from casjax.images import find_images
from casjax.images.kinds import kind_of
from casjax.images.writing import FORMAT_OF_SUFFIX, SUFFIXES

STANDARD = "-"  # stands for standard input and standard output
ENDING = "-restored"
COMPARISON_ENDING = "-compare.png"
RESULT_ENDINGS = ENDING, f"{ENDING}-compare"
JPEG_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"})


class UsageError(ValueError):
    """A command line that cannot be executed; the message says why in one line."""


class ClusterError(RuntimeError):
    """A cluster that cannot, or can no longer, do the work; the message says why in one line."""


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
        """The picture's name in messages."""
        return "standard input" if self.source is None else str(self.source)

    @property
    def comparison(self) -> Path | None:
        """Where a comparison goes if one is asked for: beside the result."""
        path = self.destination
        return path and path.with_name(path.stem + COMPARISON_ENDING)

    def written(self, *, compare: bool) -> list[Path]:
        """Return the files that it writes: the result and, with ``compare``, the comparison."""
        return [path for path in (self.destination, compare and self.comparison) if path]


@dataclasses.dataclass(frozen=True)
class Plan:
    """The work that a command line asks for.

    Attributes:
      jobs: the pictures to restore.
      missing: inputs without a file, each with the reason.
      other_formats: how many files in folders were left out because they are not JPEGs.
      results: how many files were left out because earlier runs wrote them.
    """

    jobs: list[Job]
    missing: dict[str, str]
    other_formats: int = 0
    results: int = 0


def plan(
    inputs: Sequence[str],
    *,
    output: str | None,
    file_format: str | None,
    only_jpeg: bool,
    overwrite: bool = False,
    compare: bool = False,
    is_framed: bool = False,
) -> Plan:
    """Find the pictures and name their results.

    Args:
      inputs: files, folders (searched through), glob patterns, or `-`, standard input.
      output: a file, a folder, a pattern with `{folder}`, `{subfolder}`, `{stem}` or `{name}`, or
        `-`, standard output. None: beside each picture, with `-restored` added to its name.
      file_format: of the results; None is that of the output's suffix, or PNG.
      only_jpeg: leave out other files in folders.
      overwrite: whether results replace existing files.
      compare: whether comparisons are written beside results.
      is_framed: whether results may get numbers, as `frame_path` adds them.

    Raises:
      UsageError: inputs and output do not fit together, or one file of the command would
        overwrite another.
    """
    if STANDARD in inputs:
        if len(inputs) > 1:
            raise UsageError("standard input (-) must be the only input")
        return Plan([_job_of_standard_input(output, file_format)], {})
    search = _find(inputs, output, only_jpeg=only_jpeg)
    several = len(search.sources) > 1 or any(Path(text).is_dir() for text in inputs)
    name_result, result_format = _naming(output, file_format, several=several)
    jobs = [Job(path, name_result(path, r), result_format) for path, r in search.sources.items()]
    jobs, results = _without_results(jobs, compare=compare, overwrite=overwrite)
    _refuse_collisions(jobs, output, compare=compare, is_framed=is_framed)
    return Plan(jobs, search.missing, search.other_formats, search.results + results)


def frame_path(path: Path, number: int) -> Path:
    """Return where the result of a file's picture with this number goes, from 1."""
    return path.with_name(f"{path.stem}-frame{number}{path.suffix}")


@dataclasses.dataclass
class _Search:
    """The pictures found for inputs, each with the folder that its relative path starts from."""

    sources: dict[Path, Path] = dataclasses.field(default_factory=dict)
    missing: dict[str, str] = dataclasses.field(default_factory=dict)
    other_formats: int = 0
    results: int = 0


def _find(inputs: Sequence[str], output: str | None, *, only_jpeg: bool) -> _Search:
    search = _Search()
    for text in inputs:
        # Found as it is, or else what it matches as a pattern.
        matches = [text] if os.path.exists(text) else sorted(glob.glob(text, recursive=True))
        if not matches:
            hint = f"; if it names the result, use -o {text}"
            is_result = (
                output is None and len(inputs) > 1 and Path(text).suffix.lower() in FORMAT_OF_SUFFIX
            )
            search.missing[text] = f"no such file or folder{hint if is_result else ''}"
        for path in map(Path, matches):
            if path.is_dir():
                _search_folder(path, search, output, only_jpeg=only_jpeg)
            elif path.is_file():
                search.sources[path] = path.parent
            else:  # a device, say, without an end
                search.missing[str(path)] = "neither a file nor a folder"
    once: dict[str, tuple[Path, Path]] = {}  # a file may be named twice, in different ways
    for path, root in search.sources.items():
        once.setdefault(os.path.abspath(path), (path, root))
    search.sources = dict(once.values())
    return search


def _search_folder(path: Path, search: _Search, output: str | None, *, only_jpeg: bool) -> None:
    own = _output_folder_below(path, output)
    found = find_images(path, unreadable=search.missing)
    searched = [p for p in found if own is None or not _is_below(p, own)]
    chosen = [p for p in searched if not only_jpeg or _is_jpeg(p)]
    results = [p for p in {*searched} - {*chosen} if p.stem.endswith(RESULT_ENDINGS)]
    search.results += len(found) - len(searched) + len(results)
    search.other_formats += len(searched) - len(chosen) - len(results)
    search.sources |= {p: path for p in chosen}


def _output_folder_below(folder: Path, output: str | None) -> Path | None:
    """Return the folder that all results go to, and nothing else, if it lies below an input folder.

    A pattern without one, such as ``{folder}/{stem}.png``, leaves results among other files.
    """
    if output is None or output == STANDARD:
        return None
    start, brace, _ = output.partition("{")
    fixed = Path(f"{start}x").parent if brace else Path(output)
    if brace and fixed == Path():
        return None
    inner, outer = Path(os.path.realpath(fixed)), Path(os.path.realpath(folder))
    return inner if inner != outer and inner.is_relative_to(outer) else None


def _is_below(path: Path, folder: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(folder)


def _is_jpeg(path: Path) -> bool:
    """Return whether a file is a JPEG by its content or, if that is unclear, by its name."""
    kind = kind_of(path)
    return kind == "JPEG" or (kind is None and path.suffix.lower() in JPEG_SUFFIXES)


def _without_results(jobs: list[Job], *, compare: bool, overwrite: bool) -> tuple[list[Job], int]:
    """Leave out what earlier runs wrote; return the other jobs, and the number left out.

    A file is a result if it is where another picture's result would go without -o, in any format,
    or goes now, unless it would be replaced; comparisons likewise.
    """
    results: set[str] = set()
    for job in jobs:
        assert job.source
        beside = f"{job.source.stem}{ENDING}"
        places = [job.source.with_name(beside + e) for e in (*FORMAT_OF_SUFFIX, COMPARISON_ENDING)]
        if job.destination != job.source and not overwrite:
            places += job.written(compare=compare)
        results |= {*map(os.path.realpath, places)}

    def is_result(path: Path) -> bool:
        return not results.isdisjoint(map(os.path.realpath, (path, _without_frame(path))))

    kept = [job for job in jobs if job.source and not is_result(job.source)]
    return kept, len(jobs) - len(kept)


def _without_frame(path: Path) -> Path:
    return path.with_name(re.sub(r"-frame\d+(?=\.\w+$)", "", path.name))


def _refuse_collisions(
    jobs: Sequence[Job], output: str | None, *, compare: bool, is_framed: bool
) -> None:
    """Refuse to write two files of the same name, or to overwrite a picture to be restored.

    A result that would replace its own picture is left to the job, so that the others run.
    """
    sources = {os.path.realpath(job.source): job for job in jobs if job.source}
    written: dict[str, Job] = {}
    for job in jobs:
        for path in job.written(compare=compare):
            place = os.path.realpath(path)
            other = written.setdefault(place, job)
            if other is not job:
                raise UsageError(
                    f"{other.name} and {job.name} would both become {path}: "
                    f"use -o '{_pattern_of_names(output, job, other)}'"
                )
            if sources.get(place, job) is not job:
                raise UsageError(f"{path}, of {job.name}, would replace a picture to be restored")
    if is_framed:
        for place, job in written.items():
            if written.get(str(_without_frame(Path(place))), job) is not job:
                raise UsageError(f"{place} could be a frame of another picture: restore it alone")


def _pattern_of_names(output: str | None, job: Job, other: Job) -> str:
    """Return a pattern like the output that keeps the results of two jobs apart."""
    assert job.source
    assert job.destination
    assert other.source
    suffix = job.destination.suffix
    if output is None:
        return f"{{folder}}/{{name}}{ENDING}{suffix}"
    is_beside = job.source.parent == other.source.parent
    if "{" in output:
        folder, slash, name = output.replace("{stem}", "{name}").rpartition("/")
        return f"{folder}{slash}{name}" if is_beside else f"{folder}{slash}{{folder}}/{name}"
    folder = "{subfolder}" if is_beside else "{folder}"
    return f"{Path(output)}/{folder}/{{name}}{suffix}"


def _job_of_standard_input(output: str | None, file_format: str | None) -> Job:
    if output is None or output == STANDARD:
        return Job(None, None, file_format or "png")
    if _is_folder(output) or "{" in output:
        raise UsageError(f"-o {output}: expected a file, because standard input has no name")
    return Job(None, Path(output), _format_of(output, file_format))


def _naming(
    output: str | None, file_format: str | None, *, several: bool
) -> tuple[Callable[[Path, Path], Path | None], str]:
    """Return the function from a picture and its root to its result's path; and the format."""
    result_format = file_format or "png"
    suffix = SUFFIXES[result_format]
    if output is None:
        return lambda path, _: path.with_name(f"{path.stem}{ENDING}{suffix}"), result_format
    if output == STANDARD:
        if several:
            raise UsageError("-o -: standard output takes a single picture")
        return lambda *_: None, result_format
    if "{" in output:
        return lambda path, root: _fill_in(output, path, root), _format_of(output, file_format)
    if _is_folder(output) or (several and not Path(output).suffix):
        folder = Path(output)
        return lambda p, root: folder / p.relative_to(root).with_suffix(suffix), result_format
    if several:
        raise UsageError(f"-o {output}: several pictures need a folder or a pattern with {{stem}}")
    return lambda *_: Path(output), _format_of(output, file_format)


def _is_folder(output: str) -> bool:
    return output.endswith(("/", os.sep)) or Path(output).is_dir()


def _fill_in(pattern: str, path: Path, root: Path) -> Path:
    fields = {"folder": path.parent, "subfolder": path.parent.relative_to(root)}
    try:
        return Path(pattern.format(**fields, stem=path.stem, name=path.name))
    except (KeyError, IndexError, ValueError, AttributeError, TypeError) as error:
        raise UsageError(
            f"-o {pattern}: expected no other fields than {{folder}}, {{stem}}, {{name}} and "
            "{subfolder}, the folder below the input folder"
        ) from error


def _format_of(output: str, file_format: str | None) -> str:
    """Return the format of a file's suffix, which must agree with the requested one."""
    suffix = Path(output).suffix.lower()
    if suffix not in FORMAT_OF_SUFFIX:
        raise UsageError(f"-o {output}: expected a name that ends in {', '.join(FORMAT_OF_SUFFIX)}")
    if file_format not in (None, FORMAT_OF_SUFFIX[suffix]):
        raise UsageError(f"-o {output} does not match --format {file_format}")
    return FORMAT_OF_SUFFIX[suffix]
