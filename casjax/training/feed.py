"""The input of training: the batches of any step and of validation, split over devices."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from casjax.training.batches import Batches
from casjax.training.compression import Compression
from casjax.training.cutouts import (
    cutouts_file_name,
    images_of,
    load_cutouts,
    require_sources,
)
from casjax.training.phases import Phase, phase_at

Batch = Mapping[str, np.ndarray]


def open_feed(
    phases: Sequence[Phase],
    *,
    device_count: int,
    batch_size: int,
    seed: int,
    compression: Compression | None,
    sources: Sequence[str],
    validation_sources: Sequence[str],
    validation_cutouts: int,
    images_dir: str,
    cutouts_dir: str,
    cutout_size: int,
    augment: bool,
    codec: str,
    lowest_quality: int,
    highest_quality: int,
    recompress: float,
    recompress_lowest_quality: int,
    recompress_highest_quality: int,
) -> "Feed":
    """Open the cut-outs for training and validation, creating them if missing.

    Each of the ``phases`` has its own order of cut-outs. Those for validation are compressed only
    once, so that training with and without ``recompress`` can be compared. With a ``compression``
    all are in colour. This process has ``device_count`` devices; everything else is described in
    `configs/base.py`, sections data and degradation.

    Raises:
      ValueError: the images or the files of cut-outs do not fit; the message names them.
      FileNotFoundError: a source is missing.
    """
    kind = {"channels": 3 if compression else 1}
    plans: list[tuple[Path, Sequence[str], dict[str, Any]]] = []
    most = max(phase.cutouts for phase in phases if phase.end_step > phase.first_step)
    for names, count in ((sources, most), (validation_sources, validation_cutouts)):
        contents = {"count": count, "size": cutout_size, "seed": seed} | kind
        path = Path(cutouts_dir, cutouts_file_name(names, **contents))
        # All of them, before any is read.
        require_sources(path, names, seed=seed, images_dir=images_dir, **kind)
        plans.append((path, names, contents))
    training, validation = (
        load_cutouts(path, names, images_dir=images_dir, **contents)
        for path, names, contents in plans
    )
    batches = partial(
        Batches,
        batch_size=batch_size,
        seed=seed,
        codec=codec,
        qualities=(lowest_quality, highest_quality),
        recompress_qualities=(recompress_lowest_quality, recompress_highest_quality),
        compression=compression,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
    )
    return Feed(
        phases=phases,
        training=[
            batches(cutouts=training, augment=augment, recompress=recompress, stream=i)
            for i, _ in enumerate(phases)
        ],
        validation=batches(cutouts=validation, augment=False, recompress=0.0, stream=0),
        images=[images for path, *_ in plans for images in images_of(path)],
        device_count=device_count,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Feed:
    """The batches of a training run, each a pure function of the step.

    Each array of a batch is ``[device_count, batch_size / device_count, ...]``; see
    `batches.Batches.at`.

    Attributes:
      phases: of the training.
      training: the batches of each phase.
      validation: the batches of a validation.
      images: what they were cut from, see `datasets.ImageSource.description`.
      device_count: devices of this process.
    """

    phases: Sequence[Phase]
    training: Sequence[Batches]
    validation: Batches
    images: Sequence[Mapping[str, Any]]
    device_count: int

    def batch_at(self, step: int) -> Batch:
        """Return the batch of the training step after ``step`` steps."""
        phase = phase_at(self.phases, step)
        batches = self.training[self.phases.index(phase)]
        return split(batches.at(step - phase.first_step, count=phase.cutouts), self.device_count)

    def validation_batches(self) -> Iterator[Batch]:
        """Yield the batches of a validation; cut-outs that do not fill a batch are left out."""
        count = len(self.validation.cutouts)
        for step in range(count // self.validation.batch_size):
            yield split(self.validation.at(step, count=count), self.device_count)


def split(batch: Batch, device_count: int) -> Batch:
    """Split a batch over devices: arrays ``[device_count, batch_size / device_count, ...]``."""
    return {name: x.reshape(device_count, -1, *x.shape[1:]) for name, x in batch.items()}
