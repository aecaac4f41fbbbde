"""Tables, figures and a page from results: ``casjax report runs -o report``.

Reads the results of `casjax train` and `casjax evaluate` below some folders and loads no network.
Writes Table II as Markdown, CSV and LaTeX, tables of colour and of files saved twice beside what
others published, the paper's figures 2 to 6 as SVG and PNG for light and dark pages, and everything
as one page, ``index.html``. Missing results are listed.
Instead, ``--group-by quality,optimizer.name`` makes one table of a sweep, and ``--compare A B``
compares two runs image by image; these are printed, and with -o written as Markdown and CSV.
Exit status: 0 done, 2 wrong usage.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from casjax.files import write_text
from casjax.report.runs import Run, read_runs


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = make_parser()
    options = parser.parse_args(arguments)
    if options.output is None and not (options.group_by or options.compare):
        parser.error("the following arguments are required: -o/--output")
    try:
        runs = read_runs(options.results)
        if options.group_by or options.compare:
            print(*tables(runs, options), sep="\n")
            return 0
        missing = report(runs, options.output, quality=options.quality)
    except ModuleNotFoundError as error:
        parser.error(f"{error.name} is not installed: pip install 'casjax[report]'")
    except (ValueError, OSError) as error:
        parser.error(" ".join(str(error).split()))
    for sentence in missing:
        print(f"missing: {sentence}", file=sys.stderr)
    print(f"Report: {options.output / 'index.html'}")
    return 0


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="casjax report",
        description="Make tables, figures and a page from results, beside the paper's own.",
        epilog="Exit status: 0 done, 2 wrong usage.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "results",
        nargs="+",
        type=Path,
        metavar="FOLDER",
        help="folder with results.json of casjax train or evaluate in it or below",
    )
    add(
        "-o",
        "--output",
        type=Path,
        metavar="FOLDER",
        help="where to write the report, or the tables",
    )
    add(
        "--group-by",
        type=lambda text: text.split(","),
        metavar="KEY,...",
        help="instead make one table of all runs, by config keys such as quality,optimizer.name",
    )
    add(
        "--compare",
        nargs=2,
        metavar=("A", "B"),
        help="instead compare two runs, by their names in tables: A minus B, and its significance",
    )
    add(
        "--quality",
        type=int,
        default=20,
        choices=range(1, 101),
        metavar="N",
        help="JPEG quality factor of the pictures; default: 20",
    )
    return parser


def tables(runs: Sequence[Run], options: argparse.Namespace) -> list[str]:
    """Make the tables requested instead of the report, and write them with -o."""
    from casjax.report import comparison, pivot

    made: list[str] = []
    files: dict[str, str] = {}
    if options.group_by:
        groups = pivot.pivot(runs, options.group_by)
        made.append(pivot.shown(groups).markdown())
        files |= {"groups.md": made[-1], "groups.csv": pivot.as_csv(groups)}
    if options.compare:
        lines = comparison.comparison(runs, options.compare)
        made.append(comparison.shown(lines, options.compare).markdown())
        files |= {"comparison.md": made[-1], "comparison.csv": comparison.as_csv(lines)}
    if options.output:
        write(files, options.output)
    return made


def write(files: Mapping[str, str], folder: Path) -> None:
    """Write texts into a folder, created if missing, each completely or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        write_text(folder / name, text)


def report(runs: Sequence[Run], folder: Path, *, quality: int) -> list[str]:
    """Write the report on some runs into a folder, created if missing.

    Args:
      runs: the results.
      folder: receives ``table2.md``, ``table2.csv``, ``table2.tex``, ``colour.md``, ``twice.md``,
        ``peers.md``, figures and ``index.html``.
      quality: JPEG quality factor of the pictures.

    Returns:
      A sentence for each thing with missing results.
    """
    # Imported here so that --help and mistyped options need not wait for Matplotlib.
    from casjax.report import field, figures, peers, table
    from casjax.report.names import DATASET
    from casjax.report.page import page

    folder.mkdir(parents=True, exist_ok=True)
    lines = table.table(runs)
    table2 = table.shown(lines)
    others = table.shown_others(table.other_networks(runs, lines))
    compared = peers.shown(peers.compared(runs))
    colour, twice = (field.shown(scores(runs)) for scores in (field.colour, field.twice))
    drawn, missing = figures.draw_all(runs, folder, quality=quality)
    missing = table.missing(lines) + missing
    shown = figures.best_with_pictures(runs, DATASET, quality)
    name = next((name for name in reversed(shown) if name != "JPEG"), "")
    tables = {
        "table": table2,
        "others": others,
        "peers": compared,
        "colour": colour,
        "twice": twice,
    }
    html = page(
        tables,
        figures=drawn,
        missing=missing,
        score=shown.get(name),
        name=name,
    )
    write(
        {
            "table2.md": f"{table2.markdown()}\nOther networks:\n\n{others.markdown()}",
            "table2.csv": table.as_csv(lines),
            "table2.tex": table.latex(lines),
            "peers.md": compared.markdown(),
            "colour.md": colour.markdown(),
            "twice.md": twice.markdown(),
            "index.html": html,
        },
        folder,
    )
    return missing


if __name__ == "__main__":
    sys.exit(main())
