"""Methods by quality and time: ``python -m casjax.report.peers runs -o docs/figures/peers``.

Reads the results of `casjax evaluate` below some folders. Draws the gain in PSNR on LIVE1 by the
time per megapixel, as SVG and PNG for light and dark pages, prints the table, and writes its lines
as JSON. The time is CPU time of all cores together, which other programs hardly affect; it is not
measured for several pictures at once. Exit status: 0 done, 2 wrong usage.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from casjax.files import write_json
from casjax.report.layout import Table
from casjax.report.names import DATASET, METHODS, SCORES
from casjax.report.runs import Record, Run, read_runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

QUALITIES = (10, 20, 40)
LUMA, COLOUR = "luma", "colour"
TITLES = ["Pictures", "QF", "Method", *SCORES.values(), "CPU s/Mpixel"]
Line = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m casjax.report.peers",
        description="Compare methods by quality and time.",
        allow_abbrev=False,
    )
    parser.add_argument("results", nargs="+", type=Path, help="folders with results.json below")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="path of the figures, without suffix"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table's lines here")
    options = parser.parse_args(arguments)
    try:
        lines = compared(read_runs(options.results))
        if not any(line["pictures"] == LUMA for line in timed(lines)):
            raise ValueError(
                f"no method was scored on {DATASET} at quality {', '.join(map(str, QUALITIES))}"
            )
        from casjax.report import drawing

        drawing.save(lambda: quality_by_time(lines), options.output)
        if options.json:
            write_json(options.json, lines)
    except ModuleNotFoundError as error:
        parser.error(f"{error.name} is not installed: pip install 'casjax[report]'")
    except (ValueError, OSError) as error:
        parser.error(" ".join(str(error).split()))
    print(shown(lines).markdown())
    return 0


def compared(runs: Sequence[Run]) -> list[Line]:
    """Return the scores of every method on LIVE1 at 10, 20 and 40; for one name the best.

    Returns:
      Lines of luma, then of colour, by quality, then by rising PSNR: ``pictures``, ``qf``,
      ``method``, ``images``, the scores with the standard error of the gain, and for restorers
      ``cpu_seconds_per_mpixel``, wall-clock ``seconds_per_mpixel`` and the ``processor``.
    """
    lines: dict[tuple[str, int, str], Line] = {}
    for run in runs:
        for pictures, rows in ((LUMA, run.rows), (COLOUR, run.colour_rows)):
            for row in rows:
                name = str(row["method"])
                key = pictures, row["qf"], METHODS.get(name, name)
                best = lines.get(key, {"psnr": -math.inf})["psnr"]
                if row["dataset"] == DATASET and row["qf"] in QUALITIES and row["psnr"] > best:
                    lines[key] = _line(key, row)
    order = (LUMA, COLOUR)
    return sorted(
        lines.values(), key=lambda line: (order.index(line["pictures"]), line["qf"], line["psnr"])
    )


def _line(key: tuple[str, int, str], row: Record) -> Line:
    line: Line = dict(zip(("pictures", "qf", "method"), key, strict=True))
    line |= {name: row[name] for name in ("images", *SCORES)}
    line["ipsnr_se"] = row.get("ipsnr_se", math.nan)  # earlier versions did not write it
    # An accelerator's work is no time of processors.
    seconds = math.nan if row.get("accelerators") else row.get("cpu_seconds_per_mpixel", math.nan)
    if math.isfinite(seconds):
        line["cpu_seconds_per_mpixel"] = seconds
        line["seconds_per_mpixel"] = 1 / row["mpixels_per_second"]
        line["processor"] = row.get("processor", "")
    return line


def timed(lines: Sequence[Line]) -> list[Line]:
    """Return the lines of methods whose time is known."""
    return [line for line in lines if "cpu_seconds_per_mpixel" in line]


def shown(lines: Sequence[Line]) -> Table:
    """Lay the lines out as a table, the best of each quality last."""
    rows = []
    for line in lines:
        gain, time = "", ""
        if line["method"] != METHODS["jpeg"]:
            gain = f"{line['ipsnr']:+.2f} ± {line['ipsnr_se']:.2f}"
        if "cpu_seconds_per_mpixel" in line:
            time = f"{line['cpu_seconds_per_mpixel']:.2g}"
        scores = f"{line['psnr']:.2f}", f"{line['psnrb']:.2f}", f"{line['ssim']:.4f}"
        rows.append([line["pictures"], str(line["qf"]), line["method"], *scores, gain, time])
    return Table(TITLES, rows)


def quality_by_time(lines: Sequence[Line]) -> "Figure":
    """Draw the gain in PSNR over JPEG by CPU seconds per megapixel, in a panel per quality.

    The line joins the methods that no other method beats in both.
    """
    from matplotlib.figure import Figure

    from casjax.report.drawing import MARKERS

    drawn = [line for line in timed(lines) if line["pictures"] == LUMA]
    methods = sorted({line["method"] for line in drawn})
    qualities = sorted({line["qf"] for line in drawn})
    figure = Figure(figsize=(10, 4.2))
    panels = figure.subplots(1, len(qualities), sharex=True, sharey=True, squeeze=False)[0]
    for quality, axes in zip(qualities, panels, strict=True):
        here = [line for line in drawn if line["qf"] == quality]
        for line in here:
            i = methods.index(line["method"])
            axes.plot(
                line["cpu_seconds_per_mpixel"],
                line["ipsnr"],
                MARKERS[i % len(MARKERS)],
                color=f"C{i}",
                label=line["method"],
                markersize=8,
                zorder=3,
            )
        front = pareto(here)
        axes.plot(
            [line["cpu_seconds_per_mpixel"] for line in front],
            [line["ipsnr"] for line in front],
            color="0.5",
            linewidth=1,
        )
        axes.set_xscale("log")
        axes.set_title(f"quality {quality}")
        axes.set_xlabel("CPU seconds per megapixel")
    panels[0].set_ylabel("gain in PSNR over JPEG [dB]")
    handles = {line.get_label(): line for axes in panels for line in axes.lines}
    figure.legend(
        handles=[handles[method] for method in methods], loc="outside lower center", ncols=6
    )
    return figure


def pareto(lines: Sequence[Line]) -> list[Line]:
    """Return the methods that none beats in both speed and quality, from the fastest on."""
    front: list[Line] = []
    for line in sorted(lines, key=lambda line: (line["cpu_seconds_per_mpixel"], -line["ipsnr"])):
        if not front or line["ipsnr"] > front[-1]["ipsnr"]:
            front.append(line)
    return front


if __name__ == "__main__":
    sys.exit(main())
