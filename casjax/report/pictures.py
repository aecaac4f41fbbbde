"""Figures 5 and 6: the results of methods on pictures, pixel by pixel."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from casjax.images import read_luma
from casjax.report.runs import Score

Pixels = npt.NDArray[np.uint8]

DPI = 100  # of these figures: a picture's pixel is one pixel of the figure, or a square of them
CROP = (slice(92, 220), slice(228, 356))  # rows and columns of Figure 5: the top with its railing
GAP = 12  # pixels between pictures
LABEL = 40  # pixels below a picture


class Picture(NamedTuple):
    """A picture and the lines below it."""

    pixels: Pixels
    label: str


def restored(score: Score, image: str, name: str) -> Picture:
    """Read an image as restored by a method, with its scores."""
    record = score.images[image]
    scores = f"{record['psnr']:.2f} / {record['psnrb']:.2f} / {record['ssim']:.4f}"
    return Picture(read_luma(score.run.folder / record["picture"]), f"{name}\n{scores}")


def clean(score: Score, image: str) -> Picture:
    """Read an image as it was before compression."""
    record = score.images[image]
    return Picture(read_luma(score.run.folder / record["clean"]), "uncompressed")


def crops(pictures: Sequence[Picture], *, scale: int, columns: int) -> Figure:
    """Draw the same part of several pictures, enlarged by repeating pixels."""
    parts = [Picture(picture.pixels[CROP], picture.label) for picture in pictures]
    rows = [parts[i : i + columns] for i in range(0, len(parts), columns)]
    return grid(rows, scale=scale)


def grid(rows: Sequence[Sequence[Picture]], *, scale: int) -> Figure:
    """Draw rows of pictures of one size, each pixel as a square of `scale` pixels."""
    height, width = (scale * side for side in rows[0][0].pixels.shape)
    total_width = len(rows[0]) * (width + GAP) + GAP
    total_height = len(rows) * (height + LABEL + GAP) + GAP
    figure = Figure(figsize=(total_width / DPI, total_height / DPI))
    figure.set_layout_engine("none")
    for i, row in enumerate(rows):
        for j, picture in enumerate(row):
            left = GAP + j * (width + GAP)
            bottom = total_height - (GAP + height + i * (height + LABEL + GAP))
            place = left / total_width, bottom / total_height
            axes = figure.add_axes((*place, width / total_width, height / total_height))
            # In RGB, because Matplotlib's colour map for grey is off by one level in places.
            axes.imshow(np.stack([picture.pixels] * 3, axis=-1), interpolation="nearest")
            axes.set_axis_off()
            figure.text(
                (left + width / 2) / total_width,
                (bottom - 5) / total_height,
                picture.label,
                ha="center",
                va="top",
                fontsize=9,
            )
    return figure
