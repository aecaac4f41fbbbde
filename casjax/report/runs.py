"""Runs on disk: their results, learning curves and pictures, without loading a network."""

import dataclasses
import functools
import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from casjax.networks import provenance
from casjax.networks.workdir import CONFIG_FILE, METRICS_FILE, RESULTS_FILE

Record: TypeAlias = Mapping[str, Any]

INFINITE = ("Infinity", "-Infinity", "NaN")  # as JSON has them


@dataclasses.dataclass(frozen=True)
class Run:
    """A folder with results.

    Attributes:
      name: see `find_runs`.
      folder: where it is.
      rows: means over a test set of JPEG images, as described in `evaluator.evaluate`.
      images: the same for each image.
      other_rows: means over images of other codecs.
      network: how it was trained, from `provenance.of_run`; None for other methods.
      metrics: the learning curves, as written by `metric_writer.MetricWriter`.
      config: of the training, if known.
      colour_rows: means over a test set of JPEG images in RGB.
      twice_rows: means over one of luma that was saved twice, with the ``first`` quality and the
        ``shift`` of the grid between.
    """

    name: str
    folder: Path
    rows: Sequence[Record]
    images: Sequence[Record]
    other_rows: Sequence[Record]
    network: Record | None
    metrics: Sequence[Record]
    config: Record | None
    colour_rows: Sequence[Record] = ()
    twice_rows: Sequence[Record] = ()


@dataclasses.dataclass(frozen=True)
class Score:
    """A mean over a test set, and the run it comes from."""

    run: Run
    row: Record

    @functools.cached_property
    def images(self) -> dict[str, Record]:
        """The records that it averages, by the names of their images without suffix."""
        key = ("dataset", "qf", "method")
        same = [r for r in self.run.images if all(r[k] == self.row[k] for k in key)]
        return {Path(record["image"]).stem: record for record in same}

    @functools.cached_property
    def jpeg(self) -> "Score":
        """The score of JPEG on the same images, from the same run."""
        key = ("dataset", "qf")
        same = [row for row in self.run.rows if all(row[k] == self.row[k] for k in key)]
        return Score(self.run, next(row for row in same if row["method"] == "jpeg"))

    @property
    def is_trained_for_it(self) -> bool:
        """Whether its network was trained for the quality factor of the images."""
        network = self.run.network
        return network is not None and list(network["qualities"]) == [self.row["qf"]] * 2


def read_runs(folders: Sequence[Path]) -> list[Run]:
    """Read all results below some folders.

    Raises:
      FileNotFoundError: there is no such folder, or there are no results.
      ValueError: a file is damaged; the message names it.
    """
    names = find_runs(folders, RESULTS_FILE)
    if not names:
        raise FileNotFoundError(
            f"{', '.join(map(str, folders))}: there is no {RESULTS_FILE}, which casjax train and "
            "casjax evaluate write"
        )
    return [_read_run(path, name) for path, name in names.items()]


def find_runs(
    folders: Sequence[Path], file_name: str, *, taken: Collection[str] = ()
) -> dict[Path, str]:
    """Find all files of a name below some folders, and name the run that each belongs to.

    Args:
      folders: where to look; may lie in each other.
      file_name: which every run has.
      taken: names that runs must not have.

    Returns:
      Names by the paths of the files: the folder's path below the one that was searched; where
      another run has the same or it is taken, its path with that; or else its absolute path.

    Raises:
      FileNotFoundError: there is no such folder.
    """
    names: dict[Path, tuple[str, str]] = {}
    for folder in folders:
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder}: there is no such folder")
        for path in sorted(folder.rglob(file_name)):
            name = path.parent.relative_to(folder).as_posix()
            short = folder.resolve().name if name == "." else name
            names.setdefault(path.resolve(), (short, path.parent.as_posix()))
    count = Counter([*taken, *(short for short, _ in names.values())])

    def name_of(path: Path, short: str, whole: str) -> str:
        if count[short] == 1:
            return short
        return whole if whole not in count else path.parent.as_posix()

    return {path: name_of(path, *both) for path, both in names.items()}


def _read_run(path: Path, name: str) -> Run:
    folder = path.parent
    results = _read_json(path)
    config = _read_json(folder / CONFIG_FILE) if (folder / CONFIG_FILE).is_file() else None
    network = results.get("network")
    try:
        if network is None and config is not None:
            network = provenance.of_run(config)
        rows, images = ([_numbers(r) for r in results[part]] for part in ("rows", "images"))
        other_rows = [row for row in rows if not _is_of_jpeg(row)]
        in_colour, earlier = results.get("channels") == 3, results.get("recompress")
        told: Record = {"first": earlier["quality"], "shift": earlier["shift"]} if earlier else {}
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path}: not the results of a run, or its config: {error!r}") from error
    metrics = folder / METRICS_FILE
    is_plain = not in_colour and not earlier  # our tables have only luma that was saved once
    return Run(
        name=name,
        folder=folder,
        rows=[row for row in rows if is_plain and _is_of_jpeg(row)],
        images=[record for record in images if is_plain and _is_of_jpeg(record)],
        other_rows=other_rows if is_plain else [],
        network=network,
        metrics=provenance.read_metrics(metrics) if metrics.is_file() else [],
        config=config,
        colour_rows=rows if in_colour and not earlier else [],
        twice_rows=[{**row, **told} for row in rows] if earlier and not in_colour else [],
    )


def _is_of_jpeg(record: Record) -> bool:
    return record["codec"] == "jpeg"


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected a JSON object")
    return content


def _numbers(record: Record) -> Record:
    """Convert back the numbers that JSON cannot hold."""
    return {k: float(v) if v in INFINITE else v for k, v in record.items()}


def best(scores: Sequence[Score]) -> Score | None:
    """Return the score with the highest PSNR, the first of equals; None if there is none."""
    return max(scores, key=lambda score: score.row["psnr"], default=None)


def scores_of(
    runs: Sequence[Run], *, dataset: str, quality: int, with_pictures: bool = False
) -> list[Score]:
    """Return the scores of all methods on a test set at a quality factor.

    Args:
      runs: where to look.
      dataset: name of the test set.
      quality: JPEG quality factor of the images.
      with_pictures: leave out scores whose pictures were not kept.
    """
    scores = [
        Score(run, row)
        for run in runs
        for row in run.rows
        if (row["dataset"], row["qf"]) == (dataset, quality)
    ]
    if with_pictures:
        scores = [s for s in scores if s.images and all("picture" in r for r in s.images.values())]
    return scores
