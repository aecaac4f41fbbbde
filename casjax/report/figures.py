"""The paper's figures: which results each needs, and which are missing."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from casjax.report import curves, drawing, peers, pictures
from casjax.report.names import DATASET
from casjax.report.runs import Run, Score, best, scores_of
from casjax.report.table import ALGORITHMS, CASCNN, algorithm, table

SHOWN_IMAGE = "lighthouse3"
CLASSIC = "classic5"
CLASSIC_QUALITY = 10  # the paper's, in Figure 6
FEWEST_QUALITIES = 3  # for a curve


class MissingResultsError(Exception):
    """There are no results for a figure; the message says which are needed."""


class Figure(NamedTuple):
    """A figure as files; see `drawing.save`.

    Attributes:
      stem: of the files.
      suffix: of the files that a page should show.
      title: its heading.
      caption: what it shows, also as alternative text.
    """

    stem: Path
    suffix: str
    title: str
    caption: str


def draw_all(runs: Sequence[Run], folder: Path, *, quality: int) -> tuple[list[Figure], list[str]]:
    """Draw the paper's figures 2 to 6, and methods by time, if there are results for them.

    Args:
      runs: the results.
      folder: for the files.
      quality: JPEG quality factor of Figure 5.

    Returns:
      The figures drawn, and a sentence for each that was not.
    """
    figures, missing = [], []
    for draw in (
        learning_curves,
        scores_by_file_size,
        gains_by_quality,
        partial(crops, quality=quality),
        partial(classic_images, quality=quality),
        methods_by_time,
    ):
        try:
            figures.append(draw(runs, folder))
        except MissingResultsError as error:
            missing.append(str(error))
    return figures, missing


def learning_curves(runs: Sequence[Run], folder: Path) -> Figure:
    """Draw Figure 2 for the run with the most phases, and among those the most pixels."""
    trained = [run for run in runs if run.metrics and run.config]
    if not trained:
        raise MissingResultsError(
            "Figure 2, learning curves: no workdir of a training run, with metrics.jsonl and "
            "config.json beside its results"
        )

    def length(run: Run) -> tuple[int, int]:
        assert run.config is not None
        cutouts = run.metrics[-1]["step"] * run.config["batch_size"]
        pixels = cutouts * run.config["data"]["cutout_size"] ** 2
        return len({record["phase"] for record in run.metrics}), pixels

    run = max(trained, key=length)
    stem = folder / "figure2"
    drawing.save(lambda: curves.learning_curves(run), stem)
    caption = (
        f"Losses of the run {run.name} by epochs of its phases, in training (means over intervals) "
        "and in validation, with JPEG's error for comparison. As in the paper, an epoch is 50,000 "
        "cut-outs in the first phase and 150,000 in the second, and the multi-scale loss is "
        f"drawn 3 times as large. Errors above {curves.HIGHEST_ERROR} times JPEG's are cut off."
    )
    return Figure(stem, ".svg", "Figure 2: learning curves", caption)


def scores_by_file_size(runs: Sequence[Run], folder: Path) -> Figure:
    """Draw Figure 3 for the networks of Table II: the better of two at each quality."""
    by_quality: dict[int, list[Score]] = {}
    for line in table(runs):
        if line.algorithm in CASCNN and line.ours and line.ours.images:
            by_quality.setdefault(line.quality, []).append(line.ours)
    scores = [score for found in by_quality.values() if (score := best(found))]
    if not scores:
        raise MissingResultsError(
            f"Figure 3, scores by file size: no CAS-CNN scored on {DATASET} at the quality factor "
            "that it was trained for"
        )
    stem = folder / "figure3"
    drawing.save(lambda: curves.scores_by_file_size(scores, "CAS-CNN"), stem)
    qualities = ", ".join(str(score.row["qf"]) for score in scores)
    caption = (
        "PSNR and SSIM of each LIVE1 image by the bits per pixel of its JPEG file, as JPEG "
        "(hollow) and restored by CAS-CNN (filled), each network at the quality factor that it "
        f"was trained for: {qualities}. Large markers are means; {curves.MARKED} is highlighted."
    )
    return Figure(stem, ".svg", "Figure 3: scores by file size", caption)


def gains_by_quality(runs: Sequence[Run], folder: Path) -> Figure:
    """Draw Figure 4 for all networks that were scored at several quality factors."""
    networks = {}
    for run in runs:
        rows = {r["qf"]: r for r in run.rows if (r["dataset"], r["method"]) == (DATASET, "jpeg")}
        own = [r for r in run.rows if r["dataset"] == DATASET and r["method"] != "jpeg"]
        if run.network is not None and len(rows) >= FEWEST_QUALITIES:
            networks[run.name] = [Score(run, r) for r in sorted(own, key=lambda row: row["qf"])]
    if not networks:
        raise MissingResultsError(
            "Figure 4, gains by quality factor: no network scored at several quality factors: "
            "casjax evaluate NETWORK -o FOLDER --qualities 5,10,15,20,30,40,50,60,70,80,90,95"
        )
    stem = folder / "figure4"
    drawing.save(lambda: curves.gains_by_quality(networks), stem)
    caption = (
        "Mean gains over JPEG on LIVE1 in PSNR and PSNR-B by the quality factor of the images. A "
        "ring marks the quality factor that a network was trained for."
    )
    return Figure(stem, ".svg", "Figure 4: gains by quality factor", caption)


def crops(runs: Sequence[Run], folder: Path, *, quality: int) -> Figure:
    """Draw Figure 5 with the best result of each method of Table II that has pictures."""
    scores = best_with_pictures(runs, DATASET, quality)
    shown = {name: s for name, s in scores.items() if SHOWN_IMAGE in s.images}
    if not shown:
        raise MissingResultsError(
            f"Figure 5, crops of {SHOWN_IMAGE} at quality {quality}: no pictures: "
            f"casjax evaluate METHOD -o FOLDER --qualities {quality} --pictures"
        )
    parts = [pictures.clean(next(iter(shown.values())), SHOWN_IMAGE)]
    parts += [pictures.restored(score, SHOWN_IMAGE, name) for name, score in shown.items()]
    stem = folder / "figure5"
    drawing.save(lambda: pictures.crops(parts, scale=3, columns=3), stem, dpi=pictures.DPI)
    caption = (
        f"The same part of {SHOWN_IMAGE} at quality {quality}, enlarged three times: "
        f"uncompressed, {', '.join(shown)}. Below each: PSNR [dB] / PSNR-B [dB] / SSIM of the "
        "whole image."
    )
    return Figure(stem, ".png", f"Figure 5: {SHOWN_IMAGE} by each method", caption)


def classic_images(runs: Sequence[Run], folder: Path, *, quality: int) -> Figure:
    """Draw Figure 6 at the paper's quality factor, or else at the given one."""
    for chosen in (CLASSIC_QUALITY, quality):
        shown = best_with_pictures(runs, CLASSIC, chosen)
        score = best([shown[name] for name in CASCNN if name in shown])
        if score:
            break
    else:
        raise MissingResultsError(
            "Figure 6, the classic images: no pictures by CAS-CNN: casjax evaluate NETWORK "
            f"-o FOLDER --datasets {CLASSIC} --qualities {quality} --pictures"
        )
    rows = [
        [
            pictures.clean(score, image),
            pictures.restored(score.jpeg, image, f"JPEG, quality {chosen}"),
            pictures.restored(score, image, "CAS-CNN"),
        ]
        for image in score.images
    ]
    stem = folder / "figure6"
    drawing.save(lambda: pictures.grid(rows, scale=1), stem, dpi=pictures.DPI)
    caption = (
        f"The five classic images: uncompressed, JPEG at quality {chosen}, and restored by "
        "CAS-CNN. Below each: PSNR [dB] / PSNR-B [dB] / SSIM."
    )
    return Figure(stem, ".png", "Figure 6: the classic images", caption)


def methods_by_time(runs: Sequence[Run], folder: Path) -> Figure:
    """Draw the gain of each method on LIVE1 by the time it takes."""
    lines = peers.compared(runs)
    if not any(line["pictures"] == peers.LUMA for line in peers.timed(lines)):
        raise MissingResultsError(
            f"Methods by time: no method scored on {DATASET} in luma, one picture at a time, at "
            f"quality {', '.join(map(str, peers.QUALITIES))}: bash launch/peers.sh"
        )
    stem = folder / "peers"
    drawing.save(lambda: peers.quality_by_time(lines), stem)
    caption = (
        "Mean gain in PSNR over JPEG on LIVE1 by CPU time per megapixel; the line joins the "
        "methods that no other method beats in both."
    )
    return Figure(stem, ".svg", "Methods by quality and time", caption)


def best_with_pictures(runs: Sequence[Run], dataset: str, quality: int) -> dict[str, Score]:
    """Return the best score with pictures of each method of Table II, in the table's order."""
    scores = scores_of(runs, dataset=dataset, quality=quality, with_pictures=True)
    found = {name: best([s for s in scores if algorithm(s) == name]) for name in ALGORITHMS}
    return {name: score for name, score in found.items() if score}
