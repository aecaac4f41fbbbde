"""Sources of clean images, by name: published sets, TFDS, folders, and built-in ones."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from absl import logging

from casjax.datasets.folder import open_folder, open_skimage
from casjax.datasets.published import PUBLISHED, open_published
from casjax.datasets.synthetic import DeadLeaves
from casjax.images import UnreadableImageError

CHOICES = (
    "live1, classic5, bsds500/SPLIT (train, test, val, or some of them as train+test), "
    "folder:PATH, synthetic:COUNT, skimage, tfds:NAME/SPLIT"
)


class ImageSource(Protocol):
    """Clean images, each decoded when accessed."""

    @property
    def name(self) -> str:
        """The name that the source was opened by."""

    @property
    def image_names(self) -> Sequence[str]:
        """One name for each image, in order."""

    @property
    def description(self) -> dict[str, Any]:
        """What the images are, in types that JSON can hold; equal for equal images."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> np.ndarray:
        """Return an image as uint8 [h, w] luma or [h, w, 3] RGB.

        Raises:
          UnreadableImageError: of `images`; it cannot be read.
        """


def open_source(name: str, *, images_dir: str, seed: int, channels: int = 1) -> ImageSource:
    """Open a source of clean images.

    Args:
      name: "live1", "classic5" or "bsds500/train+test" (published sets, through
        TFDS); "folder:PATH" (all images below a folder); "synthetic:COUNT"
        (dead leaves); "skimage" (the photographs that scikit-image ships);
        "tfds:NAME/SPLIT" (any TFDS data set with an `image` feature).
      images_dir: folder with live1/, classic5/ and bsds500/{train,test,val}/ to
        read the published sets from, in any format; "" to download them.
      seed: of the synthetic images.
      channels: 1 for luma, 3 for RGB, which published sets, folders and scikit-image support.

    Raises:
      ValueError: there is no such source, or it has no colour.
      FileNotFoundError: its files are missing.
    """
    match name.partition(":"):
        case dataset, "", "" if dataset.partition("/")[0] in PUBLISHED:
            return open_published(name, images_dir=images_dir, channels=channels)
        case "folder", ":", path if path:
            return open_folder(name, path, channels=channels)
        case "synthetic" | "tfds", ":", _ if channels == 3:
            raise ValueError(f"image source {name!r} has luma only, choose another for colour")
        case "synthetic", ":", count if count.isdecimal() and int(count) > 0:
            return DeadLeaves(name, int(count), seed)
        case "skimage", "", "":
            return open_skimage(name, channels=channels)
        case "tfds", ":", dataset if "/" in dataset:
            from casjax.datasets.catalogue import open_tfds  # TFDS takes seconds to import

            return open_tfds(name, dataset)
    raise ValueError(f"unknown image source {name!r}, choose from: {CHOICES}")


def readable_images(source: ImageSource) -> Iterator[tuple[str, np.ndarray]]:
    """Yield name and pixels of each image of a source that can be read; see `decoded_images`."""
    for _, name, image in decoded_images((source, i) for i in range(len(source))):
        yield name, image


def decoded_images(
    images: Iterable[tuple[ImageSource, int]],
) -> Iterator[tuple[ImageSource, str, np.ndarray]]:
    """Decode images, skipping unreadable ones with a warning.

    Args:
      images: sources and indices into them.

    Yields:
      The image's source, its name there, and its pixels, uint8 [h, w] or [h, w, 3].
    """
    unreadable = 0
    for source, index in images:
        try:
            yield source, source.image_names[index], source[index]
        except UnreadableImageError as error:
            logging.warning("Skipping an image of %s: %s", source.name, error)
            unreadable += 1
    if unreadable:
        logging.warning("Skipped %d images: unreadable", unreadable)
