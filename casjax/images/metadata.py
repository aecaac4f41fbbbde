"""What a photograph carries beside its pixels, and which way up it is."""

import dataclasses
import re
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

ORIENTATION = 0x0112
EXIF_PREFIX = b"Exif\0\0"
# Of a TIFF file's tags, and those of EXIF, these describe the photograph, the others the file.
DESCRIPTIVE_TAGS = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298)
DESCRIPTIVE_DIRECTORIES = (0x8769, 0x8825)  # Exif, GPS
XMP_ORIENTATION = re.compile(rb'(tiff:Orientation\s*(?:=\s*["\']|>)\s*)[1-8]')


@dataclasses.dataclass(frozen=True)
class Metadata:
    """Metadata as files hold it; empty where there is none.

    Attributes:
      icc: the ICC profile.
      exif: the EXIF data, from its TIFF header on.
      xmp: the XMP packet.
      dpi: horizontal and vertical resolution in pixels an inch.
    """

    icc: bytes = b""
    exif: bytes = b""
    xmp: bytes = b""
    dpi: tuple[float, float] | None = None

    def __str__(self) -> str:
        kinds = {"ICC profile": self.icc, "EXIF": self.exif, "XMP": self.xmp}
        return ", ".join(name for name, content in kinds.items() if content) or "no metadata"


def orientation_of(image: Image.Image) -> int:
    """Return the EXIF orientation of a loaded image in 1..8; 1, upright, if it has none."""
    orientation = image.getexif().get(ORIENTATION, 1)
    return orientation if orientation in range(1, 9) else 1


def read_metadata(image: Image.Image) -> Metadata:
    """Return the metadata of a loaded image, with the orientation set to upright."""
    exif = image.info.get("exif", b"").removeprefix(EXIF_PREFIX)
    if image.format == "TIFF":
        exif = descriptive(image.getexif())
    xmp = image.info.get("xmp", b"")
    dpi = image.info.get("dpi")
    return Metadata(
        image.info.get("icc_profile") or b"",
        _upright_exif(exif),
        XMP_ORIENTATION.sub(rb"\g<1>1", xmp.encode() if isinstance(xmp, str) else xmp),
        (float(dpi[0]), float(dpi[1])) if dpi and dpi[0] > 0 and dpi[1] > 0 else None,
    )


def descriptive(tags: Image.Exif) -> bytes:
    """Return EXIF data of those tags that describe a photograph, whatever file it is in."""
    kept = Image.Exif()
    for tag in DESCRIPTIVE_TAGS:
        if tag in tags:
            kept[tag] = tags[tag]
    for directory in DESCRIPTIVE_DIRECTORIES:
        if tags.get_ifd(directory):
            kept[directory] = tags.get_ifd(directory)
    return kept.tobytes().removeprefix(EXIF_PREFIX) if len(kept) else b""


def _upright_exif(exif: bytes) -> bytes:
    """Set the orientation in place: writing EXIF anew would break the notes that cameras add."""
    order: Any = {b"II*\0": "little", b"MM\0*": "big"}.get(exif[:4])
    if order is None:
        return exif
    start = int.from_bytes(exif[4:8], order)
    count = int.from_bytes(exif[start : start + 2], order)
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        if int.from_bytes(exif[entry : entry + 2], order) == ORIENTATION:
            upright = (1).to_bytes(2, order) + bytes(2)
            return exif[: entry + 8] + upright + exif[entry + 12 :]
    return exif


def upright(pixels: npt.NDArray[np.uint8], orientation: int) -> npt.NDArray[np.uint8]:
    """Turn and mirror pixels [h, w, ...] as an EXIF orientation of 1 to 8 asks for (EXIF 4.6.4)."""
    if orientation in (2, 4, 5, 7):  # mirrored; what is left to do is a turn
        pixels = pixels[:, ::-1]
    quarter_turns = {3: 2, 4: 2, 5: 1, 6: 3, 7: 3, 8: 1}.get(orientation, 0)
    return np.rot90(pixels, quarter_turns)
