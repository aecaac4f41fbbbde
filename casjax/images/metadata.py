"""The metadata of a photograph, and its orientation."""

import dataclasses
import re
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, SupportsFloat

import numpy as np
import numpy.typing as npt
from PIL import Image

from casjax.images import exif as exif_data
from casjax.images import iptc as iptc_data
from casjax.images import xmp as xmp_packet
from casjax.images.chunks import PngHeader
from casjax.images.jpeg_metadata import JpegMetadata
from casjax.images.profiles import colours_of

# Of the TIFF and EXIF tags, these describe the photograph and the others the file: document,
# description, maker, model, software, date, artist, computer, rating, copyright, and what Windows
# calls title, comment, author, keywords and subject.
DESCRIPTIVE_TAGS = (
    *(0x010D, 0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x013C, 0x4746, 0x4749, 0x8298),
    *range(0x9C9B, 0x9CA0),
)
DESCRIPTIVE_DIRECTORIES = (0x8769, 0x8825)  # Exif, GPS
ORIENTATION, IPTC_TAG, PHOTOSHOP_TAG = 0x0112, 0x83BB, 0x8649
# TIFF tags that apply to the file alone, or are recorded in another way: kind, bits, order,
# orientation, lowest and highest value, resolution, fax, page and inks.
STRUCTURAL_TAGS = exif_data.OF_THE_FILE | {
    *(254, 255, ORIENTATION, 280, 281, 282, 283, 288, 289, 290, 291, 292, 293, 296, 297),
    *(332, 334, 336, 340, 341),
}
COLORIMETRY_TAGS = (301, 318, 319)  # TIFF's transfer function, white point and primaries
# Texts in PNG files that describe another file: the one they were made from, or for thumbnails.
OLD_TEXTS = re.compile(r"(exif|tiff|png|jpeg|Thumb):.*")
# Comments that encoders leave, about themselves and the quality of the old file.
OF_ENCODERS = re.compile(
    rb"CREATOR: gd-jpeg|Created by OpenJPEG|Kakadu|Lavc\d|Intel\(R\) JPEG|LEAD Tech|AppleMark|"
    rb"(Compressed|Optimized|File written) by "
)
HIGHEST_RESOLUTION = 2**16 - 1  # of JFIF
RAW_PROFILE = "Raw profile type "
XMP_TEXT, COMMENT_TEXT = "XML:com.adobe.xmp", "Comment"


@dataclasses.dataclass(frozen=True)
class Metadata:
    """Metadata as stored in files; empty where there is none.

    Attributes:
      icc: the ICC profile.
      exif: the EXIF data, from its TIFF header on.
      xmp: the XMP packet.
      dpi: horizontal and vertical resolution in pixels per inch.
      iptc: IPTC data sets.
      comments: unchanged, mostly UTF-8.
      texts: keywords and texts, as in PNG.
      colour: PNG's chunks that define the colours of the pixels, by name.
      lost: what the copy cannot keep, or what cannot be read; a few words each.
    """

    icc: bytes = b""
    exif: bytes = b""
    xmp: bytes = b""
    dpi: tuple[float, float] | None = None
    iptc: bytes = b""
    comments: tuple[bytes, ...] = ()
    texts: tuple[tuple[str, str], ...] = ()
    colour: dict[bytes, bytes] = dataclasses.field(default_factory=dict)
    lost: tuple[str, ...] = ()

    def __str__(self) -> str:
        kinds: dict[str, object] = {"ICC profile": self.icc, "EXIF": self.exif, "XMP": self.xmp}
        kinds |= {"IPTC": self.iptc, "comment": self.comments, "text": self.texts}
        return ", ".join(name for name, content in kinds.items() if content) or "no metadata"


def read_metadata(
    image: Image.Image, data: bytes, *, png: PngHeader | None, jpeg: JpegMetadata | None
) -> Metadata:
    """Return the metadata of a loaded image as it is in the file.

    Args:
      image: as opened by the decoder.
      data: the bytes of its file.
      png: the content of the chunks, if it is a PNG file.
      jpeg: the content of the segments, if it is a JPEG file.
    """
    if jpeg:
        resources = iptc_data.in_photoshop_resources(jpeg.resources)
        return Metadata(
            icc=jpeg.icc,
            exif=jpeg.exif,
            xmp=jpeg.xmp,
            dpi=_plausible(jpeg.dpi) or _plausible(exif_data.read_resolution(jpeg.exif)),
            iptc=resources,
            comments=jpeg.comments,
            lost=(*jpeg.lost, *_what_is_behind(jpeg)),
        )
    if png:
        return _of_png(png)
    known = image.info
    xmp, comment, dpi = (known.get(key) for key in ("xmp", "comment", "dpi"))
    exif = known.get("exif") or b""
    iptc = b""
    colour, icc, lost = colours_of(data, image.format or "")
    if image.format == "TIFF":
        tags = image.tag_v2  # type: ignore[attr-defined]
        try:
            exif = descriptive(image.getexif())
        except Exception:  # its reader may raise anything
            lost.append("broken EXIF")
        iptc = _bytes(tags.get(IPTC_TAG))
        iptc = iptc or iptc_data.in_photoshop_resources(_bytes(tags.get(PHOTOSHOP_TAG)))
        lost += ["colorimetry"] if any(tag in tags for tag in COLORIMETRY_TAGS) else []
        lost += undescriptive(set(tags) - {*COLORIMETRY_TAGS})
    exif = exif.removeprefix(exif_data.PREFIX)
    if dpi == (1, 1):  # as TIFF files have without a resolution
        dpi = None
    return Metadata(
        icc=known.get("icc_profile") or icc,
        exif=exif,
        xmp=xmp.encode() if isinstance(xmp, str) else xmp or b"",
        dpi=_plausible(dpi) or _plausible(exif_data.read_resolution(exif)),
        iptc=iptc,
        comments=tuple(c for c in [_bytes(comment)] if c),
        colour={} if known.get("icc_profile") else colour,
        lost=tuple(lost),
    )


def _plausible(dpi: Sequence[SupportsFloat] | None) -> tuple[float, float] | None:
    """Return a resolution if every format can hold it, which some files' nonsense is not."""
    if dpi is None:
        return None
    x, y = map(float, dpi)  # not a number, if a fraction is divided by zero
    return (x, y) if all(1 <= each <= HIGHEST_RESOLUTION for each in (x, y)) else None


def _what_is_behind(jpeg: JpegMetadata) -> list[str]:
    """Describe what follows the picture in a JPEG file, apart from further pictures."""
    if b"ftyp" in jpeg.behind:  # of MP4
        return [xmp_packet.VIDEO]
    if jpeg.behind.strip(b"\0\xff") and not jpeg.pictures:
        return [f"{len(jpeg.behind)} bytes behind the picture"]
    return []


def _of_png(png: PngHeader) -> Metadata:
    """Return the metadata of a PNG file; ImageMagick stores some of it in texts."""
    icc, exif, xmp, iptc = png.icc, png.exif, b"", b""
    comments, texts = [], []
    lost = [f"broken {name}" for name in png.broken]
    lost += [f"PNG chunk {name}" for name in png.unknown]
    lost += ["what follows the picture"] if png.has_data_behind else []
    for keyword, text in png.texts:
        if keyword == XMP_TEXT:
            xmp = xmp or text.encode()
        elif keyword.startswith(RAW_PROFILE):
            try:
                profile = iptc_data.from_raw_profile(text)
            except ValueError:
                lost.append(f"broken {keyword}")
                continue
            match keyword.removeprefix(RAW_PROFILE).lower():
                case "exif" | "app1" if profile.startswith(exif_data.PREFIX):
                    exif = exif or profile
                case "xmp" | "app1":
                    xmp = xmp or profile[profile.find(b"\0") + 1 :]
                case "iptc" | "8bim":
                    profile = profile.removeprefix(iptc_data.PHOTOSHOP)
                    is_iptc = profile.startswith(b"\x1c")
                    found = profile if is_iptc else iptc_data.in_photoshop_resources(profile)
                    iptc = iptc or found
                case "icc" | "icm":
                    icc = icc or profile
                case _:
                    lost.append(keyword.lower())
        elif keyword == COMMENT_TEXT:
            comments.append(text.encode())
        elif not OLD_TEXTS.fullmatch(keyword):
            texts.append((keyword, text))
    return Metadata(
        icc=icc,
        exif=exif.removeprefix(exif_data.PREFIX),
        xmp=xmp,
        dpi=_plausible(png.dpi),
        iptc=iptc,
        comments=tuple(comments),
        texts=tuple(texts),
        colour=png.colour,
        lost=tuple(lost),
    )


def read_orientation(image: Image.Image, metadata: Metadata) -> int:
    """Return the orientation, 1..8, to apply to a picture's pixels; 1 is upright."""
    if image.format == "TIFF":
        return 1  # its decoder turns the pixels
    return (
        exif_data.read_orientation(metadata.exif) or xmp_packet.read_orientation(metadata.xmp) or 1
    )


def describe_copy(
    metadata: Metadata, *, size: tuple[int, int], orientation: int, is_grey: bool
) -> Metadata:
    """Return the metadata that also applies to a restored, upright copy; `lost` names the rest.

    Args:
      metadata: of the file.
      size: height and width of the copy.
      orientation: of the file, 1..8.
      is_grey: whether the copy's pixels are grey, not RGB.
    """
    lost = list(metadata.lost)
    exif = xmp = iptc = b""
    try:
        exif = exif_data.describe_copy(metadata.exif, size=size, orientation=orientation)
    except exif_data.BrokenExifError:
        lost.append("broken EXIF")
    try:
        xmp, words = xmp_packet.describe_copy(metadata.xmp, size=size, orientation=orientation)
        lost += words
    except xmp_packet.BrokenXmpError:
        lost.append("broken XMP")
    try:
        iptc = iptc_data.describe_copy(metadata.iptc, orientation=orientation)
    except iptc_data.BrokenIptcError:
        lost.append("broken IPTC")
    comments = tuple(c for c in metadata.comments if not OF_ENCODERS.match(c))
    icc = metadata.icc
    if icc and (len(icc) < 128 or icc[36:40] != b"acsp"):
        icc = b""
        lost.append("broken ICC profile")
    elif icc and icc[16:20] != (b"GRAY" if is_grey else b"RGB "):
        lost.append(f"ICC profile for {icc[16:20].decode('latin-1').strip()}")
        icc = b""
    dpi = metadata.dpi
    if dpi and orientation > 4:
        dpi = dpi[1], dpi[0]
    return dataclasses.replace(
        metadata,
        icc=icc,
        exif=exif,
        xmp=xmp,
        dpi=dpi,
        iptc=iptc,
        comments=comments,
        lost=tuple(dict.fromkeys(lost)),
    )


def descriptive(tags: Image.Exif) -> bytes:
    """Return EXIF data with only the tags that describe the photograph, not the file."""
    kept = Image.Exif()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about damage: whatever can be read is kept
        for tag in DESCRIPTIVE_TAGS:
            if tag in tags:
                kept[tag] = tags[tag]
        for directory in DESCRIPTIVE_DIRECTORIES:
            if entries := entries_of(tags, directory):
                kept[directory] = entries
        return kept.tobytes().removeprefix(exif_data.PREFIX) if len(kept) else b""


def entries_of(tags: Image.Exif, directory: int) -> dict[int, Any]:
    """Return a directory, and the one below it not by its place, which differs in a copy."""
    entries = dict(tags.get_ifd(directory))
    if exif_data.INTEROPERABILITY in entries:
        entries[exif_data.INTEROPERABILITY] = tags.get_ifd(exif_data.INTEROPERABILITY)
    return entries


def undescriptive(tags: Iterable[int]) -> list[str]:
    """Name the tags that `descriptive` leaves out and that describe more than the old file."""
    known = {*DESCRIPTIVE_TAGS, *DESCRIPTIVE_DIRECTORIES} | STRUCTURAL_TAGS
    others = sorted(set(tags) - known)
    return [f"TIFF tags {', '.join(map(str, others[:9]))}"] if others else []


def _bytes(value: object) -> bytes:
    """Return a tag's value as bytes; some files store it as 32-bit words."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, tuple):
        return b"".join(int(word).to_bytes(4, "little") for word in value)
    return value if isinstance(value, bytes) else b""


def upright(pixels: npt.NDArray[np.uint8], orientation: int) -> npt.NDArray[np.uint8]:
    """Turn and mirror pixels [h, w, ...] according to an EXIF orientation, 1 to 8 (EXIF 4.6.4)."""
    if orientation in (2, 4, 5, 7):  # mirrored; only a turn remains
        pixels = pixels[:, ::-1]
    quarter_turns = {3: 2, 4: 2, 5: 1, 6: 3, 7: 3, 8: 1}.get(orientation, 0)
    return np.rot90(pixels, quarter_turns)
