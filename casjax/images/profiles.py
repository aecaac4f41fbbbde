"""Colour information in files that Pillow does not expose: AVIF, JPEG 2000 and BMP."""

from casjax.images.chunks import colours_in_words

NCLX, COLOUR_BOX = b"colrnclx", b"colr"
# Offsets in a BMP header of version 4 or 5, from the start of the file.
BMP_HEADER, BMP_SPACE, BMP_PRIMARIES, BMP_PROFILE = 14, slice(70, 74), slice(74, 122), 126
CALIBRATED, EMBEDDED = b"\0\0\0\0", b"DEBM"


def colours_of(data: bytes, file_format: str) -> tuple[dict[bytes, bytes], bytes, list[str]]:
    """Return a file's colour information that Pillow does not expose.

    Returns:
      Equivalent PNG chunks, an ICC profile, and what cannot be kept, in words; all empty if the
      colours are sRGB or not specified.
    """
    match file_format:
        case "AVIF":
            return _of_avif(data), b"", []
        case "JPEG2000":
            return {}, _of_jpeg2000(data), []
        case "BMP":
            return {}, *_of_bmp(data)
    return {}, b"", []


def _of_avif(data: bytes) -> dict[bytes, bytes]:
    """Return the codes of primaries and transfer (ISO/IEC 14496-12, 12.1.5; ITU-T H.273)."""
    place = data.find(NCLX) + len(NCLX)
    if place < len(NCLX) or place + 4 > len(data):
        return {}
    # Pixels are decoded to RGB of full range, whatever the file's matrix and range.
    code = {b"cICP": bytes([data[place + 1], data[place + 3], 0, 1])}
    return code if colours_in_words(code) else {}


def _of_jpeg2000(data: bytes) -> bytes:
    """Return the ICC profile of the colour specification box (ISO/IEC 15444-1, I.5.3.3)."""
    place = data.find(COLOUR_BOX)
    if place < 4 or data[place + 4 : place + 5] not in (b"\2", b"\3"):
        return b""
    end = place - 4 + int.from_bytes(data[place - 4 : place], "big")
    return data[place + 7 : end]


def _of_bmp(data: bytes) -> tuple[bytes, list[str]]:
    """Return the embedded profile of a version 5 header, or note that the space is another one."""
    size = int.from_bytes(data[BMP_HEADER : BMP_HEADER + 4], "little")
    if size >= 124 and data[BMP_SPACE] == EMBEDDED:
        start, length = (
            int.from_bytes(data[place : place + 4], "little")
            for place in (BMP_PROFILE, BMP_PROFILE + 4)
        )
        return data[BMP_HEADER + start : BMP_HEADER + start + length], []
    if size >= 108 and data[BMP_SPACE] == CALIBRATED and data[BMP_PRIMARIES].strip(b"\0"):
        return b"", ["colorimetry"]
    return b"", []
