"""Any TFDS data set with images, by its name in the TFDS catalogue."""

import dataclasses
import functools
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from casjax.images import read_luma


def open_tfds(name: str, dataset: str) -> "TfdsSource":
    """Open the images of a TFDS data set, preparing it in the array_record format if necessary.

    Args:
      name: what the source is called.
      dataset: "NAME/SPLIT", where NAME may have a config and a version, and SPLIT a slice.

    Raises:
      ValueError: TFDS has no such data set or split, or it has no feature `image`.
    """
    dataset_name, _, split = dataset.rpartition("/")
    try:
        builder = tfds.builder(dataset_name, file_format="array_record")
        if "image" not in builder.info.features:
            raise ValueError(f"it has no feature image, only {', '.join(builder.info.features)}")
        builder.download_and_prepare()
        # Decoded here, not by TFDS, whose result depends on whether OpenCV is installed.
        examples = builder.as_data_source(split, decoders={"image": tfds.decode.SkipDecoding()})
    except (tfds.core.DatasetNotFoundError, AssertionError, ValueError) as error:
        # An AssertionError tells which files must be got by hand, in its first lines.
        reason = " ".join(str(error).strip().splitlines()[:2])
        raise ValueError(f"image source {name}: TFDS cannot read it: {reason}") from error
    return TfdsSource(name, builder.info.full_name, split, examples)


@dataclasses.dataclass(frozen=True)
class TfdsSource:
    """An image source over the examples of a TFDS data source."""

    name: str
    full_name: str
    split: str
    examples: Sequence[dict[str, Any]]

    @functools.cached_property
    def image_names(self) -> Sequence[str]:
        """The indices of the examples in the split: not every data set has names."""
        return [str(index) for index in range(len(self))]

    @property
    def description(self) -> dict[str, Any]:
        """The images by data set, config, version and split."""
        return {
            "name": self.name,
            "dataset": self.full_name,
            "split": self.split,
            "images": len(self),
        }

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> np.ndarray:
        return read_luma(io.BytesIO(self.examples[index]["image"]), name=f"example {index}")
