"""Scores of a restorer on clean images: degrade, restore, and score both in one pass.

The degraded and the restored image are scored by the same call against the same clean image, so
that baseline and gains cannot drift apart. The uint8 image that would be written to a file is
scored.
"""

import contextlib
import json
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import jax.numpy as jnp
import numpy as np
from absl import logging

from casjax.datasets import ImageSource
from casjax.evaluation.comparing import standard_error
from casjax.evaluation.degraded import Degraded, Digests, Earlier, degraded_pictures
from casjax.evaluation.restorers import FileRestorer, Restored, ahead, timed
from casjax.files import write_text
from casjax.images.codecs import CODECS
from casjax.metrics import COLOUR_METRICS, METRICS
from casjax.networks.inference import Restorer

Record: TypeAlias = dict[str, Any]
Results: TypeAlias = dict[str, list[Record]]
Keep: TypeAlias = Callable[[Record, np.ndarray], None]
"""Takes a record and its picture, uint8 [h, w] or [h, w, 3]."""

# Gains over the degraded image, and the metric of each.
GAINS = {"ipsnr": "psnr", "ipsnrb": "psnrb"}
TIMES = ("seconds", "cpu_seconds")
LEGEND = "Means over images of luma; PSNR, PSNR-B and gains in dB, SSIM over 8x8 windows."
COLOUR_LEGEND = (
    "Means over images in RGB; PSNR, PSNR-B (blocks of luma) and gains in dB, SSIM over Gaussian "
    "windows, of three channels."
)
DIVIDER = 4  # pixels
EXAMPLE = 256  # pixels


def evaluate(
    restorer: Restorer | FileRestorer | None,
    source: ImageSource,
    *,
    method: str,
    qualities: Sequence[int],
    codec: str = "jpeg",
    earlier: Earlier | None = None,
    keep: Keep | None = None,
) -> Results:
    """Score a codec at some qualities, and a method that restores its pictures, on clean images.

    Args:
      restorer: any function from uint8 [1, h, w, 1], or [1, h, w, 3] for a source of RGB, to
        restored uint8 of the same shape, or one of the codec's files; None scores the codec alone.
      source: the clean images; those that cannot be read are skipped with a warning.
      method: the restorer's name in the results; the degraded image has the codec's name.
      qualities: of the codec, 1..100; see `images.codecs.compress`.
      codec: one of `images.codecs.CODECS`.
      earlier: an earlier JPEG compression of every picture.
      keep: called with each scored picture, including the degraded ones, and its record, to which
        it may add.

    Returns:
      `images`, a record for each image, quality and method, with `dataset`, `image`, `method`,
      `codec`, `qf` (the quality), `height`, `width`, every metric of `metrics.METRICS`, or
      `COLOUR_METRICS` for RGB, the gains `ipsnr` and `ipsnrb` over the codec in dB, its file's
      bits per pixel `bpp`, and, for the restorer, its `seconds` and `cpu_seconds` as in
      `restorers.Restored`.
      `rows`, the plain means over images, in float64, with their number in `images`, the standard
      errors `psnr_se`, `ipsnr_se` and `ipsnrb_se` of these means, and `clean_sha256` and
      `files_sha256` of the pictures, see `degraded.fingerprints`; for the restorer
      `mpixels_per_second` by the wall clock, `cpu_seconds_per_mpixel`, and how many `jobs` ran at
      once if it takes files.
      `failures`, the pictures that the restorer failed on or that a metric does not support, with
      the `reason`; they are in no row, and were logged.

    Raises:
      ValueError: the restorer has the name of a codec, or no image can be scored.
    """
    if restorer is not None and method in CODECS:
        raise ValueError(f"{method=} is the degraded image: give the restorer another name")
    restore = (lambda _: None) if restorer is None else timed(restorer)
    of_files = restorer if isinstance(restorer, FileRestorer) else None
    images: list[Record] = []
    failures: list[Record] = []
    digests = Digests()
    outcomes = ahead(
        restore,
        digests.passing(degraded_pictures(source, qualities, codec=codec, earlier=earlier)),
        jobs=of_files.jobs if of_files else 1,
        stop=of_files.stop if of_files else lambda: None,
    )
    with contextlib.closing(outcomes):
        for picture, outcome in outcomes:
            facts: Record = {
                "dataset": source.name,
                "image": picture.image,
                "codec": codec,
                "qf": picture.quality,
            }
            try:
                scores, shown = _judge(picture, outcome(), methods=(codec, method))
            except ValueError as error:
                failures.append(facts | {"method": method, "reason": " ".join(str(error).split())})
                logging.warning("%s", sentence(failures[-1]))
                continue
            facts |= {
                "height": picture.clean.shape[0],
                "width": picture.clean.shape[1],
                "bpp": 8 * len(picture.file) / math.prod(picture.clean.shape[:2]),
            }
            records = [facts | of_method for of_method in scores]
            images += records
            if keep is not None:
                for record, pixels in zip(records, shown, strict=True):
                    keep(record, pixels)
    if not images:
        raise ValueError(
            sentence(failures[0])
            if failures
            else f"{source.name}: no image to evaluate at qualities {list(qualities)}"
        )

    groups: dict[tuple[int, str], list[Record]] = defaultdict(list)
    for record in images:
        groups[record["qf"], record["method"]].append(record)
    rows = [_mean(group) | digests.of(quality) for (quality, _), group in groups.items()]
    if of_files:
        rows = [row | ({"jobs": of_files.jobs} if "seconds" in row else {}) for row in rows]
    return {"rows": rows, "images": images, "failures": failures}


def sentence(failure: Record) -> str:
    """Say in one line which picture failed, and why."""
    return "{dataset}: {image} at quality {qf}: {reason}".format(**failure)


def _judge(
    picture: Degraded,
    restored: Restored | None,
    *,
    methods: tuple[str, str],
) -> tuple[list[Record], np.ndarray]:
    """Score a degraded picture, and the restored one with its times, against the clean one.

    Returns:
      A record for each picture, and the pictures, uint8 [records, h, w] or [records, h, w, 3].
    """
    candidates = [picture.pixels]
    records: list[Record] = [{"method": methods[0]}]
    if restored is not None:
        candidates.append(restored.pixels)
        times = {"seconds": restored.seconds, "cpu_seconds": restored.cpu_seconds}
        records.append({"method": methods[1], **times})

    pictures = np.stack(candidates)
    in_colour = picture.clean.ndim == 3
    shown, truth = (
        jnp.asarray(x if in_colour else x[..., None])
        for x in (pictures, np.repeat(picture.clean[None], len(pictures), axis=0))
    )
    for metric, function in (COLOUR_METRICS if in_colour else METRICS).items():
        for record, score in zip(records, np.asarray(function(shown, truth)), strict=True):
            record[metric] = float(score)
    for record in records:
        for gain, metric in GAINS.items():
            score, baseline = record[metric], records[0][metric]
            # Two infinite scores, of images equal to the clean one, are no gain.
            record[gain] = 0.0 if score == baseline else score - baseline
    return records, pictures


def _mean(group: Sequence[Record]) -> Record:
    row = {key: group[0][key] for key in ("dataset", "method", "codec", "qf")}
    metrics = [metric for metric in COLOUR_METRICS if metric in group[0]]
    averaged = [*metrics, *GAINS, "bpp", *(TIMES if "seconds" in group[0] else [])]
    row |= {key: float(np.mean([record[key] for record in group])) for key in averaged}
    for key in ("psnr", *GAINS):
        row[f"{key}_se"] = standard_error([record[key] for record in group])
    if "seconds" in group[0]:
        pixels = sum(record["height"] * record["width"] for record in group)
        row["mpixels_per_second"] = pixels / 1e6 / sum(record["seconds"] for record in group)
        cpu_seconds = sum(record["cpu_seconds"] for record in group)
        row["cpu_seconds_per_mpixel"] = cpu_seconds / (pixels / 1e6)
    return row | {"images": len(group)}


def write_results(path: Path, results: Mapping[str, Any]) -> None:
    """Write results as standard JSON with sorted keys; the file appears complete or not at all.

    JSON has no infinite numbers. The PSNR of an image that equals the clean one, and values derived
    from it, are written as the strings "Infinity", "-Infinity" or "NaN", which Python's `float` and
    JavaScript's `Number` can read.
    """
    text = json.dumps(_standard(results), allow_nan=False, indent=1, sort_keys=True)
    write_text(path, text + "\n")


def _standard(value: Any) -> Any:
    match value:
        case Mapping():
            return {key: _standard(item) for key, item in value.items()}
        case list() | tuple():
            return [_standard(item) for item in value]
        case float() if math.isnan(value):
            return "NaN"
        case float() if math.isinf(value):
            return "Infinity" if value > 0 else "-Infinity"
    return value


def format_table(results: Mapping[str, Any]) -> str:
    """Format the rows of results, as evaluated or as read from their file, for a terminal."""
    titles = ("dataset", "QF", "method", "PSNR", "PSNR-B", "SSIM", "IPSNR", "IPSNR-B", "bpp")
    in_colour = results.get("channels") == 3
    similarity = "ssim_gaussian" if in_colour else "ssim"
    table = [titles]
    for row in results["rows"]:
        psnr, psnrb, ssim, bpp = (float(row[key]) for key in ("psnr", "psnrb", similarity, "bpp"))
        gains = ["" if row["method"] in CODECS else _with_error(row, gain) for gain in GAINS]
        scores = (f"{psnr:.2f}", f"{psnrb:.2f}", f"{ssim:.4f}", *gains, f"{bpp:.3f}")
        table.append((row["dataset"], str(row["qf"]), row["method"], *scores))
    widths = [max(len(cell) for cell in column) for column in zip(*table, strict=True)]
    names = titles.index("dataset"), titles.index("method")
    lines = [
        "  ".join(
            cell.ljust(width) if column in names else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ).rstrip()
        for cells in table
    ]
    lines.insert(1, "-" * max(len(line) for line in lines))
    lines.append(COLOUR_LEGEND if in_colour else LEGEND)
    if "recompress" in results:
        top, left = results["recompress"]["shift"]
        lines.append(
            f"Each was a JPEG of quality {results['recompress']['quality']} before, cropped by "
            f"{top} rows and {left} columns."
        )
    return "\n".join(lines)


def _with_error(row: Mapping[str, Any], gain: str) -> str:
    """Format a gain and the standard error of its mean, which a single image does not have."""
    error = float(row[f"{gain}_se"])
    return f"{float(row[gain]):+.2f}" + (f" ±{error:.2f}" if math.isfinite(error) else "")


def example(
    restorer: Restorer | FileRestorer, source: ImageSource, *, codec: str, quality: int
) -> np.ndarray:
    """Show what a restorer does to the first readable image of a source.

    Returns:
        uint8 [h, w] or [h, w, 3], the middle of the degraded, the restored and the clean image
        side by side, with white lines between them.
    """
    picture = next(degraded_pictures(source, [quality], codec=codec))
    pictures = picture.pixels, timed(restorer)(picture).pixels, picture.clean
    height, width, *channels = picture.clean.shape
    top, left = max(0, (height - EXAMPLE) // 2), max(0, (width - EXAMPLE) // 2)
    degraded, restored, clean = (p[top : top + EXAMPLE, left : left + EXAMPLE] for p in pictures)
    line = np.full((len(clean), DIVIDER, *channels), 255, np.uint8)
    return np.hstack([degraded, line, restored, line, clean])
