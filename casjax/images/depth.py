"""The number of bits per sample in a file: decoders silently reduce more to eight."""

import re

from PIL import Image

BITS_PER_SAMPLE = 258  # of TIFF's tags
SIZ = b"\xff\x4f\xff\x51"  # start of a JPEG 2000 codestream, with the marker for sizes
AV1_CONFIGURATION = b"av1C"


def bits_per_sample(image: Image.Image, data: bytes) -> int:
    """Return the largest number of bits per sample of an opened image and its file; 8 if unknown.

    For JPEG and PNG files it is in the headers, see `segments` and `chunks`.
    """
    match image.format:
        case "TIFF":
            bits = image.tag_v2.get(BITS_PER_SAMPLE, (8,))  # type: ignore[attr-defined]
            return max(bits) if isinstance(bits, tuple) else int(bits)
        case "JPEG2000":
            # ISO/IEC 15444-1, A.5.1: three bytes for each component, the first of them its depth.
            first = data.find(SIZ) + 42
            count = int.from_bytes(data[first - 2 : first], "big")
            return max([(depth & 127) + 1 for depth in data[first : first + 3 * count : 3]] or [8])
        case "AVIF":
            # AV1-ISOBMFF, 2.3: bits for "more than 8" and "12".
            place = data.find(AV1_CONFIGURATION)
            flags = data[place + 6] if 0 <= place < len(data) - 6 else 0
            return 8 if not flags & 64 else 12 if flags & 32 else 10
        case "PPM":
            words = re.sub(rb"#[^\n]*", b" ", data[:65536]).split(maxsplit=4)
            is_grey_or_colour = words[0] in (b"P2", b"P3", b"P5", b"P6") and len(words) > 3
            return int(words[3]).bit_length() if is_grey_or_colour else 8
    return 8
