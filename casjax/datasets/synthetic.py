"""Dead leaves: images of random occluding shapes, with the statistics of photographs.

Overlapping shapes whose sizes follow a power law have the edges, scale invariance
and contrast of natural images (Lee, Mumford & Huang, "Occlusion models for natural
images", IJCV 2001), and need no download.
"""

import dataclasses
import math
from typing import Any

import numpy as np

from casjax.color import rounded

SIDE = 512
VERSION = 1  # increase it when the images change, so that cut-outs are made again

# Half-axes of the leaves in pixels, and the number of leaves that covers all but a few percent.
SMALLEST, LARGEST = 5.0, 250.0
LEAVES = 2000


@dataclasses.dataclass(frozen=True)
class DeadLeaves:
    """An image source of dead leaves, uint8 [512, 512], drawn when accessed."""

    name: str
    count: int
    seed: int

    @property
    def image_names(self) -> list[str]:
        """The images' indices."""
        return [str(index) for index in range(self.count)]

    @property
    def description(self) -> dict[str, Any]:
        """The images by seed, number and version of the drawing."""
        return {"name": self.name, "images": self.count, "seed": self.seed, "version": VERSION}

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> np.ndarray:
        if not 0 <= index < self.count:
            raise IndexError(f"image {index} of {self.count}")
        return draw_dead_leaves(np.random.default_rng((self.seed, index)))


def draw_dead_leaves(generator: np.random.Generator) -> np.ndarray:
    """Draw one image, uint8 [512, 512]: leaf upon leaf, the last on top."""
    texture = _texture(generator)
    canvas = 128 + 30 * texture
    leaves = zip(
        generator.uniform(0, SIDE, (LEAVES, 2)).tolist(),
        _half_axes(generator).tolist(),
        generator.uniform(0.3, 1, LEAVES).tolist(),
        generator.uniform(0, np.pi, LEAVES).tolist(),
        generator.choice(["ellipse", "rectangle"], LEAVES).tolist(),
        (generator.beta(1.3, 1.6, LEAVES) * 235 + 10).tolist(),
        generator.normal(0, 20, (LEAVES, 2)).tolist(),
        generator.gamma(1, 6, LEAVES).tolist(),
        strict=True,
    )
    for (row, column), half_axis, slimness, angle, shape, grey, shading, roughness in leaves:
        top, bottom = max(0, int(row - half_axis)), min(SIDE, int(row + half_axis) + 2)
        left, right = max(0, int(column - half_axis)), min(SIDE, int(column + half_axis) + 2)
        # From the centre, in units of the half-axis; then along and across the leaf.
        y = (np.arange(top, bottom, dtype=np.float32)[:, None] - row) / half_axis
        x = (np.arange(left, right, dtype=np.float32) - column) / half_axis
        along = math.cos(angle) * x + math.sin(angle) * y
        across = (math.cos(angle) / slimness) * y - (math.sin(angle) / slimness) * x
        if shape == "ellipse":
            radius = np.sqrt(along * along + across * across)
        else:  # its corners lie within the circle of the ellipse
            radius = math.sqrt(2) * np.maximum(np.abs(along), np.abs(across))
        # Border pixels are partly covered, so edges are smooth.
        cover = np.clip((1 - radius) * (half_axis * slimness) + 0.5, 0, 1)
        below = canvas[top:bottom, left:right]
        leaf = grey + shading[0] * y + shading[1] * x
        leaf += roughness * texture[top:bottom, left:right]
        below += cover * (leaf - below)
    return rounded(canvas)


def _texture(generator: np.random.Generator) -> np.ndarray:
    """Draw noise float32 [512, 512] of unit variance and amplitudes 1/f, as in photographs."""
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE))
    frequency[0, 0] = np.inf  # no offset
    noise = np.fft.irfft2(np.fft.rfft2(generator.standard_normal((SIDE, SIDE))) / frequency)
    return (noise / noise.std()).astype(np.float32)


def _half_axes(generator: np.random.Generator) -> np.ndarray:
    """Draw half-axes in pixels, [LEAVES], with density proportional to r^-3 (inverse CDF)."""
    ratio = SMALLEST / LARGEST
    return SMALLEST / np.sqrt(1 - generator.random(LEAVES) * (1 - ratio**2))
