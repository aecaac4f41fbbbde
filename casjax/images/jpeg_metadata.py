"""The metadata of a JPEG file: its application segments, comments, and the rest.

It is read here and not by the decoder, so that a broken segment costs only its own content.
"""

import dataclasses
from typing import Literal

from casjax.images import exif
from casjax.images.iptc import PHOTOSHOP, as_photoshop_resource
from casjax.images.segments import (
    APP0,
    APP13,
    APPLICATIONS,
    COM,
    DQT,
    EOI,
    LONGEST,
    SOS,
    Segment,
    segments,
    without_metadata,
)

XMP = b"http://ns.adobe.com/xap/1.0/\0"
ICC = b"ICC_PROFILE\0"
MULTI_PICTURE = b"MPF\0"
# Segments that nobody misses: of encoders and their colours; XMP says itself that it is extended.
EXPECTED = (
    *(b"JFIF\0", b"JFXX\0", b"Adobe", b"Ducky", b"Adobe_CM"),
    b"http://ns.adobe.com/xmp/extension/\0",
)
WORDS = {  # for what other segments hold, by what they start with
    b"FLIR\0": "FLIR's thermal data",
    b"JP": "content credentials (JUMBF)",
    b"urn:iso:std:iso:ts:21496:-1\0": "the gain map of HDR",
}
PICTURES = 0xB002  # the tag of their index
CENTIMETRES_PER_INCH = 2.54


@dataclasses.dataclass(frozen=True)
class JpegMetadata:
    """The metadata in the segments of a JPEG file; empty where there is none.

    Attributes:
      icc: the ICC profile.
      exif: the EXIF data, from its TIFF header on.
      xmp: the XMP packet, without its extension.
      resources: Photoshop's image resources.
      comments: unchanged, in any encoding.
      dpi: horizontal and vertical resolution in pixels per inch, from the JFIF segment.
      pictures: the places of further pictures in a file of several (CIPA DC-007, MPO).
      lost: what cannot be read, or is not kept, in words.
      bare: the file without all of that, and without what follows its end.
      behind: what follows its end.
    """

    icc: bytes
    exif: bytes
    xmp: bytes
    resources: bytes
    comments: tuple[bytes, ...]
    dpi: tuple[float, float] | None
    pictures: tuple[slice, ...]
    lost: tuple[str, ...]
    bare: bytes
    behind: bytes


def read_jpeg_metadata(data: bytes) -> JpegMetadata:
    """Read the metadata of a JPEG file."""
    exif_data = xmp = resources = behind = b""
    profile: list[bytes] = []
    comments: list[bytes] = []
    dpi = None
    pictures: tuple[slice, ...] = ()
    lost: list[str] = []
    is_scanned = False
    for segment in segments(data):
        body, place = segment.body, segment.place
        if segment.marker == EOI and is_scanned:
            behind = data[place.start + 2 :]
            break
        is_scanned |= segment.marker == SOS
        if is_scanned:
            continue
        if segment.marker == APP0 and body.startswith(b"JFIF\0") and len(body) >= 12:
            dpi = _resolution(body)
        if body.startswith((exif.PREFIX, b"Exif\0\xff")):
            exif_data += body[len(exif.PREFIX) :]
        elif body.startswith(XMP):
            xmp = body[len(XMP) :]  # the last, which Pillow turns the picture by
        elif body.startswith(ICC):
            profile.append(body[len(ICC) :])
        elif body.startswith(MULTI_PICTURE):
            pictures = _pictures(body[len(MULTI_PICTURE) :], segment, len(data))
        elif body.startswith(PHOTOSHOP):
            resources += body[len(PHOTOSHOP) :]
        elif segment.marker == COM:
            comments.append(body.rstrip(b"\0"))
        elif segment.marker in APPLICATIONS and not body.startswith(EXPECTED):
            lost.append(_in_words(segment))
    icc = _profile(profile)
    lost += ["broken ICC profile"] if icc is None else []
    return JpegMetadata(
        icc or b"",
        exif_data,
        xmp,
        resources,
        tuple(comment for comment in comments if comment),
        dpi,
        pictures,
        tuple(lost),
        without_metadata(data),
        behind,
    )


def with_segments(data: bytes, *, iptc: bytes, comments: tuple[bytes, ...]) -> bytes:
    """Return a JPEG file with IPTC data and comments inserted, each small enough for a segment."""
    bodies = [(APP13, PHOTOSHOP + as_photoshop_resource(iptc))] if iptc else []
    bodies += [(COM, comment) for comment in comments]
    put_in = b"".join(
        bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body for marker, body in bodies
    )
    tables = next(s.place.start for s in segments(data) if s.marker == DQT)
    return data[:tables] + put_in + data[tables:]


def fits(body: bytes, *, prefix: bytes = b"") -> bool:
    """Return whether a segment of a JPEG file can hold this."""
    return len(prefix) + len(body) <= LONGEST


def _in_words(segment: Segment) -> str:
    """Return what an application segment holds, or its number and the name that it starts with."""
    for start, words in WORDS.items():
        if segment.body.startswith(start):
            return words
    text = segment.body.partition(b"\0")[0][:24].decode("latin-1").strip()
    name = f" ({text})" if text and text.isascii() and text.isprintable() else ""
    return f"APP{segment.marker - APP0}{name}"


def _resolution(jfif: bytes) -> tuple[float, float] | None:
    unit = {1: 1.0, 2: CENTIMETRES_PER_INCH}.get(jfif[7])
    x, y = int.from_bytes(jfif[8:10], "big"), int.from_bytes(jfif[10:12], "big")
    return (x * unit, y * unit) if unit and x and y else None


def _profile(parts: list[bytes]) -> bytes | None:
    """Join the parts of an ICC profile; None where some are missing (ICC.1, annex B.4)."""
    numbered = {part[0]: part[2:] for part in parts if len(part) > 2}
    if sorted(numbered) != list(range(1, len(parts) + 1)):
        return None
    if any(part[1] != len(parts) for part in parts):
        return None
    return b"".join(numbered[number] for number in sorted(numbered))


def _pictures(index: bytes, segment: Segment, size: int) -> tuple[slice, ...]:
    """Return the places of all pictures but the first, from the index of a file of several."""
    try:
        entries = exif.read_undefined(index, PICTURES)
    except exif.BrokenExifError:
        return ()
    order: Literal["little", "big"] = "little" if index.startswith(b"II") else "big"
    start = segment.place.start + 4 + len(MULTI_PICTURE)
    found = []
    for entry in (entries[i : i + 16] for i in range(16, len(entries), 16)):
        length, offset = (int.from_bytes(entry[i : i + 4], order) for i in (4, 8))
        if length and start + offset < size:
            found.append(slice(start + offset, start + offset + length))
    return tuple(found)
