"""The field's published scores beside ours: colour, and JPEG files compressed twice."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from casjax.report import layout
from casjax.report.runs import Record, Run

DATASET = "live1"
COLOUR, TWICE = "colour", "luma, twice"
LABELS = {"jpeg": "JPEG"}
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
            published["qf"],
            published["method"],
            float(published["psnr"]),
            float(published["psnrb"]) if published["psnrb"] else None,
            PUBLISHED,
        )
        for published in published_scores()
        if published["pictures"] == pictures
    ]
    ours: dict[tuple[str, str], Line] = {}
    for run, row, compression in rows:
        if row["dataset"] != DATASET:
            continue
        name = LABELS.get(row["method"], str(row["method"]))
        line = Line(compression, name, row["psnr"], row["psnrb"], run.name)
        key = compression, name
        if key not in ours or ours[key].psnr < line.psnr:
            ours[key] = line
    lines += ours.values()
    return sorted(lines, key=lambda line: (_qualities(line.compression), line.psnr))


def _qualities(compression: str) -> tuple[int, ...]:
    return tuple(map(int, compression.split(",")))


def published_scores() -> list[dict[str, str]]:
    """The rows of ``field.tsv`` as text, by column."""
    text = Path(__file__).with_name("field.tsv").read_text(encoding="utf-8")
    return list(csv.DictReader(io.StringIO(text), delimiter="\t"))


def markdown(lines: Sequence[Line]) -> str:
    """Lay lines out in Markdown."""
    titles = ["QF", "Method", "PSNR [dB]", "PSNR-B [dB]", "From"]
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
    return layout.markdown(titles, rows)
