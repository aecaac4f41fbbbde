"""The quantised DCT coefficients in a JPEG file, by Huffman decoding (ITU-T T.81, annexes F and G).

Decoders show only pixels, whose rounding hides the coefficients where steps are small. Python
follows no more than the chain of symbols, by tables that tell for each bit of the coded data where
a symbol that began there would end; NumPy makes these tables, and reads the values found.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from casjax.images.scans import (
    BLOCK,
    LONGEST_UNIT,
    HuffmanTable,
    Plane,
    Scan,
    read_huffman_tables,
    read_planes,
)
from casjax.images.segments import EOI, FRAMES, SOS, segments

DHT, DRI = 0xC4, 0xDD
HUFFMAN_CODED = {0xC0, 0xC1, 0xC2}  # SOF0 baseline, SOF1 extended, SOF2 progressive
STRETCH = 2**17  # bytes of coded data that have tables at once; bounds the memory
STOP = 255  # a step to beyond any block

Coefficients = npt.NDArray[np.int16]
"""Of a component, in multiples of its steps: [block rows, block columns, 8, 8], vertical frequency
first."""


def read_coefficients(data: bytes) -> list[Coefficients]:
    """Read the quantised coefficients of each component of a JPEG file, in the file's order.

    Takes about a second per megapixel at quality 95.

    Args:
      data: a complete file, sequential or progressive, Huffman-coded, of 8 bits per sample. Of
        several pictures in it, the first is read.

    Raises:
      ValueError: the file is of another kind, or damaged.
    """
    frame: list[Plane] = []
    tables: dict[int, HuffmanTable] = {}
    restart = 0
    try:
        for segment in segments(data):
            if segment.marker == EOI:
                break
            if segment.marker == DHT:
                tables |= read_huffman_tables(segment.body)
            elif segment.marker == DRI:
                restart = int.from_bytes(segment.body[:2], "big")
            elif segment.marker in FRAMES:
                if segment.marker not in HUFFMAN_CODED or segment.body[0] != 8 or frame:
                    raise ValueError("its coefficients are coded in a way that is not read")
                frame = read_planes(segment.body)
            elif segment.marker == SOS:
                _read_scan(Scan.read(segment, data, frame, restart), tables)
    except (IndexError, KeyError) as error:
        raise ValueError("its coded data is damaged") from error
    if not frame:
        raise ValueError("there is no frame")
    return [plane.as_blocks() for plane in frame]


def _read_scan(scan: Scan, tables: dict[int, HuffmanTable]) -> None:
    """Decode a scan into the coefficients of its components."""
    if not scan.former:
        _read_first(scan, tables)
    elif scan.first == 0:
        _refine_lowest(scan)
    else:
        _refine(scan, tables)


def _read_first(scan: Scan, tables: dict[int, HuffmanTable]) -> None:
    """Decode coefficients of which no scan told anything yet."""
    has_lowest = scan.first == 0
    has_others = scan.last > 0
    orders = [plane.in_order(alone=len(scan.planes) == 1) for plane, _, _ in scan.planes]
    done = [0] * len(orders)
    for windows, walked in _walk(scan, tables):
        for i, (plane, lowest, others) in enumerate(scan.planes):
            visits, begins = (np.array(each, np.intp) for each in walked[i])
            block, index, values = _values(
                windows,
                visits,
                begins,
                lowest=tables[lowest] if has_lowest else None,
                others=tables[others] if has_others else None,
            )
            index += 0 if has_lowest else scan.first - 1
            if np.any(index > scan.last):
                raise ValueError("its coded data is damaged")
            places = orders[i][done[i] + block]
            plane.coefficients.reshape(-1, BLOCK)[places, index] = values << scan.left
            done[i] += len(begins)
    if has_lowest:  # so far differences from the block before
        for (plane, _, _), order in zip(scan.planes, orders, strict=True):
            lowest_ones = plane.coefficients.reshape(-1, BLOCK)[:, 0]
            in_interval = scan.restart * (len(order) // scan.units)
            differences = np.pad(lowest_ones[order], (0, -len(order) % in_interval))
            sums = np.cumsum(differences.reshape(-1, in_interval), axis=1, dtype=np.int32)
            lowest_ones[order] = sums.ravel()[: len(order)]


def _walk(
    scan: Scan, tables: dict[int, HuffmanTable]
) -> Iterator[tuple[npt.NDArray[np.uint16], list[tuple[list[int], list[int]]]]]:
    """Follow the symbols of a first scan, one stretch of data after another.

    Yields:
      The windows of a stretch, see `_windows`; and for each component the bits in it where symbols
      begin, and how many there are before each of its blocks.
    """
    has_lowest, last = scan.first == 0, scan.last
    is_band = not has_lowest  # in these, one symbol can end several blocks
    unit = place = ended = 0
    while unit < scan.units:
        begun, base = unit, place // 8
        windows = _windows(scan.stream[base : base + STRETCH + LONGEST_UNIT])
        walked: list[tuple[list[int], list[int]]] = [([], []) for _ in scan.planes]
        chains: list[Any] = []
        for (plane, lowest, others), (visits, begins) in zip(scan.planes, walked, strict=True):
            jumps = _jumps(tables[lowest], windows) if has_lowest else b""
            bits = steps = b""
            if last:
                bits = _jumps(tables[others], windows, is_band=is_band)
                steps = _steps(tables[others], windows)
            count = plane.blocks_of_unit if len(scan.planes) > 1 else 1
            chains += [(visits, begins, jumps, bits, steps)] * count
        bit = place - 8 * base
        for unit in range(begun, scan.units):
            if unit % scan.restart == 0:
                bit = scan.start_of_interval(unit, reached=bit + 8 * base) - 8 * base
                ended = 0
            if bit > 8 * STRETCH:
                break
            for visits, begins, jumps, bits, steps in chains:
                begins.append(len(visits))
                if ended:
                    ended -= 1
                    continue
                index = scan.first
                if has_lowest:
                    visits.append(bit)
                    bit += jumps[bit]
                    index = 1
                while index <= last:
                    visits.append(bit)
                    index += steps[bit]
                    bit += bits[bit]
                if is_band and index >= STOP:
                    ended = _ended_blocks(tables[scan.planes[0][2]], windows, visits[-1]) - 1
        else:
            unit = scan.units
        place = bit + 8 * base
        yield windows, walked
    if place > 8 * scan.starts[-1]:
        raise ValueError("its coded data is cut short")


def _windows(data: bytes) -> npt.NDArray[np.uint16]:
    """Return the 16 bits that follow each bit of some data, that bit included."""
    values = np.frombuffer(data, np.uint8).astype(np.uint32)
    three = values[:-2] << 16 | values[1:-1] << 8 | values[2:]
    return (three[:, None] >> np.arange(8, 0, -1, dtype=np.uint32)).astype(np.uint16).ravel()


def _jumps(table: HuffmanTable, windows: npt.NDArray[np.uint16], *, is_band: bool = False) -> bytes:
    """Return for each bit how many the symbol and its value take that would begin there."""
    runs, sizes = table.symbols >> 4, table.symbols & 15
    extra = np.where(is_band & (sizes == 0) & (runs < 15), runs, sizes)
    return (table.lengths + extra)[windows].tobytes()


def _steps(table: HuffmanTable, windows: npt.NDArray[np.uint16]) -> bytes:
    """Return for each bit by how many coefficients a symbol moves on that would begin there."""
    runs, sizes = table.symbols >> 4, table.symbols & 15
    ends = ((sizes == 0) & (runs < 15)) | (table.lengths == 0)
    return np.where(ends, STOP, runs + 1).astype(np.uint8)[windows].tobytes()


def _ended_blocks(table: HuffmanTable, windows: npt.NDArray[np.uint16], bit: int) -> int:
    """Return how many blocks a symbol ends, the present one included: T.81, G.1.2.2."""
    window = windows[bit]
    bits = int(table.symbols[window]) >> 4
    return (1 << bits) + (int(windows[bit + int(table.lengths[window])]) >> (16 - bits))


def _values(
    windows: npt.NDArray[np.uint16],
    visits: npt.NDArray[np.intp],
    begins: npt.NDArray[np.intp],
    *,
    lowest: HuffmanTable | None,
    others: HuffmanTable | None,
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Read the coefficients at some symbols.

    Returns:
      Their blocks, as counted in `begins`; their indices, counted from the lowest frequency if
      that is read, and else from one before the first; and their values.
    """
    counts = np.diff(begins, append=len(visits))
    window = windows[visits]
    table = others or lowest
    assert table is not None
    symbols, lengths = (each[window].astype(np.intp) for each in (table.symbols, table.lengths))
    steps = (symbols >> 4) + 1
    if lowest is not None:
        symbols[begins], lengths[begins] = (
            each[window[begins]] for each in (lowest.symbols, lowest.lengths)
        )
        steps[begins] = 0
    if not lengths.all():
        raise ValueError("its coded data is damaged")
    before = np.concatenate([[0], np.cumsum(steps)])
    index = before[1:] - np.repeat(before[begins], counts)
    block = np.repeat(np.arange(len(begins)), counts)
    sizes = symbols & 15
    is_value = sizes > 0
    sizes = sizes[is_value]
    values = windows[(visits + lengths)[is_value]].astype(np.intp) >> (16 - sizes)
    values -= np.where(values < 1 << (sizes - 1), (1 << sizes) - 1, 0)  # T.81, F.2.2.1
    return block[is_value], index[is_value], values


def _refine_lowest(scan: Scan) -> None:
    """Read one more bit of each lowest coefficient: T.81, G.1.2.1."""
    bits = np.unpackbits(np.frombuffer(scan.stream, np.uint8))
    orders = [plane.in_order(alone=len(scan.planes) == 1) for plane, _, _ in scan.planes]
    each = [len(order) // scan.units for order in orders]
    units = np.arange(scan.units)
    starts = 8 * np.array(scan.starts)[units // scan.restart]
    first = starts + units % scan.restart * sum(each)
    for i, ((plane, _, _), order) in enumerate(zip(scan.planes, orders, strict=True)):
        places = first[:, None] + sum(each[:i]) + np.arange(each[i])
        lowest = plane.coefficients.reshape(-1, BLOCK)[:, 0]
        lowest[order] |= bits[places.ravel()].astype(np.int16) << scan.left


def _refine(scan: Scan, tables: dict[int, HuffmanTable]) -> None:
    """Read one more bit of each coefficient of a band, and which become nonzero by it: G.1.2.3."""
    [(plane, _, others)] = scan.planes
    table = tables[others]
    band = slice(scan.first, scan.last + 1)
    coefficients = plane.coefficients.reshape(-1, BLOCK)
    order = plane.in_order(alone=True)
    length = band.stop - band.start
    is_known = (coefficients[order, band] != 0).astype(np.uint8)
    unit = place = ended = 0
    while unit < scan.units:
        begun, base = unit, place // 8
        piece = scan.stream[base : base + STRETCH + LONGEST_UNIT]
        windows = _windows(piece)
        jumps = table.lengths[windows].tobytes()
        symbols = table.symbols[windows].tobytes()
        known = is_known[unit : unit + 8 * STRETCH].tobytes()
        corrected: list[int] = []
        new: list[int] = []
        at_corrected: list[int] = []
        at_new: list[int] = []
        bit = place - 8 * base
        for unit in range(begun, scan.units):
            if unit % scan.restart == 0:
                bit = scan.start_of_interval(unit, reached=bit + 8 * base) - 8 * base
                ended = 0
            if bit > 8 * STRETCH or unit - begun == 8 * STRETCH:
                break
            index = (unit - begun) * length
            stop = index + length
            while not ended and index < stop:
                symbol = symbols[bit]
                run, size = symbol >> 4, symbol & 15
                if size == 0 and run < 15:
                    ended = _ended_blocks(table, windows, bit)
                    bit += jumps[bit] + run
                    break
                bit += jumps[bit]
                sign, bit = bit, bit + size
                while index < stop:
                    if known[index]:
                        corrected.append(index)
                        at_corrected.append(bit)
                        bit += 1
                    elif run:
                        run -= 1
                    else:
                        break
                    index += 1
                if size and index < stop:
                    new.append(index)
                    at_new.append(sign)
                index += 1
            if ended:
                ended -= 1
                for rest in range(index, stop):
                    if known[rest]:
                        corrected.append(rest)
                        at_corrected.append(bit)
                        bit += 1
        else:
            unit = scan.units
        bits = np.unpackbits(np.frombuffer(piece, np.uint8)).astype(np.int16)
        changes = np.zeros((unit - begun) * length, np.int16)
        changes[corrected] = bits[at_corrected]
        blocks = coefficients[order[begun:unit], band]
        changes = changes.reshape(blocks.shape) * np.sign(blocks)
        changes.reshape(-1)[new] = 2 * bits[at_new] - 1
        coefficients[order[begun:unit], band] = blocks + (changes << scan.left)
        place = bit + 8 * base
    if place > 8 * scan.starts[-1]:
        raise ValueError("its coded data is cut short")
