"""Training examples: clean and degraded pictures, made from batches on the device."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from casjax import jpeg
from casjax.networks import colour
from casjax.training.batches import augment
from casjax.training.compression import GRID_IN_COLOUR, GRID_OF_LUMA

Batch = Mapping[str, jax.Array]


class Examples(NamedTuple):
    """The network's inputs for a batch, and the pictures that its outputs are compared with.

    Attributes:
      clean: float32 ``[b, h, w, c]`` in [0, 1]: luma, or RGB.
      degraded: what a decoder shows, in the same form.
      inputs: what the network's ``apply`` takes after its variables.
    """

    clean: jax.Array
    degraded: jax.Array
    inputs: tuple[jax.Array, ...]


class Domain(NamedTuple):
    """What a network is for: luma, or colour.

    Attributes:
      examples: makes examples from a batch of `batches.Batches.at`.
      picture: maps an output linearly to the form of ``clean``; it may leave [0, 1].
    """

    examples: Callable[[Batch], Examples]
    picture: Callable[[jax.Array], jax.Array]


def domain_of(model: Any) -> Domain:
    """Return the domain of a network."""
    return COLOUR if colour.is_for_colour(model) else LUMA


def in_luma(batch: Batch) -> Examples:
    """Turn cut-outs and degrade them by JPEG, unless the batch contains them degraded."""
    clean = augment(batch["clean"], batch["turn"])
    if "degraded" in batch:
        degraded = batch["degraded"]
    else:
        found = _saved_before(clean, batch, jpeg.degrade, period=GRID_OF_LUMA)
        degraded = jpeg.degrade(found, batch["quality"])
    clean, degraded = (x.astype(jnp.float32) / 255 for x in (clean, degraded))
    return Examples(clean, degraded, (degraded,))


def in_colour(batch: Batch) -> Examples:
    """Turn cut-outs and compress them as `compression.Compression` has drawn for each.

    All three samplings are computed for all cut-outs, as is the earlier compression, and each
    cut-out uses its own: next to a step of the network, the cost is negligible.
    """
    clean = augment(batch["clean"], batch["turn"])
    clean = _where(batch["grey"], _grey(clean), clean)
    qualities = jnp.stack([batch["quality"], batch["chroma_quality"]], axis=-1)
    tables = jpeg.scaled_table(batch["base"], qualities)

    def save(rgb: jax.Array, quality: jax.Array) -> jax.Array:
        first_tables = jpeg.quantization_tables(quality)
        return jpeg.degrade_rgb(rgb, first_tables, sampling=batch["sampling"])

    found = _saved_before(clean, batch, save, period=GRID_IN_COLOUR)
    planes = jpeg.degrade_to_planes(found, tables, sampling=batch["sampling"])
    shown = jpeg.planes_to_rgb(planes)
    inputs = colour.to_network(planes), colour.condition_of(tables)
    return Examples(clean.astype(jnp.float32) / 255, shown.astype(jnp.float32) / 255, inputs)


def _saved_before(
    clean: jax.Array,
    batch: Batch,
    save: Callable[[jax.Array, jax.Array], jax.Array],
    *,
    period: int,
) -> jax.Array:
    """Return pictures as input to a second JPEG: some were saved, and perhaps cropped, before."""
    if "first_quality" not in batch:
        return clean
    quality = batch["first_quality"]
    saved = jpeg.with_shifted_grid(
        lambda larger: save(larger, jnp.maximum(quality, 1)),  # there is no quality of 0
        clean,
        batch["shift"],
        period=period,
    )
    return _where(quality > 0, saved, clean)


def _grey(rgb: jax.Array) -> jax.Array:
    """Return the luma of JFIF files in all three channels: uint8 [b, h, w, 3]."""
    red, green, blue = jnp.moveaxis(rgb.astype(jnp.int32), -1, 0)
    luma = (299 * red + 587 * green + 114 * blue + 500) // 1000
    return jnp.broadcast_to(luma[..., None], rgb.shape).astype(jnp.uint8)


def _where(chosen: jax.Array, one: jax.Array, other: jax.Array) -> jax.Array:
    return jnp.where(chosen[:, None, None, None], one, other)


LUMA = Domain(in_luma, lambda output: output)
COLOUR = Domain(in_colour, colour.to_rgb)
