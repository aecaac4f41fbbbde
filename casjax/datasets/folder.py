"""Images in files: any folder, and the photographs in the scikit-image package."""

import dataclasses
import hashlib
import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from casjax.files import file_sha256
from casjax.images import READERS, find_images

# The photographs among scikit-image's images that come with the package itself.
SKIMAGE_PHOTOGRAPHS = (
    "astronaut.png",
    "camera.png",
    "chelsea.png",
    "coffee.png",
    "coins.png",
    "motorcycle_left.png",
    "rocket.jpg",
)


def open_folder(name: str, folder: str, *, channels: int) -> "FileSource":
    """Open all images below a folder, in the order of their paths.

    Raises:
      FileNotFoundError: there is no such folder, or no image in it.
    """
    image_names = [str(path.relative_to(folder)) for path in find_images(folder)]
    if not image_names:
        raise FileNotFoundError(f"image source {name}: there are no images in {folder}")
    return FileSource(name, Path(folder), image_names, channels)


def open_skimage(name: str, *, channels: int) -> "FileSource":
    """Open the photographs that scikit-image ships, without importing it."""
    package = importlib.util.find_spec("skimage")
    if package is None or package.submodule_search_locations is None:
        raise ModuleNotFoundError(f"image source {name}: scikit-image is not installed")
    folder = Path(package.submodule_search_locations[0], "data")
    return FileSource(name, folder, SKIMAGE_PHOTOGRAPHS, channels)


@dataclasses.dataclass(frozen=True)
class FileSource:
    """An image source over the files `image_names` in `folder`, in luma or RGB by `channels`."""

    name: str
    folder: Path
    image_names: Sequence[str]
    channels: int

    def __len__(self) -> int:
        return len(self.image_names)

    def __getitem__(self, index: int) -> np.ndarray:
        return READERS[self.channels](self.folder / self.image_names[index])

    @property
    def description(self) -> dict[str, Any]:
        """The images by the names and contents of their files, all of which are read."""
        files = hashlib.sha256()
        for image_name in self.image_names:
            line = f"{image_name}\t{file_sha256(self.folder / image_name)}\n"
            files.update(os.fsencode(line))  # names need not be text
        facts = {"name": self.name, "images": len(self), "files_sha256": files.hexdigest()}
        return facts if self.channels == 1 else facts | {"channels": self.channels}
