"""The published sets live1, classic5 and bsds500: their files, downloaded or from a local folder.

Local files are read as they are. Downloads are made, checked and kept by TFDS, which is imported
when the first of them is read.
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

from casjax.datasets.checksums import PublishedFile, published_files
from casjax.images import find_images, read_luma

PUBLISHED = ("live1", "classic5", "bsds500")
TEST_SETS = ("live1", "classic5")  # scored as a whole; the others are to learn from


def open_published(name: str, *, images_dir: str) -> "PublishedSource":
    """Open splits of a published set, as "live1" or "bsds500/train+test".

    Raises:
      ValueError: the set has no such split, or several and none is named.
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
        return PublishedSource(name, dataset, files, {})
    local = find_local(name, files, Path(images_dir, dataset), all_of_them=dataset in TEST_SETS)
    return PublishedSource(name, dataset, [file for file in files if file.name in local], local)


def find_local(
    name: str, files: Sequence[PublishedFile], folder: Path, *, all_of_them: bool
) -> dict[str, Path]:
    """Find the files below a local folder, by their stems: the format may be another.

    Returns:
      The path for each file's name; those missing are said and left out if not `all_of_them`
      are needed.
    """
    there = {path.with_suffix(""): path for path in find_images(folder)}
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
    """An image source over files of a published set; `local` is empty when they are downloaded."""

    name: str
    dataset: str
    files: Sequence[PublishedFile]
    local: Mapping[str, Path]

    @property
    def image_names(self) -> list[str]:
        """The files' names."""
        return [file.name for file in self.files]

    @property
    def description(self) -> dict[str, Any]:
        """The files by their published checksums, wherever they were read from."""
        files = hashlib.sha256("\n".join(file.sha256 for file in self.files).encode())
        return {"name": self.name, "images": len(self), "files_sha256": files.hexdigest()}

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> np.ndarray:
        name = self.files[index].name
        if name in self.local:
            return read_luma(self.local[name])
        return read_luma(io.BytesIO(self._downloaded[name]), name=name)

    @functools.cached_property
    def _downloaded(self) -> dict[str, bytes]:
        """The image files' bytes by name: some 30 MB for the largest set."""
        from casjax.datasets.builder import read_prepared

        return read_prepared(self.dataset, sorted({file.split for file in self.files}))
