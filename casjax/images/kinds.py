"""The kind of image in a file, determined by its first bytes, not its name."""

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
"""Metadata that macOS writes beside a file on some disks: not an image, whatever its name."""


def kind_of(path: Path) -> str | None:
    """Return which of `KINDS` a file is by its first bytes; None if no kind, or unreadable."""
    first = _first_bytes(path)
    return next((kind for kind, pattern in KINDS.items() if pattern.match(first)), None)


def find_files(
    folder: str | os.PathLike[str], *, formats: tuple[str, ...], unreadable: dict[str, str] | None
) -> Iterator[Path]:
    """Yield the image files in a folder and all folders below it, in no order.

    An image is recognised by its first bytes, or else by its suffix: the bytes may say little (TIFF
    starts like the raw files of cameras, BMP and PPM like words), or the file may be damaged. Links
    to folders are followed, but no folder is entered twice, so that loops end.

    Args:
      folder: where to search.
      formats: Pillow's names of the readable formats.
      unreadable: receives folders that cannot be listed, each with the reason; None to raise.

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
        subfolders.sort()  # so that every file system enters the same one of two links to a folder
        location = os.path.realpath(directory)
        if location in entered:
            subfolders.clear()
            continue
        entered.add(location)
        for path in (Path(directory, name) for name in names):
            is_named = path.suffix.lower() in suffixes
            if not os.path.isfile(path) or _first_bytes(path).startswith(APPLE_DOUBLE):
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
