"""Clean pictures and what a codec leaves of them, with digests that tell whether they changed."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from casjax.datasets import ImageSource, readable_images
from casjax.images.codecs import decode, encode


class Degraded(NamedTuple):
    """A clean picture and what a codec left of it.

    Attributes:
      image: its name in its source.
      quality: of the codec.
      clean: uint8 [h, w].
      file: as the codec wrote it.
      pixels: as it reads that, uint8 [h, w].
    """

    image: str
    quality: int
    clean: npt.NDArray[np.uint8]
    file: bytes
    pixels: npt.NDArray[np.uint8]


def degraded_pictures(
    source: ImageSource, qualities: Sequence[int], *, codec: str
) -> Iterator[Degraded]:
    """Compress the images of a source that can be read, each at all qualities in turn."""
    for name, clean in readable_images((source, i) for i in range(len(source))):
        for quality in qualities:
            try:
                file = encode(clean, quality, codec=codec)
            except ValueError as error:
                raise ValueError(f"{name} at quality {quality}: {error}") from error
            yield Degraded(
                name.removeprefix(f"{source.name}: "),
                int(quality),
                clean,
                file,
                decode(file, codec=codec),
            )


def fingerprints(
    source: ImageSource, qualities: Sequence[int], *, codec: str
) -> dict[int, dict[str, str]]:
    """What rows have of the pictures that are scored: equal for equal ones, and for no others.

    Returns:
      By quality the SHA-256 of the clean images, names, sizes and pixels, as `clean_sha256`, and of
      the codec's files as `files_sha256`.
    """
    digests = Digests()
    for _ in digests.passing(degraded_pictures(source, qualities, codec=codec)):
        pass
    return {quality: digests.of(quality) for quality in qualities}


class Digests:
    """SHA-256 of the pictures that pass, by quality."""

    def __init__(self) -> None:
        self._digests: dict[int, dict[str, Any]] = defaultdict(
            lambda: {"clean_sha256": hashlib.sha256(), "files_sha256": hashlib.sha256()}
        )

    def passing(self, pictures: Iterator[Degraded]) -> Iterator[Degraded]:
        """Look at pictures while they go by."""
        for picture in pictures:
            digests = self._digests[picture.quality]
            head = f"{picture.image} {picture.clean.shape}\n".encode()
            digests["clean_sha256"].update(head + picture.clean.tobytes())
            digests["files_sha256"].update(f"{len(picture.file)}\n".encode() + picture.file)
            yield picture

    def of(self, quality: int) -> dict[str, str]:
        """What has passed at a quality."""
        return {name: digest.hexdigest() for name, digest in self._digests[quality].items()}
