"""How networks learned: ``python -m casjax.report.learning [RUNS ...] -o docs/learning``.

Draws the gains over JPEG on validation images by the cut-outs seen, for every network that ships
with its learning curve and for every training run below the given folders, finished or not, as SVG
and PNG for light and dark pages: it shows what further training would gain.
Exit status: 0 done, 2 wrong usage.
"""

import argparse
import json
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from casjax.networks.provenance import learning_curve
from casjax.networks.workdir import CONFIG_FILE, METRICS_FILE
from casjax.report.runs import find_runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Curve = list[list[float]]
"""`[cut-outs seen, gain in dB]` for each validation, in order."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m casjax.report.learning",
        description="Draw gains on validation images by cut-outs seen, of networks and runs.",
        allow_abbrev=False,
    )
    parser.add_argument("runs", nargs="*", type=Path, help="folders with workdirs in them or below")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="path of the files, without suffix"
    )
    options = parser.parse_args(arguments)
    try:
        from casjax.networks.manifest import manifest
        from casjax.report import drawing

        curves = {name: of_network(entry) for name, entry in manifest().items()}
        curves |= of_runs(options.runs, taken=curves.keys())
        curves = {name: curve for name, curve in curves.items() if curve}
        if not curves:
            raise ValueError("no learning curves: no network ships with one, and no run is given")
        drawing.save(lambda: draw(curves), options.output)
    except ModuleNotFoundError as error:
        parser.error(f"{error.name} is not installed: pip install 'casjax[report]'")
    except (ValueError, OSError) as error:
        parser.error(" ".join(str(error).split()))
    return 0


def of_network(entry: Mapping[str, Any]) -> Curve:
    """Return the learning curve of a network that ships, over all trainings under its name.

    Args:
      entry: of the manifest, see `networks.manifest`.

    Returns:
      The curve; empty if unknown.
    """
    curve: Curve = []
    seen = 0
    for training in [*entry.get("earlier", []), entry]:
        curve += [[seen + count, gain] for count, gain in training.get("learning_curve", [])]
        seen += training["cutouts"]
    return curve


def of_runs(folders: Sequence[Path], *, taken: Collection[str] = ()) -> dict[str, Curve]:
    """Return the learning curves of the runs in folders or below them, named by `find_runs`.

    Raises:
      FileNotFoundError: one of the folders has none.
      ValueError: a file is damaged; the message names it.
    """
    for folder in folders:
        if not find_runs([folder], METRICS_FILE):
            raise FileNotFoundError(
                f"{folder}: there is no workdir of a training run, with {METRICS_FILE}"
            )
    curves = {}
    for metrics, name in find_runs(folders, METRICS_FILE, taken=taken).items():
        workdir = metrics.parent
        try:
            config = json.loads((workdir / CONFIG_FILE).read_text(encoding="utf-8"))
            curve = learning_curve(metrics, batch_size=config["batch_size"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{workdir}: its config or metrics are damaged: {error!r}") from error
        curves[name] = curve
    return curves


def draw(curves: Mapping[str, Curve]) -> "Figure":
    """Draw curves over a logarithmic axis of cut-outs, each marked at its end."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator

    from casjax.report.drawing import LINES, MARKERS

    figure = Figure(figsize=(8, 5))
    axes = figure.subplots()
    for i, (name, curve) in enumerate(sorted(curves.items())):
        axes.semilogx(
            [cutouts for cutouts, _ in curve],
            [gain for _, gain in curve],
            color=f"C{i % 6}",
            linestyle=LINES[i // 6 % len(LINES)],
            marker=MARKERS[i % len(MARKERS)],
            markevery=[len(curve) - 1],
            label=f"{name}: {curve[-1][1]:+.3f} dB after {curve[-1][0]:,}",
        )
    axes.set(xlabel="cut-outs seen", ylabel="gain over JPEG on validation images [dB]")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.xaxis.set_minor_formatter("")
    figure.legend(loc="outside lower center", ncols=2)
    return figure


if __name__ == "__main__":
    sys.exit(main())
