"""The published sets live1, classic5 and bsds500: their files, downloaded or from a local folder.

Which files a set consists of is said by the checksum file in its package, which
TFDS uses too; TFDS itself is imported when the first image is read.
"""

import dataclasses
import functools
import hashlib
import io
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from casjax.images import find_images, read_luma

PUBLISHED = ("live1", "classic5", "bsds500")
TEST_SETS = ("live1", "classic5")  # scored as a whole; the others are to learn from
PACKAGES = Path(__file__).parent


@dataclasses.dataclass(frozen=True)
class PublishedFile:
    """A file of a published set.

    Attributes:
      name: path below the folder of the set; its parent, if any, is the split.
      url: where to download it from.
      sha256: checksum of its content.
    """

    name: str
    url: str
    sha256: str

    @property
    def split(self) -> str:
        """The split it belongs to: the sets without folders are test sets."""
        return Path(self.name).parent.name or "test"


def published_files(dataset: str) -> list[PublishedFile]:
    """List the files of a published set from its checksum file, sorted by name."""
    table = (PACKAGES / dataset / "checksums.tsv").read_text().splitlines()
    rows = (line.split("\t") for line in table)
    files = [PublishedFile(name, url, sha256) for url, _, sha256, name in rows]
    return sorted(files, key=lambda file: file.name)


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
        file_name = self.files[index].name
        return read_luma(io.BytesIO(self._encoded[file_name]), name=file_name)

    @functools.cached_property
    def _encoded(self) -> dict[str, bytes]:
        """The image files' bytes by name, read through TFDS: some 30 MB for the largest set."""
        from casjax.datasets.builder import read_prepared

        splits = sorted({file.split for file in self.files})
        if not self.local:
            return read_prepared(self.dataset, splits)
        # What TFDS prepares it reuses by name and version alone. Another folder's images must
        # not be served under the same name, so those of a folder are prepared for this run only.
        with tempfile.TemporaryDirectory(prefix="casjax-") as data_dir:
            return read_prepared(self.dataset, splits, local=self.local, data_dir=data_dir)
