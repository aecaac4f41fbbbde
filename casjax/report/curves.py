"""Figures 2, 3 and 4: learning curves, scores by file size, gains by quality factor."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from casjax.networks.provenance import PHASES, measure_of
from casjax.report.drawing import LINES, MARKERS
from casjax.report.names import SCORES
from casjax.report.runs import Record, Run, Score

# The paper's scales in Figure 2: cut-outs per epoch, and the factor of the multi-scale loss.
MULTISCALE, FINETUNE = PHASES
EPOCHS = {MULTISCALE: 50_000, FINETUNE: 150_000}
TITLES = {MULTISCALE: "multi-scale loss", FINETUNE: "fine-tuning"}
MULTISCALE_FACTOR = 3
POINTS = 60  # of a training curve, each the mean over an interval
HIGHEST_ERROR = 6  # times JPEG's: higher errors, as in the first steps, are cut off in Figure 2
MARKED = "lighthouse3"  # in Figure 3, as in the paper
SMALL: dict[str, Any] = {"linestyle": "none", "markersize": 3.5}
LARGE: dict[str, Any] = {"linestyle": "none", "markersize": 9, "zorder": 4}


def learning_curves(run: Run) -> Figure:
    """Draw the losses of a run by epochs, with a panel for each phase.

    The paper's epoch is 50,000 cut-outs in the first phase and 150,000 in the second, and the
    multi-scale loss is drawn 3 times as large, unless it is not a squared error. Losses are of
    pixels in [0, 1].

    Args:
      run: with `metrics` and the `config` that it was trained with.
    """
    assert run.config is not None
    phases = [p for p in EPOCHS if any(record["phase"] == p for record in run.metrics)]
    figure = Figure(figsize=(8, 4))
    panels = figure.subplots(1, len(phases), sharey=True, squeeze=False)[0]
    first_step = 0
    for phase, axes in zip(phases, panels, strict=True):
        records = [record for record in run.metrics if record["phase"] == phase]
        epoch = EPOCHS[phase] / run.config["batch_size"]
        outputs = sum(weight > 0 for weight in run.config[phase]["loss_weights"])
        is_multiscale = outputs > 1 and measure_of(run.config) == "mse"
        _draw_phase(axes, records, first_step, epoch, is_multiscale=is_multiscale)
        axes.set_title(TITLES[phase])
        axes.set_xlabel(f"epochs of {EPOCHS[phase]:,} cut-outs")
        first_step = max(record["step"] for record in records)
    panels[0].set_ylabel("mean squared error, × 10⁻⁴")  # noqa: RUF001
    handles = {line.get_label(): line for axes in panels for line in axes.lines}
    figure.legend(handles=handles.values(), loc="outside lower center", ncols=2)
    return figure


def _draw_phase(
    axes: Axes, records: Sequence[Record], first_step: int, epoch: float, *, is_multiscale: bool
) -> None:
    """Draw the losses of a phase by epochs, each of `epoch` steps."""
    training, validation = (
        [record for record in records if record["kind"] == kind] for kind in ("train", "validation")
    )

    def epochs(records: Sequence[Record]) -> list[float]:
        return [(record["step"] - first_step) / epoch for record in records]

    losses = [1e4 * record["mse"] for record in training]
    label, line = "output loss, training", "C1-"
    if is_multiscale:
        losses = [1e4 * MULTISCALE_FACTOR * record["loss"] for record in training]
        label, line = f"multi-scale loss × {MULTISCALE_FACTOR}, training", "C3-."  # noqa: RUF001
    x, y = (_means(values) for values in (epochs(training), losses))
    axes.plot(x, y, line, linewidth=1.2, label=label)
    if validation:
        x, y = epochs(validation), [1e4 * record["mse"] for record in validation]
        axes.plot(x, y, "o--", color="C0", markersize=4, label="output loss, validation")
        jpeg = 1e4 * validation[0]["jpeg_mse"]
        axes.axhline(jpeg, color="C2", linestyle=":", label="JPEG, validation")
        axes.set_ylim(0, min(axes.get_ylim()[1], HIGHEST_ERROR * jpeg))


def _means(values: Sequence[float]) -> list[float]:
    """Return the means over as many equal intervals as a curve has points."""
    stretches = np.array_split(np.array(values), min(POINTS, len(values)))
    return [float(stretch.mean()) for stretch in stretches]


def scores_by_file_size(scores: Sequence[Score], name: str) -> Figure:
    """Draw PSNR and SSIM by bits per pixel, of JPEG and of networks that restore it.

    Each image is a line from its JPEG score (hollow) to its restored one (filled); the large
    markers are the means over the images. One image is marked, as in the paper.

    Args:
      scores: of one kind of network, one for each quality factor; their runs hold JPEG's too.
      name: of the network.
    """
    figure = Figure(figsize=(9, 4.5))
    panels = figure.subplots(1, 2)
    for axes, metric in zip(panels, ("psnr", "ssim"), strict=True):
        for marker, score in zip(MARKERS, scores, strict=False):
            restored, jpeg = score.images, score.jpeg.images
            marked = restored.keys() & {MARKED}
            hollow = {"marker": marker, "markerfacecolor": "none"}
            for images, before, after in (
                (restored.keys() - marked, "C1", "C0"),
                (marked, *[matplotlib.rcParams["text.color"]] * 2),
            ):
                x = [restored[image]["bpp"] for image in images]
                old = [jpeg[image][metric] for image in images]
                new = [restored[image][metric] for image in images]
                axes.vlines(x, old, new, color=before, linewidth=0.5)
                axes.plot(x, old, color=before, **SMALL, **hollow)
                axes.plot(x, new, color=after, **SMALL, marker=marker)
            x = [score.row["bpp"]]
            axes.plot(x, [score.jpeg.row[metric]], color="C1", **LARGE, **hollow)
            axes.plot(x, [score.row[metric]], color="C0", **LARGE, marker=marker)
        x = [score.row["bpp"] for score in scores]
        axes.plot(x, [score.jpeg.row[metric] for score in scores], "C1--", linewidth=1)
        axes.plot(x, [score.row[metric] for score in scores], "C0-", linewidth=1)
        axes.set_xlabel("bits per pixel")
        axes.set_ylabel(SCORES[metric])
    handles = _legend(scores, name)
    figure.legend(handles=handles, loc="outside lower center", ncols=-(-len(handles) // 2))
    return figure


def _legend(scores: Sequence[Score], name: str) -> list[Line2D]:
    foreground = matplotlib.rcParams["text.color"]
    return [
        Line2D(
            [], [], color="C1", linestyle="--", marker="o", markerfacecolor="none", label="JPEG"
        ),
        Line2D([], [], color="C0", marker="o", label=name),
        *(
            Line2D([], [], color="C0", linestyle="none", marker=m, label=f"QF {score.row['qf']}")
            for m, score in zip(MARKERS, scores, strict=False)
        ),
        Line2D([], [], color=foreground, linestyle="none", marker="o", label=MARKED),
    ]


def gains_by_quality(networks: Mapping[str, Sequence[Score]]) -> Figure:
    """Draw the gains over JPEG by the quality factor of the images, with a line for each network.

    A ring marks the quality factor that a network was trained for.

    Args:
      networks: the scores by network, in order of rising quality factor.
    """
    figure = Figure(figsize=(9, 4))
    panels = figure.subplots(1, 2, sharey=True)
    titles = {"ipsnr": "gain in PSNR [dB]", "ipsnrb": "gain in PSNR-B [dB]"}
    for axes, (gain, label) in zip(panels, titles.items(), strict=True):
        for i, (name, scores) in enumerate(networks.items()):
            x = [score.row["qf"] for score in scores]
            y = [score.row[gain] for score in scores]
            line, marker = LINES[i % len(LINES)], MARKERS[i % len(MARKERS)]
            axes.plot(x, y, color=f"C{i}", linestyle=line, marker=marker, ms=4, label=name)
            own = [score.row for score in scores if score.is_trained_for_it]
            ring = {"marker": "o", "ms": 11, "markerfacecolor": "none", "linestyle": "none"}
            axes.plot([r["qf"] for r in own], [r[gain] for r in own], color=f"C{i}", **ring)
        axes.axhline(0, color=matplotlib.rcParams["text.color"], linewidth=0.8)
        axes.set_xlabel("quality factor of the images")
        axes.set_ylabel(label)
        axes.tick_params(labelleft=True)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure
