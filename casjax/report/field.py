"""The field's published scores beside ours: colour, and JPEG files compressed twice."""

from collections.abc import Sequence
from typing import NamedTuple

from casjax.report.layout import Table, published
from casjax.report.names import DATASET, METHODS, SCORES
from casjax.report.runs import Record, Run

COLOUR, TWICE = "colour", "luma, twice"
PUBLISHED = "published"


class Line(NamedTuple):
    """A score of a method on LIVE1.

    Attributes:
      compression: quality factors in turn, "10" or "30, 50".
      method: its name.
      psnr: in dB.
      psnrb: in dB, where it is known.
      origin: the run that it comes from, or that it is published.
    """

    compression: str
    method: str
    psnr: float
    psnrb: float | None
    origin: str


def colour(runs: Sequence[Run]) -> list[Line]:
    """All methods on RGB saved once, by quality and then from the lowest PSNR on."""
    rows = [(run, row, str(row["qf"])) for run in runs for row in run.colour_rows]
    return _lines(COLOUR, rows)


def twice(runs: Sequence[Run]) -> list[Line]:
    """All methods on luma saved twice, the second grid 4 rows and columns off the first."""
    rows = [
        (run, row, f"{row['first']}, {row['qf']}")
        for run in runs
        for row in run.twice_rows
        if list(row["shift"]) == [4, 4]
    ]
    return _lines(TWICE, rows)


def _lines(pictures: str, rows: Sequence[tuple[Run, Record, str]]) -> list[Line]:
    lines = [
        Line(
            row["qf"],
            row["method"],
            float(row["psnr"]),
            float(row["psnrb"]) if row["psnrb"] else None,
            PUBLISHED,
        )
        for row in published("field.tsv")
        if row["pictures"] == pictures
    ]
    ours: dict[tuple[str, str], Line] = {}
    for run, score, compression in rows:
        if score["dataset"] != DATASET:
            continue
        name = METHODS.get(score["method"], str(score["method"]))
        line = Line(compression, name, score["psnr"], score["psnrb"], run.name)
        key = compression, name
        if key not in ours or ours[key].psnr < line.psnr:
            ours[key] = line
    lines += ours.values()
    return sorted(lines, key=lambda line: (_qualities(line.compression), line.psnr))


def _qualities(compression: str) -> tuple[int, ...]:
    return tuple(map(int, compression.split(",")))


def shown(lines: Sequence[Line]) -> Table:
    """Lay lines out as a table."""
    titles = ["QF", "Method", SCORES["psnr"], SCORES["psnrb"], "From"]
    rows = [
        [
            line.compression,
            line.method,
            f"{line.psnr:.2f}",
            "" if line.psnrb is None else f"{line.psnrb:.2f}",
            line.origin,
        ]
        for line in lines
    ]
    return Table(titles, rows)
