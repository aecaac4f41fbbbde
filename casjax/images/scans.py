"""The scans of a JPEG file: which coefficients they code, with which tables, in which data.

See ITU-T T.81, annex B. `coefficients` decodes them.
"""

import dataclasses
import itertools
import math

import numpy as np
import numpy.typing as npt

from casjax.images.segments import RESTARTS, ZIGZAG, Segment

BLOCK = 64  # coefficients
LONGEST_UNIT = 4096  # bytes that no minimum coded unit takes: ten blocks take up to 2480
MOST_BLOCKS = 10  # in a minimum coded unit of a scan of several components: T.81, B.2.3


@dataclasses.dataclass(frozen=True)
class Plane:
    """A component, and its coefficients so far.

    Attributes:
      identifier: in the file.
      rows: of blocks, without those that only fill up the last minimum coded units.
      columns: likewise.
      coefficients: int16 [rows of units, down, columns of units, across, 64], in zigzag order.
    """

    identifier: int
    rows: int
    columns: int
    coefficients: npt.NDArray[np.int16]

    @property
    def blocks_of_unit(self) -> int:
        """How many of its blocks are in a minimum coded unit of a scan of several components."""
        _, down, _, across, _ = self.coefficients.shape
        return down * across

    def as_blocks(self) -> npt.NDArray[np.int16]:
        """Return the coefficients, [rows, columns, 8, 8], vertical frequency first."""
        unit_rows, down, unit_columns, across, _ = self.coefficients.shape
        every = self.coefficients.reshape(unit_rows * down, unit_columns * across, BLOCK)
        blocks = every[: self.rows, : self.columns]
        return blocks[..., np.argsort(ZIGZAG)].reshape(self.rows, self.columns, 8, 8)

    def in_order(self, *, alone: bool) -> npt.NDArray[np.intp]:
        """Return the places of blocks, as counted in memory, in the order of a scan.

        Args:
          alone: whether the component is the only one of the scan. Then blocks come row by row,
            else unit by unit, including those that fill up the last.
        """
        shape = self.coefficients.shape[:4]
        places = np.arange(math.prod(shape)).reshape(shape)
        if alone:
            unit_rows, down, unit_columns, across = shape
            grid = places.reshape(unit_rows * down, unit_columns * across)
            return grid[: self.rows, : self.columns].ravel()
        return places.transpose(0, 2, 1, 3).ravel()


@dataclasses.dataclass(frozen=True)
class Scan:
    """A scan of a picture: T.81, B.2.3.

    Attributes:
      planes: its components, each with the numbers of its tables for the lowest frequency and for
        the others.
      first: index of the first coefficient in zigzag order.
      last: and of the last one.
      former: number of bits that former scans left out; 0 in the first scan of these coefficients.
      left: number of bits that this one leaves out.
      units: how many there are, of which `restart` form an interval.
      stream: the coded data, without markers and stuffed bytes, and zeros behind it.
      starts: byte in `stream` where each interval starts, and where the last one ends.
    """

    planes: list[tuple[Plane, int, int]]
    first: int
    last: int
    former: int
    left: int
    units: int
    restart: int
    stream: bytes
    starts: list[int]

    @classmethod
    def read(cls, segment: Segment, data: bytes, frame: list[Plane], restart: int) -> "Scan":
        """Parse the header of a scan and separate the intervals of its data.

        Args:
          segment: its header.
          data: the file.
          frame: all components.
          restart: units of an interval; 0 where there is only one.

        Raises:
          ValueError: the header is damaged, or there is another number of intervals.
          IndexError, KeyError: likewise.
        """
        body, count = segment.body, segment.body[0]
        known = {plane.identifier: plane for plane in frame}
        pairs = (body[i : i + 2] for i in range(1, 1 + 2 * count, 2))
        planes = [(known[name], tables >> 4, 16 + (tables & 15)) for name, tables in pairs]
        first, last, bits = body[1 + 2 * count : 4 + 2 * count]
        alone = count == 1
        blocks = sum(plane.blocks_of_unit for plane, _, _ in planes)
        if not first <= last < BLOCK or not (alone or (not first and 0 < blocks <= MOST_BLOCKS)):
            raise ValueError("a scan header is damaged")
        plane = planes[0][0]
        unit_rows, _, unit_columns, _, _ = plane.coefficients.shape
        units = plane.rows * plane.columns if alone else unit_rows * unit_columns
        restart = restart or units
        intervals = _intervals(data[segment.place.start + 4 + len(body) : segment.place.stop])
        if len(intervals) != -(-units // restart):
            raise ValueError("its coded data has another number of intervals than it says")
        starts = np.cumsum([0, *map(len, intervals)]).tolist()
        stream = b"".join([*intervals, bytes(LONGEST_UNIT)])
        return cls(planes, first, last, bits >> 4, bits & 15, units, restart, stream, starts)

    def start_of_interval(self, unit: int, *, reached: int) -> int:
        """Return the bit where the interval of a unit starts, its first one.

        Raises:
          ValueError: the data of the interval before reaches beyond that bit.
        """
        start = 8 * self.starts[unit // self.restart]
        if reached > start:
            raise ValueError("its coded data is damaged")
        return start


@dataclasses.dataclass(frozen=True)
class HuffmanTable:
    """The symbol that each sequence of 16 bits starts with.

    Attributes:
      symbols: uint8 [65536].
      lengths: of their codes, uint8 [65536]; 0 where there is none.
    """

    symbols: npt.NDArray[np.uint8]
    lengths: npt.NDArray[np.uint8]


def read_planes(body: bytes) -> list[Plane]:
    """Parse a frame header, T.81, B.2.2, into components whose coefficients are zero.

    Raises:
      ValueError: it is damaged, or leaves the height to be told later.
    """
    height, width = (int.from_bytes(body[i : i + 2], "big") for i in (1, 3))
    parts = [body[i : i + 3] for i in range(6, 6 + 3 * body[5], 3)]
    factors = [(part[1] >> 4, part[1] & 15) for part in parts]
    if not (height and width and parts) or not all(1 <= f <= 4 for both in factors for f in both):
        raise ValueError("its frame header is damaged")
    widest, tallest = (max(sides) for sides in zip(*factors, strict=True))
    unit_rows, unit_columns = -(-height // (8 * tallest)), -(-width // (8 * widest))
    return [
        Plane(
            part[0],
            -(-height * down // (8 * tallest)),
            -(-width * across // (8 * widest)),
            np.zeros((unit_rows, down, unit_columns, across, BLOCK), np.int16),
        )
        for part, (across, down) in zip(parts, factors, strict=True)
    ]


def read_huffman_tables(body: bytes) -> dict[int, HuffmanTable]:
    """Parse a segment of tables: T.81, B.2.4.2.

    Those for the lowest frequency are numbered from 0, those for the others from 16.

    Raises:
      ValueError: it is damaged.
    """
    tables = {}
    while body:
        counts = np.frombuffer(body[1:17], np.uint8)
        symbols = np.frombuffer(body[17 : 17 + int(counts.sum())], np.uint8)
        lengths = np.repeat(np.arange(1, 17), counts)
        widths = 1 << (16 - lengths)  # how many sequences of 16 bits start with each code
        if len(symbols) < len(lengths) or widths.sum() > 65536:
            raise ValueError("a Huffman table is damaged")
        rest = 65536 - int(widths.sum())
        tables[body[0]] = HuffmanTable(
            np.append(np.repeat(symbols, widths), np.zeros(rest, np.uint8)),
            np.append(np.repeat(lengths, widths), np.zeros(rest)).astype(np.uint8),
        )
        body = body[17 + len(symbols) :]
    return tables


def _intervals(coded: bytes) -> list[bytes]:
    """Separate coded data at restart markers, and remove the zeros stuffed behind 0xFF."""
    values = np.frombuffer(coded, np.uint8)
    is_restart = (values[:-1] == 0xFF) & (values[1:] >= RESTARTS[0]) & (values[1:] <= RESTARTS[-1])
    borders = [-2, *np.flatnonzero(is_restart).tolist(), len(coded)]
    return [
        coded[start + 2 : stop].replace(b"\xff\x00", b"\xff")
        for start, stop in itertools.pairwise(borders)
    ]
