"""EXIF data of a restored copy: what describes the old file is corrected or removed.

It is edited in place (a TIFF structure, EXIF 2.32, section 4.6): rewriting it would break the
maker notes that cameras add, which contain offsets of their own.
"""

import struct
from typing import Any

PREFIX = b"Exif\0\0"
ORIENTATION = 0x0112
SHORT, LONG, RATIONAL = 3, 4, 5
EXIF_DIRECTORY, INTEROPERABILITY = 0x8769, 0xA005
INTEROPERABILITY_INDEX = 1
X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 0x011A, 0x011B, 0x0128
# Tags of the first directory that describe how the old file stores its pixels, previews (SubIFDs)
# and copies of other metadata: sizes, bits, compression, strips, tiles, subsampling.
OF_THE_FILE = frozenset(
    {0x0100, 0x0101, 0x0102, 0x0103, 0x0106, 0x010A, 0x0111, 0x0115, 0x0116, 0x0117, 0x011C}
    | {0x013D, 0x0140, 0x0142, 0x0143, 0x0144, 0x0145, 0x014A, 0x0152, 0x0153, 0x015B}
    | {0x0200, 0x0201, 0x0202, 0x0211, 0x0212, 0x0213, 0x02BC, 0x83BB, 0x8649, 0x8773}
)
COMPRESSED_BITS, SUBJECT_AREA, SUBJECT_LOCATION, MICRO_VIDEO = 0x9102, 0x9214, 0xA214, 0x8897
WIDTH, HEIGHT = 0xA002, 0xA003
FOCAL_PLANE_X, FOCAL_PLANE_Y = 0xA20E, 0xA20F
# The size of a value in bytes, by its type.
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}


class BrokenExifError(ValueError):
    """EXIF data that cannot be read."""


def describe_copy(exif: bytes, *, size: tuple[int, int], orientation: int) -> bytes:
    """Return the EXIF data for a restored, upright copy of a picture.

    Args:
      exif: from its TIFF header on; empty where there is none.
      size: height and width of the copy.
      orientation: of the old file, 1..8, from whatever metadata.

    Returns:
      EXIF data with orientation 1 and the copy's size, without thumbnail, previews and compression
      details; resolutions are exchanged if the sides were. Empty if there was nothing else.

    Raises:
      BrokenExifError: it has no TIFF header, or its first directory is not whole.
    """
    if not exif.strip(b"\0"):
        return b""
    block = _Block(exif)
    first = block.first_directory()
    block.remove_thumbnail(first)
    for tag in OF_THE_FILE:
        block.remove(first, tag)
    details = block.pointed_to(first, EXIF_DIRECTORY)
    block.set_number(first, ORIENTATION, 1)
    is_turned = orientation > 4
    if is_turned:
        block.exchange(first, X_RESOLUTION, Y_RESOLUTION)
    if details is not None:
        for tag in (COMPRESSED_BITS, MICRO_VIDEO):
            block.remove(details, tag)
        block.set_number(details, WIDTH, size[1])
        block.set_number(details, HEIGHT, size[0])
        if orientation != 1:
            block.remove(details, SUBJECT_AREA)
            block.remove(details, SUBJECT_LOCATION)
        if is_turned:
            block.exchange(details, FOCAL_PLANE_X, FOCAL_PLANE_Y)
    return bytes(block.data) if block.count(first) else b""


def read_orientation(exif: bytes) -> int | None:
    """Return the orientation in EXIF data, 1..8; 1 if it is out of range; None if missing."""
    try:
        block = _Block(exif)
        value = block.number(block.first_directory(), ORIENTATION)
    except BrokenExifError:
        return None
    return value if value is None or value in range(1, 9) else 1


def read_resolution(exif: bytes) -> tuple[float, float] | None:
    """Return the horizontal and vertical resolution in EXIF data, in pixels per inch."""
    try:
        block = _Block(exif)
        first = block.first_directory()
    except BrokenExifError:
        return None
    unit = {2: 1.0, 3: 2.54}.get(block.number(first, RESOLUTION_UNIT) or 2)
    x, y = block.fraction(first, X_RESOLUTION), block.fraction(first, Y_RESOLUTION)
    return (x * unit, y * unit) if unit and x and y else None


def read_undefined(exif: bytes, tag: int) -> bytes:
    """Return the bytes of an entry of the first directory; empty where there is none.

    Raises:
      BrokenExifError: it has no TIFF header, or its first directory is not whole.
    """
    block = _Block(exif)
    return block.undefined(block.first_directory(), tag)


def is_adobe_rgb(exif: bytes) -> bool:
    """Return whether it says that the colours are Adobe RGB's, as cameras do (DCF 2.0, R03)."""
    try:
        block = _Block(exif)
        details = block.pointed_to(block.first_directory(), EXIF_DIRECTORY)
    except BrokenExifError:
        return False
    below = block.pointed_to(details, INTEROPERABILITY) if details else None
    return below is not None and block.short_text(below, INTEROPERABILITY_INDEX) == b"R03"


class _Block:
    """EXIF data, edited in place; a directory is identified by its offset."""

    def __init__(self, exif: bytes) -> None:
        self.data = bytearray(exif)
        self._order: Any = {b"II*\0": "little", b"MM\0*": "big"}.get(bytes(exif[:4]))
        if self._order is None:
            raise BrokenExifError("it has no TIFF header")

    def first_directory(self) -> int:
        first = self._read(4, 4)
        if first < 8 or not self._is_whole(first):
            raise BrokenExifError("its first directory is cut short")
        return first

    def count(self, directory: int) -> int:
        return self._read(directory, 2)

    def number(self, directory: int, tag: int) -> int | None:
        """Return the value of an entry with a single integer of any size."""
        entry = self._find(directory, tag)
        if entry is None:
            return None
        size = SIZES.get(self._read(entry + 2, 2), 0)
        return self._read(entry + 8, size) if size in (1, 2, 4) else None

    def fraction(self, directory: int, tag: int) -> float | None:
        """Return the value of an entry with a single fraction."""
        entry = self._find(directory, tag)
        if entry is None or self._read(entry + 2, 2) != RATIONAL:
            return None
        place = self._read(entry + 8, 4)
        if place + 8 > len(self.data) or not (below := self._read(place + 4, 4)):
            return None
        return self._read(place, 4) / below

    def short_text(self, directory: int, tag: int) -> bytes:
        """Return the value of an entry with a text of up to three characters."""
        entry = self._find(directory, tag)
        return b"" if entry is None else bytes(self.data[entry + 8 : entry + 12]).rstrip(b"\0")

    def undefined(self, directory: int, tag: int) -> bytes:
        """Return the value of an entry with more than four bytes."""
        entry = self._find(directory, tag)
        if entry is None:
            return b""
        count, place = self._read(entry + 4, 4), self._read(entry + 8, 4)
        return bytes(self.data[place : place + count])

    def set_number(self, directory: int, tag: int, value: int) -> None:
        """Set an entry, if present, to one integer: of 32 bits if it was before, or if needed."""
        entry = self._find(directory, tag)
        if entry is not None:
            is_long = value >= 2**16 or self._read(entry + 2, 2) == LONG
            kind, size = (LONG, 4) if is_long else (SHORT, 2)
            packed = value.to_bytes(size, self._order).ljust(4, b"\0")
            code = "<HHI" if self._order == "little" else ">HHI"
            self.data[entry : entry + 12] = struct.pack(code, tag, kind, 1) + packed

    def exchange(self, directory: int, tag: int, other: int) -> None:
        """Exchange the values of two entries, if both are present."""
        first, second = self._find(directory, tag), self._find(directory, other)
        if first is not None and second is not None:
            one, two = slice(first + 2, first + 12), slice(second + 2, second + 12)
            self.data[one], self.data[two] = self.data[two], self.data[one]

    def remove(self, directory: int, tag: int) -> None:
        """Remove an entry, if present: what follows it in the directory moves up."""
        entry = self._find(directory, tag)
        if entry is None:
            return
        count = self.count(directory)
        end = min(directory + 2 + 12 * count + 4, len(self.data))
        self.data[entry:end] = self.data[entry + 12 : end] + bytes(12)
        self.data[directory : directory + 2] = (count - 1).to_bytes(2, self._order)

    def remove_thumbnail(self, first: int) -> None:
        """Unlink the second directory, and blank it and the thumbnail it points to."""
        link = first + 2 + 12 * self.count(first)
        second = self._read(link, 4)
        self.data[link : link + 4] = bytes(len(self.data[link : link + 4]))
        if second <= link or not self._is_whole(second):
            return
        thumbnails = [
            (self.number(second, start), self.number(second, length))
            for start, length in ((0x0201, 0x0202), (0x0111, 0x0117))
        ]
        end = second + 2 + 12 * self.count(second)
        self.data[second:end] = bytes(end - second)
        for start, length in thumbnails:
            if not start or not length or start < end:
                continue
            if start + length >= len(self.data):
                del self.data[start:]
            else:
                self.data[start : start + length] = bytes(length)

    def pointed_to(self, directory: int, tag: int) -> int | None:
        """Return the directory that an entry points to, if it is complete."""
        place = self.number(directory, tag)
        return place if place and place >= 8 and self._is_whole(place) else None

    def _find(self, directory: int, tag: int) -> int | None:
        start = directory + 2
        for entry in range(start, start + 12 * self.count(directory), 12):
            if self._read(entry, 2) == tag:
                return entry
        return None

    def _is_whole(self, directory: int) -> bool:
        if directory + 2 > len(self.data):
            return False
        return directory + 2 + 12 * self.count(directory) <= len(self.data)

    def _read(self, place: int, size: int) -> int:
        return int.from_bytes(self.data[place : place + size], self._order)
