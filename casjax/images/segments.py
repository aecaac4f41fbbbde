"""The header of a JPEG file, read from its marker segments (ITU-T T.81, annex B).

Decoders do not expose much of this: how colour is coded, and whether pixels are damaged, since
libjpeg fills in what is missing and continues.
"""

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

APP0, APP13, APP14, COM = 0xE0, 0xED, 0xEE, 0xFE
APPLICATIONS = range(0xE0, 0xF0)  # APP0 to APP15
DQT, SOS, EOI = 0xDB, 0xDA, 0xD9
LONGEST = 65533  # bytes of a segment, without its marker and length
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15
RESTARTS = range(0xD0, 0xD8)
# What may follow the coded data of a scan: tables, the next scan, comments, the end.
AFTER_A_SCAN = frozenset({0xC4, 0xCC, *range(0xD9, 0xDE), *range(0xE0, 0xF0), 0xFE})

# The index in the table, row by row, of each value in the file: T.81, figure A.6.
ZIGZAG = sorted(
    range(64), key=lambda i: (i // 8 + i % 8, i // 8 if (i // 8 + i % 8) % 2 else i % 8)
)


@dataclasses.dataclass(frozen=True)
class Component:
    """One component of the frame: its sampling factors and its table."""

    identifier: int
    horizontal: int
    vertical: int
    table: int


@dataclasses.dataclass(frozen=True)
class JpegHeader:
    """The content of the segments of a JPEG file.

    Attributes:
      precision: bits per sample.
      components: in the order of the frame.
      tables: quantisation steps int32 [8, 8], vertical frequency first, by their identifier.
      is_jfif: whether the file has a JFIF segment, which means grey or YCbCr.
      adobe_transform: from the Adobe segment: 0 none, 1 YCbCr, 2 YCCK; None without one.
      damage: why the coded data cannot be complete, in words; empty if no damage is visible.
        Damage that leaves all markers in place is not.
    """

    precision: int
    components: tuple[Component, ...]
    tables: dict[int, npt.NDArray[np.int32]]
    is_jfif: bool
    adobe_transform: int | None
    damage: str

    @property
    def coding(self) -> str:
        """The colour model of the components, by libjpeg's rules."""
        if len(self.components) != 3:
            return {1: "grey", 4: "CMYK"}.get(len(self.components), "unknown")
        if self.is_jfif:
            return "YCbCr"
        if self.adobe_transform is not None:
            return "RGB" if self.adobe_transform == 0 else "YCbCr"
        identifiers = bytes(component.identifier for component in self.components)
        return "RGB" if identifiers == b"RGB" else "YCbCr"

    @property
    def factors(self) -> list[tuple[int, int]]:
        """Rows and columns of pixels for each sample, by component: [(1, 1), (2, 2), (2, 2)].

        Raises:
          ValueError: a component is sampled at a fraction of the finest one.
        """
        tallest = max(component.vertical for component in self.components)
        widest = max(component.horizontal for component in self.components)
        for component in self.components:
            if tallest % component.vertical or widest % component.horizontal:
                raise ValueError("its components are sampled at fractions of each other")
        return [(tallest // c.vertical, widest // c.horizontal) for c in self.components]

    @property
    def steps(self) -> list[npt.NDArray[np.int32]]:
        """Quantisation steps by component, each [8, 8], vertical frequency first.

        Raises:
          ValueError: the file lacks a table that it names.
        """
        missing = {component.table for component in self.components} - self.tables.keys()
        if missing:
            raise ValueError(f"the file has no quantisation table {min(missing)}")
        return [self.tables[component.table] for component in self.components]


def read_header(data: bytes) -> JpegHeader:
    """Read the marker segments of a JPEG file, up to its end or to the first damage.

    Raises:
      ValueError: there is no complete frame header, or a quantisation table is damaged.
    """
    frame = b""
    tables: dict[int, npt.NDArray[np.int32]] = {}
    is_jfif, adobe_transform, scans = False, None, 0
    damage = "it is cut short: the end-of-image marker is missing"
    for marker, body, restarts, _ in segments(data):
        if marker == EOI:
            damage = "" if scans else "it ends before its picture begins"
            break
        if scans and marker not in AFTER_A_SCAN:
            damage = f"a marker 0xFF{marker:02X} inside its picture data"
            break
        if marker == SOS:
            scans += 1
            if np.any((restarts - RESTARTS[0]) != np.arange(len(restarts)) % 8):
                damage = "its restart markers are out of order"
                break
        elif marker in FRAMES:
            frame = body
        elif marker == DQT and not scans:
            tables |= _quantization_tables(body)
        elif marker == APP0:
            is_jfif |= body.startswith(b"JFIF\0")
        elif marker == APP14 and body.startswith(b"Adobe") and len(body) >= 12:
            adobe_transform = body[11]
    if len(frame) < 6 or len(frame) < 6 + 3 * frame[5]:
        raise ValueError("there is no complete JPEG frame header")
    components = tuple(
        Component(frame[i], max(1, frame[i + 1] >> 4), max(1, frame[i + 1] & 15), frame[i + 2])
        for i in range(6, 6 + 3 * frame[5], 3)
    )
    return JpegHeader(frame[0], components, tables, is_jfif, adobe_transform, damage)


def without_metadata(data: bytes) -> bytes:
    """Return the first picture of a JPEG file, with those application segments that say its coding.

    Its pixels are the same.
    """
    kept: list[bytes] = []
    position, is_scanned = 0, False
    for segment in segments(data):
        start, stop = segment.place.start, segment.place.stop
        if segment.marker == EOI and is_scanned:
            data = data[: start + 2]
            break
        is_scanned |= segment.marker == SOS
        is_metadata = segment.marker == COM or segment.marker in APPLICATIONS
        if is_metadata and not segment.body.startswith((b"JFIF\0", b"Adobe")):
            kept.append(data[position:start])
            position = stop
    return b"".join([*kept, data[position:]])


class Segment(NamedTuple):
    """A marker segment of a JPEG file, or a marker on its own.

    Attributes:
      marker: the second byte of its marker.
      body: what follows its length.
      restarts: of a scan, the restart markers in its data.
      place: from its marker in the file up to what follows it.
    """

    marker: int
    body: bytes
    restarts: npt.NDArray[np.uint8]
    place: slice


def segments(data: bytes) -> Iterator[Segment]:
    """Yield the marker segments of a JPEG file, and of any data after its end."""
    values = np.frombuffer(data, np.uint8)
    # 0xFF before 0x00 is coded data, and before another 0xFF it is padding.
    places = np.flatnonzero((values[:-1] == 0xFF) & (values[1:] != 0) & (values[1:] != 0xFF))
    markers = values[places + 1]
    others = np.flatnonzero((markers < RESTARTS[0]) | (markers > RESTARTS[-1]))
    position = 2
    while (current := int(np.searchsorted(places, position))) < len(places):
        start = int(places[current]) + 2
        position = start + int.from_bytes(data[start : start + 2], "big")
        body = data[start + 2 : position]
        restarts = markers[:0]
        if markers[current] == SOS:
            first = int(np.searchsorted(places, position))
            after = others[np.searchsorted(others, first) :]
            end = int(after[0]) if len(after) else len(places)
            restarts = markers[first:end]
            position = int(places[end]) if end < len(places) else len(data)
        yield Segment(int(markers[current]), body, restarts, slice(start - 2, position))


def _quantization_tables(body: bytes) -> dict[int, npt.NDArray[np.int32]]:
    """Parse a DQT segment: T.81, B.2.4.1."""
    tables = {}
    while body:
        size = 2 if body[0] >> 4 else 1
        steps = body[1 : 1 + 64 * size]
        if len(steps) < 64 * size:
            raise ValueError("a quantisation table is cut short")
        table = np.zeros(64, np.int32)
        table[ZIGZAG] = np.frombuffer(steps, ">u2" if size == 2 else np.uint8)
        if not table.all():
            raise ValueError("a quantisation table has a step of 0")
        tables[body[0] & 15] = table.reshape(8, 8)
        body = body[1 + 64 * size :]
    return tables
