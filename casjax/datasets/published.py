"""The published sets live1, classic5 and bsds500: their files, downloaded or from a local folder.

Local files are used as they are, with a warning where they differ from the published ones. TFDS
downloads, checks and stores the others; it is imported when the first of them is read.
"""

import dataclasses
import functools
import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from casjax.color import is_grey
from casjax.datasets.checksums import PublishedFile, luma_sha256, published_files
from casjax.files import file_sha256
from casjax.images import READERS, UnreadableImageError, find_images, read_luma, read_rgb

PUBLISHED = ("live1", "classic5", "bsds500")
TEST_SETS = ("live1", "classic5")  # scored as a whole; the others are for training


def open_published(name: str, *, images_dir: str, channels: int) -> "PublishedSource":
    """Open splits of a published set, such as "live1" or "bsds500/train+test".

    Raises:
      ValueError: the set has no such split, or has several and none is named.
      FileNotFoundError: the local folder lacks some files of a test set, or all of another.
    """
    dataset, _, splits = name.partition("/")
    files = published_files(dataset)
    available = sorted({file.split for file in files})
    wanted = splits.split("+") if splits else available[:1]
    if not set(wanted) <= set(available) or (not splits and len(available) > 1):
        raise ValueError(
            f"image source {name}: name splits of {dataset} as {dataset}/{'+'.join(available)}"
        )
    files = [file for file in files if file.split in wanted]
    if not images_dir:
        return PublishedSource(name, dataset, files, {}, [file.sha256 for file in files], channels)
    local = find_local(name, files, Path(images_dir, dataset), all_of_them=dataset in TEST_SETS)
    files = [file for file in files if file.name in local]
    checksums = [_local_checksum(local[file.name], file, channels) for file in files]
    others = [
        str(local[file.name])
        for file, checksum in zip(files, checksums, strict=True)
        if checksum != file.sha256
    ]
    if others:
        logging.warning(
            "Image source %s: %d of %d local files differ from the published ones, so their scores "
            "are not comparable with published scores: %s%s",
            *(name, len(others), len(files), ", ".join(others[:3])),
            ", ..." if len(others) > 3 else "",
        )
    return PublishedSource(name, dataset, files, local, checksums, channels)


def find_local(
    name: str, files: Sequence[PublishedFile], folder: Path, *, all_of_them: bool
) -> dict[str, Path]:
    """Find the files below a local folder, by their stems: the format may differ.

    Returns:
      The path for each file's name; missing files are logged and left out unless `all_of_them`
      are needed.
    """
    found = find_images(folder)
    there = {path.with_suffix(""): path for path in found}
    published = {folder / file.name for file in files}  # preferred to others with their stems
    there |= {path.with_suffix(""): path for path in found if path in published}
    wanted = {file.name: (folder / file.name).with_suffix("") for file in files}
    missing = [file_name for file_name, stem in wanted.items() if stem not in there]
    if missing:
        message = (
            f"image source {name}: {len(missing)} of {len(files)} files are not in {folder} "
            f"(looked for the stems, in any format): {', '.join(missing[:5])}"
            + (", ..." if len(missing) > 5 else "")
        )
        if all_of_them or len(missing) == len(files):
            raise FileNotFoundError(message)
        logging.warning("%s", message)
    return {file_name: there[stem] for file_name, stem in wanted.items() if stem in there}


@dataclasses.dataclass(frozen=True)
class PublishedSource:
    """An image source over files of a published set.

    Attributes:
      name: the name that the source was opened by.
      dataset: name of the set.
      files: of the set.
      local: paths of local files by the names of files; empty when they are downloaded.
      checksums: SHA-256 of each file: the published one unless a local file differs.
      channels: 1 for luma, 3 for RGB.
    """

    name: str
    dataset: str
    files: Sequence[PublishedFile]
    local: Mapping[str, Path]
    checksums: Sequence[str]
    channels: int

    @property
    def image_names(self) -> list[str]:
        """The files' names."""
        return [file.name for file in self.files]

    @property
    def description(self) -> dict[str, Any]:
        """The files by their checksums: the published ones even for copies in another format."""
        files = hashlib.sha256("\n".join(self.checksums).encode())
        facts = {"name": self.name, "images": len(self), "files_sha256": files.hexdigest()}
        return facts if self.channels == 1 else facts | {"channels": self.channels}

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> np.ndarray:
        name, read = self.files[index].name, READERS[self.channels]
        if name in self.local:
            return read(self.local[name])
        return read(io.BytesIO(self._downloaded[name]), name=name)

    @functools.cached_property
    def _downloaded(self) -> dict[str, bytes]:
        """The image files' bytes by name: some 30 MB for the largest set."""
        from casjax.datasets.builder import read_prepared

        return read_prepared(self.dataset, sorted({file.split for file in self.files}))


def _local_checksum(path: Path, file: PublishedFile, channels: int) -> str:
    """Return the published SHA-256 if a local file holds the same image, or else its own.

    Its bytes are compared, or else its luma, because the format may differ: for RGB only where it
    is not the luma alone.
    """
    own = file_sha256(path)
    if own == file.sha256:
        return own
    try:
        is_copy = luma_sha256(read_luma(path)) == file.luma_sha256
        is_copy &= channels == 1 or not is_grey(read_rgb(path))
    except UnreadableImageError:  # reported when it is read
        is_copy = False
    return file.sha256 if is_copy else own
