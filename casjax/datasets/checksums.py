"""Which files the published sets consist of: said by the checksum files that TFDS reads too."""

import dataclasses
from pathlib import Path

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
