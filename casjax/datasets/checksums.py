"""The files of the published sets and their contents, by tables of checksums.

``checksums.tsv``, which TFDS reads too, has the SHA-256 of each file; ``luma.tsv`` that of its
luma, which identifies a copy in another lossless format. The latter was made with `luma_sha256`
from files with the checksums of the former; for some files it is unknown.
"""

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

PACKAGES = Path(__file__).parent


@dataclasses.dataclass(frozen=True)
class PublishedFile:
    """A file of a published set.

    Attributes:
      name: path below the folder of the set; its parent folder, if any, is the split.
      url: where to download it from.
      sha256: checksum of its content.
      luma_sha256: see the function of that name; "" if unknown.
    """

    name: str
    url: str
    sha256: str
    luma_sha256: str

    @property
    def split(self) -> str:
        """The split it belongs to: the sets without folders are test sets."""
        return Path(self.name).parent.name or "test"


def published_files(dataset: str) -> list[PublishedFile]:
    """List the files of a published set from its tables of checksums, sorted by name."""
    lumas = {name: sha256 for sha256, name in _rows(PACKAGES / dataset / "luma.tsv")}
    files = [
        PublishedFile(name, url, sha256, lumas.get(name, ""))
        for url, _, sha256, name in _rows(PACKAGES / dataset / "checksums.tsv")
    ]
    return sorted(files, key=lambda file: file.name)


def _rows(path: Path) -> list[list[str]]:
    if not path.is_file():
        return []
    return [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]


def luma_sha256(luma: npt.NDArray[np.uint8]) -> str:
    """Return the SHA-256 of luma, uint8 [h, w]: of its shape, as "HxW" and a newline, and bytes."""
    height, width = luma.shape
    return hashlib.sha256(f"{height}x{width}\n".encode() + luma.tobytes()).hexdigest()
