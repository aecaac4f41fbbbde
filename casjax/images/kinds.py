"""What kind of image a file is, told from its first bytes, whatever its name says."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

FIRST_BYTES = 32
KINDS = {
    "JPEG": re.compile(rb"\xff\xd8\xff"),
    "PNG": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "GIF": re.compile(rb"GIF8[79]a"),
    "WEBP": re.compile(rb"RIFF.{4}WEBP", re.DOTALL),
    "JPEG2000": re.compile(rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51"),
    "AVIF": re.compile(rb".{4}ftyp(avif|avis)", re.DOTALL),
}
APPLE_DOUBLE = b"\0\5\26\7"
"""What macOS writes beside a file, on disks that cannot hold it: no image, whatever its name."""


def kind_of(path: Path) -> str | None:
    """Return which of `KINDS` a file is by its first bytes, or None; also if it cannot be read."""
    first = _first_bytes(path)
    return next((kind for kind, pattern in KINDS.items() if pattern.match(first)), None)


def find_files(
    folder: str | os.PathLike[str], *, formats: tuple[str, ...], unreadable: dict[str, str] | None
) -> Iterator[Path]:
    """Yield the image files in a folder and all folders below it, in no order.

    A file is one by its first bytes, or by its suffix: of bytes that say little (TIFF begins like
    the raw files of cameras, BMP and PPM like words), or of a file that is damaged. Linked folders
    are followed, but none is entered twice, so that loops end.

    Args:
      folder: where to search.
      formats: Pillow's names of those that can be read.
      unreadable: takes folders that cannot be listed, each with the reason. None: they raise.

    Raises:
      OSError: a folder below it cannot be listed, and `unreadable` is None.
    """

    def note(error: OSError) -> None:
        if unreadable is None:
            raise error
        unreadable[str(error.filename)] = error.strerror or str(error)

    suffixes = {s for s, name in Image.registered_extensions().items() if name in formats}
    entered: set[str] = set()
    for directory, subfolders, names in os.walk(folder, followlinks=True, onerror=note):
        subfolders.sort()  # the same one of two links to a folder on every file system
        location = os.path.realpath(directory)
        if location in entered:
            subfolders.clear()
            continue
        entered.add(location)
        for path in (Path(directory, name) for name in names):
            is_named = path.suffix.lower() in suffixes
            if not path.is_file() or _first_bytes(path).startswith(APPLE_DOUBLE):
                continue
            is_partial = path.suffix == ".part" and path.name.startswith(".")
            if is_named or (not is_partial and kind_of(path) in formats):
                yield path


def _first_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(FIRST_BYTES)
    except OSError:
        return b""
