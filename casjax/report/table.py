"""Table II: the scores of our runs on LIVE1 beside the paper's own."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from casjax.report import layout
from casjax.report.layout import Table, published
from casjax.report.names import DATASET, METHODS, SCORES
from casjax.report.runs import Run, Score, best, scores_of

METRICS = {"psnr": 2, "psnrb": 2, "ssim": 3}  # decimals, as the paper prints them
TITLES = [SCORES[metric] for metric in METRICS]
ORIGINS = {"jpeg": "libjpeg", "sadct": "casjax/evaluation/sadct.py"}  # of methods without training
CASCNN = ("CAS-CNN MS loss", "CAS-CNN FT")  # its two lines for a quality factor
ALGORITHMS = ("JPEG", "SA-DCT", "AR-CNN", "L4", "L8", *CASCNN)
# Options that mark a CAS-CNN as an experiment, which is not in the table.
EXPERIMENTS = {"skip_connections": False, "residual": True, "batch_norm": True}
NONE_YET = "no result yet"
MISSING = "–"  # noqa: RUF001, the dash of tables


class Line(NamedTuple):
    """A line of the table.

    Attributes:
      quality: JPEG quality factor.
      algorithm: the paper's name for it.
      paper: the paper's scores, by metric; some are missing.
      ours: our score, if there is one.
    """

    quality: int
    algorithm: str
    paper: Mapping[str, float]
    ours: Score | None


def table(runs: Sequence[Run]) -> list[Line]:
    """Put our best result beside each line of the paper's table.

    A network counts only for the one quality factor that it was trained for. One that ships tells
    what it scored with the multi-scale loss alone.
    """
    lines = []
    for row in published("table2.tsv"):
        quality, name = int(row["qf"]), row["algorithm"]
        paper = {metric: float(row[metric]) for metric in METRICS if row[metric]}
        candidates = scores_of(runs, dataset=DATASET, quality=quality)
        candidates += [told for score in candidates if (told := by_multiscale_loss(score))]
        ours = best([score for score in candidates if algorithm(score) == name])
        lines.append(Line(quality, name, paper, ours))
    return lines


def other_networks(runs: Sequence[Run], lines: Sequence[Line]) -> list[Score]:
    """Return the scores of other networks, on the quality factors that they were trained for.

    Those on JPEG images come first, by quality factor, then those on images of other codecs.
    """
    in_table = [line.ours for line in lines]
    on_jpeg = [
        score
        for quality in dict.fromkeys(line.quality for line in lines)
        for score in scores_of(runs, dataset=DATASET, quality=quality)
        if score not in in_table and score.row["method"] != "jpeg" and score.run.network is not None
        if score.run.network["qualities"][0] <= quality <= score.run.network["qualities"][1]
    ]
    on_others = [
        Score(run, row)
        for run in runs
        for row in run.other_rows
        if row["dataset"] == DATASET and row["method"] != row["codec"]
    ]
    return on_jpeg + on_others


def missing(lines: Sequence[Line]) -> list[str]:
    """List the lines of the table that lack our result, one sentence per quality factor."""
    absent: dict[int, list[str]] = {}
    for line in lines:
        if line.ours is None:
            absent.setdefault(line.quality, []).append(line.algorithm)
    return [
        f"Table II at quality {quality}: no result for {', '.join(names)}"
        for quality, names in absent.items()
    ]


def algorithm(score: Score) -> str | None:
    """Return the name in the paper's table of a score's method, or None if it has none."""
    method, network = score.row["method"], score.run.network
    if method in ORIGINS:
        return METHODS[method]
    if network is None or not score.is_trained_for_it:
        return None
    options = network["model"]
    if method != options["name"]:  # refined, as with --ensemble
        return None
    if method != "cascnn":
        return METHODS.get(method)
    if any(options.get(key) == value for key, value in EXPERIMENTS.items()):
        return None
    multiscale, finetuned = CASCNN
    return multiscale if network.get("loss") == "multi-scale" else finetuned


def by_multiscale_loss(score: Score) -> Score | None:
    """Return what is told, beside a score's network, of one trained without fine-tuning, if any."""
    network = score.run.network or {}
    told = network.get("multiscale")
    if told is None or score.row["method"] == "jpeg":
        return None
    run = dataclasses.replace(
        score.run, network={**network, **told}, rows=told["scores"], images=[]
    )
    same = ("dataset", "qf", "method")
    rows = (row for row in run.rows if all(row[key] == score.row[key] for key in same))
    row = next(rows, None)
    return Score(run, row) if row else None


def origin(score: Score) -> str:
    """Say how a score was obtained, in a few words."""
    method, network = score.row["method"], score.run.network
    if network is None or method in ORIGINS:
        return ORIGINS.get(method, str(method))
    start = Path(network.get("initial_weights") or "").name
    if not network.get("cutouts"):
        return f"{start} as it is" if start else network["data"]
    seen = f"{network['cutouts']:,} cut-outs in {network['steps']:,} steps"
    return f"{seen}, started from {start}" if start else seen


def shown(lines: Sequence[Line]) -> Table:
    """Lay the table out: each cell ours / paper (difference)."""
    titles = ["QF", "Algorithm", *TITLES, "Origin of ours"]
    rows = []
    for line in lines:
        cells = [
            f"{ours} / {paper}" + (f" ({difference})" if difference else "")
            for ours, paper, difference in (_cells(line, metric) for metric in METRICS)
        ]
        how = origin(line.ours) if line.ours else NONE_YET
        rows.append([str(line.quality), line.algorithm, *cells, how])
    caption = (
        "Means over LIVE1, luma: ours / the paper's (difference). PSNR-B counts block "
        "boundaries as h (w/8 - 1) + w (h/8 - 1); SSIM over 8x8 windows."
    )
    return Table(titles, rows, caption)


def shown_others(scores: Sequence[Score]) -> Table:
    """Lay out the scores of networks that are not in the table."""
    titles = ["Images", "Run", "Method", *TITLES, SCORES["ipsnr"], "Origin"]
    rows = [
        [
            f"{score.row['codec']} {score.row['qf']}",
            score.run.name,
            score.row["method"],
            *(f"{score.row[metric]:.{decimals}f}" for metric, decimals in METRICS.items()),
            f"{score.row['ipsnr']:+.2f}",
            origin(score),
        ]
        for score in scores
    ]
    return Table(titles, rows)


def as_csv(lines: Sequence[Line]) -> str:
    """Format the table as CSV: ours in full precision, the paper's, and the differences."""
    kinds = ("ours", "paper", "difference")
    columns = [f"{metric}_{kind}" for metric in METRICS for kind in kinds]
    rows = []
    for line in lines:
        cells: list[object] = []
        for metric in METRICS:
            ours = line.ours.row[metric] if line.ours else None
            paper = line.paper.get(metric)
            difference = None if ours is None or paper is None else ours - paper
            cells += [ours, paper, difference]
        about = [line.ours.run.name, origin(line.ours)] if line.ours else ["", NONE_YET]
        rows.append([line.quality, line.algorithm, *cells, *about])
    return layout.comma_separated(["qf", "algorithm", *columns, "run", "origin"], rows)


def latex(lines: Sequence[Line]) -> str:
    """Format the table for LaTeX with the package booktabs."""
    rows, previous = [], None
    for line in lines:
        if previous not in (None, line.quality):
            rows.append(r"\midrule")
        quality = "" if line.quality == previous else str(line.quality)
        previous = line.quality
        cells = [cell for metric in METRICS for cell in _cells(line, metric)]
        cells = [
            cell.replace("-", "$-$").replace("+", "$+$").replace(MISSING, "--") for cell in cells
        ]
        about = origin(line.ours) if line.ours else NONE_YET
        about = about.replace("&", r"\&").replace("_", r"\_").replace("%", r"\%")
        rows.append(" & ".join([quality, line.algorithm, *cells, about]) + r" \\")
    groups = " & ".join(rf"\multicolumn{{3}}{{c}}{{{title}}}" for title in TITLES)
    return "\n".join(
        [
            r"\begin{tabular}{rl*{3}{rrr}l}",
            r"\toprule",
            rf"QF & Algorithm & {groups} & Origin of ours \\",
            r" & " + r" & ours & paper & diff." * 3 + r" & \\",
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def _cells(line: Line, metric: str) -> tuple[str, str, str]:
    """Return our score, the paper's and their difference, as printed."""
    decimals = METRICS[metric]
    ours, paper, difference = MISSING, MISSING, ""
    if line.ours:
        ours = f"{line.ours.row[metric]:.{decimals}f}"
    if metric in line.paper:
        paper = f"{line.paper[metric]:.{decimals}f}"
    if line.ours and metric in line.paper:
        difference = f"{float(ours) - float(paper):+.{decimals}f}"
    return ours, paper, difference
