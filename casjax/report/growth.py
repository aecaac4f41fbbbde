"""How time and memory grow: ``python -m casjax.report.growth figures.json -o docs/growth``.

Draws the figures of ``casjax benchmark --only growth --json figures.json`` as SVG and PNG for light
and dark pages. Exit status: 0 done, 2 wrong usage.
"""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Record = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m casjax.report.growth",
        description="Draw how time and memory grow with sizes and devices.",
        allow_abbrev=False,
    )
    parser.add_argument("figures", type=Path, help="file written by casjax benchmark --json")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="path of the files, without suffix"
    )
    options = parser.parse_args(arguments)
    try:
        records = json.loads(options.figures.read_text(encoding="utf-8"))
        parts = records if isinstance(records, list) else []
        records = [record for record in parts if record.get("name") == "growth"]
        if not records:
            raise ValueError(
                f"{options.figures}: it has no part growth: casjax benchmark --only growth"
            )
        from casjax.report import drawing

        drawing.save(lambda: growth(records), options.output)
    except ModuleNotFoundError as error:
        parser.error(f"{error.name} is not installed: pip install 'casjax[report]'")
    except (ValueError, OSError) as error:
        parser.error(" ".join(str(error).split()))
    return 0


def growth(records: Sequence[Record]) -> "Figure":
    """Draw time and memory by pixels, of one picture and of batches, and training by devices.

    Args:
      records: of the benchmark's part growth.

    Returns:
      Three panels with logarithmic axes and a line for each network.
    """
    from matplotlib.figure import Figure

    from casjax.report.drawing import MARKERS

    figure = Figure(figsize=(10, 3.8))
    time, memory, training = figure.subplots(1, 3)
    for i, model in enumerate(sorted({record["model"] for record in records})):
        style: dict[str, Any] = {"color": f"C{i}", "marker": MARKERS[i % len(MARKERS)]}
        for detail, line, label in (
            ("size", "-", model),
            ("batch", ":", f"{model}, batches of 256x256"),
        ):
            chosen = [r for r in records if (r["model"], r["detail"]) == (model, detail)]
            pixels = [math.prod(record["shape"]) / 1e6 for record in chosen]
            peaks = [record["peaks"]["host"] / 2**20 for record in chosen]
            time.loglog(pixels, [r["median"] for r in chosen], line, label=label, **style)
            memory.loglog(pixels, peaks, line, **style)
        chosen = [r for r in records if (r["model"], r["detail"]) == (model, "devices")]
        rates = [record["shape"][0] / record["median"] for record in chosen]
        training.loglog([record["devices"] for record in chosen], rates, **style)
    time.set(xlabel="megapixels", ylabel="seconds")
    memory.set(xlabel="megapixels", ylabel="peak memory of the process [MiB]")
    training.set(xlabel="CPU devices", ylabel="training, cut-outs per second")
    devices = sorted({r["devices"] for r in records if r["detail"] == "devices"})
    training.set_xticks(devices, map(str, devices))
    training.set_xticks([], minor=True)
    # Over less than a decade, powers of ten are too coarse.
    for axes in (memory, training):
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("{x:g}")
    figure.legend(loc="outside lower center", ncols=4)
    return figure


if __name__ == "__main__":
    sys.exit(main())
