"""Two runs compared image by image: a table of differences and their significance."""

from collections.abc import Sequence
from typing import Any

from casjax.evaluation.comparing import compare
from casjax.report.layout import Table, comma_separated
from casjax.report.names import SCORES
from casjax.report.runs import Record, Run

METRICS = ("psnr", "psnrb", "ssim")
CAPTION = (
    "Mean difference ± its standard error over images; on how many of them the first is better; "
    "and the two-sided sign test: values above 0.05 may well be chance."
)


def comparison(runs: Sequence[Run], names: Sequence[str]) -> list[dict[str, Any]]:
    """Compare two runs on each test set and quality factor that both have scores for.

    Only pictures in luma are compared that were saved once, as JPEG.

    Args:
      runs: all runs.
      names: of the two runs, see `runs.find_runs`.

    Returns:
      A line for each test set, quality factor and metric.

    Raises:
      ValueError: there is no such run, or they have nothing in common.
    """
    first, second = (_restored(runs, name) for name in names)
    lines: list[dict[str, Any]] = []
    for dataset, quality in first.keys() & second.keys():
        for metric in METRICS:
            found = compare(
                *(
                    {record["image"]: record[metric] for record in scores[dataset, quality]}
                    for scores in (first, second)
                )
            )
            lines.append({"dataset": dataset, "qf": quality, "metric": metric} | found._asdict())
    if not lines:
        raise ValueError(
            f"{names[0]} and {names[1]} share no test set and quality factor (pictures in colour, "
            "saved twice, or by another codec than JPEG are not compared)"
        )
    return sorted(lines, key=lambda line: (line["dataset"], line["qf"]))


def _restored(runs: Sequence[Run], name: str) -> dict[tuple[str, int], list[Record]]:
    """Return a run's records of restored images by test set and quality, or else of JPEG."""
    chosen = [run for run in runs if run.name == name]
    if not chosen:
        raise ValueError(f"there is no run {name}, choose from: {', '.join(r.name for r in runs)}")
    own = any(record["method"] != "jpeg" for record in chosen[0].images)
    found: dict[tuple[str, int], list[Record]] = {}
    for record in chosen[0].images:
        if not own or record["method"] != "jpeg":
            found.setdefault((record["dataset"], record["qf"]), []).append(record)
    return found


def shown(lines: Sequence[dict[str, Any]], names: Sequence[str]) -> Table:
    """Lay a comparison out as a table."""
    titles = ["Test set", "QF", "Metric", f"{names[0]} minus {names[1]}", "Better", "Sign test"]
    rows = []
    for line in lines:
        digits = 5 if line["metric"] == "ssim" else 3
        difference = f"{line['difference']:+.{digits}f} ± {line['standard_error']:.{digits}f}"
        better = f"{line['better']} of {line['images']}"
        where = [line["dataset"], str(line["qf"]), SCORES[line["metric"]]]
        rows.append([*where, difference, better, f"p = {line['p']:.2g}"])
    return Table(titles, rows, CAPTION)


def as_csv(lines: Sequence[dict[str, Any]]) -> str:
    """Format a comparison as CSV, in full precision."""
    return comma_separated(list(lines[0]), [list(line.values()) for line in lines])
