"""The metadata of a PNG file, read from its chunks (PNG specification, third edition).

A broken chunk costs only its own content, where a decoder would give up the whole picture.
"""

import dataclasses
import struct
import zlib
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Without these the pixels would differ: transparency, and the frames of an animation.
NEEDED = frozenset({b"tRNS", b"acTL", b"fcTL", b"fdAT"})
# About the time, the background, the palette, the page and the storage of the old file.
OF_THE_FILE = frozenset({b"tIME", b"bKGD", b"hIST", b"sBIT", b"sPLT", b"vpAg", b"iDOT"})
LONGEST = 2**24  # bytes of a compressed text or profile
METRES_PER_INCH = 0.0254
SRGB_GAMMA = 45455
SRGB_PRIMARIES = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)  # white, red, green, blue


@dataclasses.dataclass(frozen=True)
class PngHeader:
    """What the chunks of a PNG file say.

    Attributes:
      depth: bits of a sample.
      colour: the chunks that define the colours of the pixels, by name, in the file's order.
      icc: the ICC profile.
      exif: the EXIF data.
      dpi: horizontal and vertical resolution in pixels per inch.
      texts: keywords and texts.
      broken: names of chunks that cannot be read.
      unknown: names of other chunks, but for those that concern only the old file.
      bare: the file without all of that.
      has_data_behind: whether something follows the end of the picture.
    """

    depth: int
    colour: dict[bytes, bytes]
    icc: bytes
    exif: bytes
    dpi: tuple[float, float] | None
    texts: tuple[tuple[str, str], ...]
    broken: tuple[str, ...]
    unknown: tuple[str, ...]
    bare: bytes
    has_data_behind: bool


def read_chunks(data: bytes) -> PngHeader:
    """Read the chunks of a PNG file; once its structure is broken, leave it to the decoder."""
    kept, texts, broken = [SIGNATURE], [], []
    unknown: dict[str, None] = {}
    colour: dict[bytes, bytes] = {}
    icc = exif = b""
    dpi = None
    position = len(SIGNATURE)
    depth = 8
    for name, body, whole in _chunks(data):
        position += len(body) + 12
        if name == b"IHDR" and len(body) >= 9:
            depth = body[8]
        if name[0] & 32 == 0 or name in NEEDED:
            kept.append(whole)
            continue
        try:
            if zlib.crc32(name + body) != int.from_bytes(whole[-4:], "big"):
                raise ValueError("its checksum is wrong")
            match name:
                case b"gAMA" | b"cHRM" | b"sRGB" | b"cICP":
                    if len(body) != {b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"cICP": 4}[name]:
                        raise ValueError("its size is wrong")
                    colour[name] = body
                case b"iCCP":
                    icc = _inflated(body.split(b"\0", 1)[1][1:])
                case b"eXIf":
                    exif = body
                case b"pHYs":
                    x, y, unit = struct.unpack(">IIB", body)
                    dpi = (x * METRES_PER_INCH, y * METRES_PER_INCH) if unit == 1 else None
                case b"tEXt" | b"zTXt" | b"iTXt":
                    texts.append(_text(name, body))
                case _ if name not in OF_THE_FILE:
                    unknown[name.decode("ascii")] = None
        except (ValueError, IndexError, zlib.error, struct.error):
            broken.append(name.decode("ascii"))
    rest = data[position:]
    is_ended = kept[-1][4:8] == b"IEND"
    kept += [] if is_ended else [rest]
    return PngHeader(
        depth, colour, icc, exif, dpi, tuple(texts), tuple(broken), tuple(unknown), b"".join(kept),
        has_data_behind=is_ended and bool(rest.strip(b"\0\r\n")),
    )  # fmt: skip


def colours_in_words(colour: dict[bytes, bytes]) -> str:
    """Describe in words the colours that these chunks define; empty for sRGB, or if undefined."""
    if (code := colour.get(b"cICP")) is not None:
        # ITU-T H.273: primaries of BT.709; transfer of sRGB, or of BT.709 and BT.601, which are
        # displayed in the same way; 2 is unspecified.
        is_srgb = code[0] in (1, 2) and code[1] in (1, 2, 6, 13)
        return "" if is_srgb else f"cICP {code[0]}/{code[1]}"
    if b"sRGB" in colour:
        return ""
    words = []
    if b"gAMA" in colour:
        gamma = int.from_bytes(colour[b"gAMA"], "big")
        words += [f"gamma {gamma / 1e5:g}"] if abs(gamma - SRGB_GAMMA) > 500 else []
    if b"cHRM" in colour:
        primaries = struct.unpack(">8I", colour[b"cHRM"])
        differences = [abs(a - b) for a, b in zip(primaries, SRGB_PRIMARIES, strict=True)]
        words += ["chromaticities"] if max(differences) > 500 else []
    return " and ".join(words)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Yield name, body and all bytes of each chunk, up to the end or to invalid data."""
    position, name = len(SIGNATURE), b""
    while name != b"IEND":
        size = int.from_bytes(data[position : position + 4], "big")
        whole = data[position : position + 12 + size]
        name = whole[4:8]
        if len(whole) < 12 + size or not (name.isascii() and name.isalpha()):
            return
        yield name, whole[8:-4], whole
        position += len(whole)


def _text(name: bytes, body: bytes) -> tuple[str, str]:
    keyword, rest = body.split(b"\0", 1)
    if name == b"tEXt":
        return keyword.decode("latin-1"), rest.decode("latin-1")
    if name == b"zTXt":
        return keyword.decode("latin-1"), _inflated(rest[1:]).decode("latin-1")
    is_compressed, rest = rest[0], rest[2:]
    _language, _translated, text = rest.split(b"\0", 2)
    return keyword.decode("latin-1"), (_inflated(text) if is_compressed else text).decode()


def _inflated(data: bytes) -> bytes:
    inflater = zlib.decompressobj()
    content = inflater.decompress(data, LONGEST)
    if not inflater.eof:
        raise ValueError("it is cut short, or too large")
    return content
