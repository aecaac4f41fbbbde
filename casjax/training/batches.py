"""Batches as a pure function of the step, and augmentation on the device.

Nothing here keeps a position: the only state is the step, so a resumed run gets the same batches as
an uninterrupted one.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from casjax.images.codecs import compress
from casjax.training.compression import CROPPED, GRID_IN_COLOUR, GRID_OF_LUMA, Compression


@dataclasses.dataclass(frozen=True, kw_only=True)
class Batches:
    """Batches of clean cut-outs as a pure function of (seed, stream, step).

    The cut-outs come in a new random order each epoch, and batches run across
    the borders of epochs: nothing is left out. Batches of any size, split over any number of
    processes, are stretches of one and the same stream.

    Attributes:
      cutouts: uint8 [n, size, size] luma, or [n, size, size, 3] RGB.
      batch_size: cut-outs in the global batch, over all processes; a multiple of `process_count`.
      seed: of the order, the turns and the qualities.
      stream: a number for each phase of a training, so that phases differ.
      augment: whether cut-outs are flipped and turned.
      codec: what degrades them, one of `casjax.images.codecs.CODECS`; in colour "jpeg".
      qualities: lowest and highest quality of the codec, 1..100, both included.
      recompress: share of the cut-outs, 0..1, that were JPEGs before, on another block grid; 0 for
        other codecs.
      recompress_qualities: lowest and highest quality of that first compression, both included.
      compression: how colour cut-outs are compressed; None for luma.
      process_index: which share of the global batch to return.
      process_count: number of shares.

    Raises:
      ValueError: there is a `compression` for luma, or none for colour.
    """

    cutouts: np.ndarray
    batch_size: int
    seed: int
    stream: int
    augment: bool
    codec: str
    qualities: tuple[int, int]
    recompress: float
    recompress_qualities: tuple[int, int]
    compression: Compression | None = None
    process_index: int = 0
    process_count: int = 1

    def __post_init__(self) -> None:
        if (self.cutouts.ndim == 4) != (self.compression is not None):
            raise ValueError("expected a compression for colour cut-outs, and only for them")

    def at(self, step: int, *, count: int) -> dict[str, np.ndarray]:
        """Return this process's share of the batch at a step, counted from the phase's start.

        Args:
          step: 0, 1, ...
          count: only the first `count` cut-outs are used.

        Returns:
          `clean` uint8 [b, size, size, 1]; `turn` uint8 [b] in 0..7 for `augment`, 0 without
          augmentation; `quality` int32 [b]. JPEG is left to the device; with another codec there
          is also `degraded`, in the form of `clean`, which is already turned.
          With `recompress` there are also `first_quality` int32 [b], 0 for a cut-out that was no
          JPEG before, and `shift` uint8 [b, 2] for `jpeg.with_shifted_grid`. In colour `clean` has
          3 channels, and there are the results of `Compression.draw`.

        Raises:
          ValueError: there are fewer than `count` cut-outs, or the codec is unknown or missing.
        """
        if not 1 <= count <= len(self.cutouts):
            raise ValueError(f"asked for {count} cut-outs of a file of {len(self.cutouts)}")
        share = self.batch_size // self.process_count
        mine = slice(self.process_index * share, (self.process_index + 1) * share)
        positions = np.arange(step * self.batch_size, (step + 1) * self.batch_size)[mine]
        chosen = [
            _epoch_order(self.seed, self.stream, epoch, count)[offset]
            for epoch, offset in zip(*divmod(positions, count), strict=True)
        ]
        drawn = [self._draw(position) for position in positions.tolist()]
        clean = self.cutouts[chosen]
        batch = {
            "clean": clean if self.compression else clean[..., np.newaxis],
            **{name: np.stack([each[name] for each in drawn]) for name in drawn[0]},
        }
        return batch if self.codec == "jpeg" else _degraded(batch, self.codec)

    def _draw(self, position: int) -> dict[str, npt.ArrayLike]:
        """Draw all that is random of the cut-out at a position in the stream but its content."""
        generator = np.random.default_rng((self.seed, self.stream, position, 1))
        turn = generator.integers(8, dtype=np.uint8) * np.uint8(self.augment)
        drawn: dict[str, npt.ArrayLike] = {"turn": turn}
        if self.compression:
            drawn |= self.compression.draw(generator, qualities=self.qualities)
        else:
            drawn["quality"] = generator.integers(*self.qualities, dtype=np.int32, endpoint=True)
        if self.recompress:
            drawn |= self._draw_first_time(generator)
        return drawn

    def _draw_first_time(self, generator: np.random.Generator) -> dict[str, npt.ArrayLike]:
        """Draw whether a cut-out was a JPEG before, and how it was compressed and cropped."""
        is_second = generator.random() < self.recompress
        quality = generator.integers(*self.recompress_qualities, dtype=np.int32, endpoint=True)
        is_shifted = self.compression is None or generator.random() < CROPPED
        period = GRID_IN_COLOUR if self.compression else GRID_OF_LUMA
        return {
            "first_quality": quality * np.int32(is_second),
            "shift": generator.integers(period, size=2, dtype=np.uint8) * np.uint8(is_shifted),
        }


def _degraded(batch: dict[str, np.ndarray], codec: str) -> dict[str, np.ndarray]:
    """Turn a batch and degrade it, with a codec that runs only on the host."""
    clean = np.asarray(augment(jnp.asarray(batch["clean"]), jnp.asarray(batch["turn"])))
    pictures = zip(clean[..., 0], batch["quality"], strict=True)
    degraded = np.stack([compress(luma, q, codec=codec) for luma, q in pictures])
    turn = np.zeros_like(batch["turn"])
    return batch | {"clean": clean, "degraded": degraded[..., np.newaxis], "turn": turn}


@functools.lru_cache(maxsize=2)  # the current epoch, and the next when a batch crosses the border
def _epoch_order(seed: int, stream: int, epoch: int, count: int) -> np.ndarray:
    return np.random.default_rng((seed, stream, epoch, 0)).permutation(count)


def augment(clean: jax.Array, turn: jax.Array) -> jax.Array:
    """Flip and turn each cut-out: the eight symmetries of the square.

    Args:
      clean: [b, size, size, c] of any dtype.
      turn: integers [b] in 0..7. Bit 0 transposes, then bit 1 flips top and
        bottom, then bit 2 flips left and right; 0 changes nothing.

    Returns:
      The cut-outs, in the shape and dtype of `clean`.
    """

    def where(bit: int, changed: jax.Array, unchanged: jax.Array) -> jax.Array:
        return jnp.where((turn & bit).astype(bool)[:, None, None, None], changed, unchanged)

    clean = where(1, jnp.swapaxes(clean, 1, 2), clean)
    clean = where(2, clean[:, ::-1], clean)
    return where(4, clean[:, :, ::-1], clean)
