"""Clean pictures and their compressed versions, with digests that detect changes."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from casjax.datasets import ImageSource, readable_images
from casjax.images.codecs import compress, decode, encode


class Earlier(NamedTuple):
    """An earlier JPEG compression of a picture, and how it was then cropped.

    Attributes:
      quality: its quality factor.
      shift: rows and columns of pixels that were cut off at the top and left, which shifts its
        block grid against that of the next compression.
    """

    quality: int
    shift: tuple[int, int]

    def crop(self, whole: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Crop a picture, uint8 [h, w] or [h, w, 3], by the shift."""
        top, left = self.shift
        return np.ascontiguousarray(whole[top:, left:])


class Degraded(NamedTuple):
    """A clean picture and its compressed version.

    Attributes:
      image: its name in its source.
      quality: of the codec.
      clean: uint8 [h, w] luma or [h, w, 3] RGB.
      file: as written by the codec.
      pixels: decoded from the file, in the shape of `clean`.
    """

    image: str
    quality: int
    clean: npt.NDArray[np.uint8]
    file: bytes
    pixels: npt.NDArray[np.uint8]


def degraded_pictures(
    source: ImageSource, qualities: Sequence[int], *, codec: str, earlier: Earlier | None = None
) -> Iterator[Degraded]:
    """Compress the readable images of a source, each at all qualities in turn.

    With an `earlier` JPEG, its result is compressed, and the clean image is cropped too.

    Raises:
      ValueError: an image cannot be compressed, or the crop is empty.
    """
    for name, whole in readable_images(source):
        clean = found = whole
        if earlier is not None:
            saved = compress(whole, earlier.quality, codec="jpeg")
            clean, found = earlier.crop(whole), earlier.crop(saved)
        for quality in qualities:
            try:
                file = encode(found, quality, codec=codec)
            except ValueError as error:
                raise ValueError(f"{source.name}: {name} at quality {quality}: {error}") from error
            yield Degraded(
                name,
                int(quality),
                clean,
                file,
                decode(file, codec=codec, in_colour=clean.ndim == 3),
            )


def fingerprints(
    source: ImageSource, qualities: Sequence[int], *, codec: str, earlier: Earlier | None = None
) -> dict[int, dict[str, str]]:
    """Return the digests that rows store of the scored pictures: equal only for equal pictures.

    Returns:
      For each quality, the SHA-256 of the clean images (names, sizes and pixels) as `clean_sha256`,
      and of the codec's files as `files_sha256`.
    """
    digests = Digests()
    pictures = degraded_pictures(source, qualities, codec=codec, earlier=earlier)
    for _ in digests.passing(pictures):
        pass
    return {quality: digests.of(quality) for quality in qualities}


class Digests:
    """SHA-256 of the pictures that pass through, by quality."""

    def __init__(self) -> None:
        self._digests: dict[int, dict[str, Any]] = defaultdict(
            lambda: {"clean_sha256": hashlib.sha256(), "files_sha256": hashlib.sha256()}
        )

    def passing(self, pictures: Iterator[Degraded]) -> Iterator[Degraded]:
        """Digest pictures as they pass through."""
        for picture in pictures:
            digests = self._digests[picture.quality]
            head = f"{picture.image} {picture.clean.shape}\n".encode()
            digests["clean_sha256"].update(head + picture.clean.tobytes())
            digests["files_sha256"].update(f"{len(picture.file)}\n".encode() + picture.file)
            yield picture

    def of(self, quality: int) -> dict[str, str]:
        """Return the digests of what has passed at a quality."""
        return {name: digest.hexdigest() for name, digest in self._digests[quality].items()}
