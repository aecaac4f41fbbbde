"""Figures as files: each drawn twice, for light and for dark pages, as SVG and as PNG.

Curves differ in marker or line style as well as in colour, so that figures can be read in black
and white.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from casjax.files import replacing

# Foreground, background, grid lines, and colours that also differ in lightness.
THEMES = {
    "light": (
        "#1f2328",
        "#ffffff",
        "#d1d9e0",
        ["#0b3d91", "#d1571b", "#1a7f5a", "#8250a8", "#7a5c00", "#c2185b"],
    ),
    "dark": (
        "#e6edf3",
        "#0d1117",
        "#30363d",
        ["#9ecbff", "#f0883e", "#56d4a0", "#d2a8ff", "#e3c04c", "#ff8fb3"],
    ),
}
DPI = 144  # of PNG files
MARKERS, LINES = "osD^vPX*<>hd", ("-", "--", "-.", ":")


def save(draw: Callable[[], Figure], stem: Path, *, dpi: int = DPI) -> None:
    """Write a figure as `STEM-light.svg`, `STEM-light.png`, `STEM-dark.svg` and `STEM-dark.png`.

    Args:
      draw: makes the figure, in Matplotlib's current style.
      stem: folder and name, without theme and suffix.
      dpi: pixels of the PNG file per inch of the figure.
    """
    for theme in THEMES:
        with matplotlib.rc_context(style(theme)):
            figure = draw()
            for suffix in ("svg", "png"):
                path = stem.with_name(f"{stem.name}-{theme}.{suffix}")
                # Without the date, equal figures give equal files.
                metadata = {"Date": None} if suffix == "svg" else {}
                with replacing(path) as temporary:
                    figure.savefig(temporary, format=suffix, dpi=dpi, metadata=metadata)


def style(theme: str) -> dict[str, Any]:
    """Return Matplotlib's settings for a theme."""
    foreground, background, grid, colours = THEMES[theme]
    of_text = ("text.color", "axes.labelcolor", "xtick.color", "ytick.color", "axes.edgecolor")
    of_ground = ("figure.facecolor", "axes.facecolor", "savefig.facecolor", "legend.facecolor")
    return {
        **dict.fromkeys(of_text, foreground),
        **dict.fromkeys(of_ground, background),
        "axes.prop_cycle": f"cycler(color={colours})",
        "axes.grid": True,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "figure.constrained_layout.use": True,
        "font.size": 10,
        "grid.color": grid,
        "grid.linewidth": 0.6,
        "legend.edgecolor": grid,
        "legend.framealpha": 0.9,
        "svg.hashsalt": "casjax",
    }
