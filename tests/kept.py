"""What of a file's metadata is in its restored copy, for each pair of formats, as a table.

    python tests/kept.py > docs/kept.md

Files are made here with all that their format can hold; no network takes part.
"""

import dataclasses
import functools
import io
from typing import Any

import numpy as np
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from casjax.images.exif import PREFIX
from casjax.images.iptc import as_photoshop_resource, to_raw_profile
from casjax.images.jpeg_metadata import with_segments
from casjax.images.metadata import upright
from casjax.images.photographs import Photograph, read_photograph
from casjax.images.writing import SUFFIXES, encode

RESULTS = tuple(SUFFIXES)
GREY_PROFILE = (
    b"\0\0\0\x80lcms\4\x30\0\0mntrGRAYXYZ " + bytes(12) + b"acsp" + bytes(88)
)  # as little as tells its kind
TITLE = b"\x1c\x02\x05\0\x05Title"
DENSITY = 200
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/" dc:source="attic"/>'
    b"</rdf:RDF></x:xmpmeta>"
)
# What each format can hold. PNG says colours in two ways, of which one is enough.
HOLDS = {
    "JPEG": ("ICC profile", "EXIF", "XMP", "IPTC", "comment", "resolution"),
    "PNG": ("ICC profile", "EXIF", "XMP", "IPTC", "comment", "text", "resolution", "gamma"),
    "TIFF": ("ICC profile", "EXIF", "XMP", "IPTC", "resolution", "Windows tags"),
    "WEBP": ("ICC profile", "EXIF", "XMP"),
    "AVIF": ("ICC profile", "EXIF", "XMP"),
    "GIF": ("comment",),
    "JPEG2000": (),
    "BMP": ("resolution",),
}
MODES = {
    "JPEG": ("L", "RGB"),
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA"),
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA"),
    "WEBP": ("RGB", "RGBA"),
    "AVIF": ("RGB", "RGBA"),
    "GIF": ("L", "P"),
    "JPEG2000": ("L", "RGB", "RGBA"),
    "BMP": ("1", "L", "P", "RGB"),
}
WORDS = {"gamma": "gamma", "text": "text (", "Windows tags": "EXIF"}


@functools.cache
def colour_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@dataclasses.dataclass(frozen=True)
class Source:
    """A file to make: its format, kind of pixels, what it holds, and which way it lies."""

    file_format: str
    mode: str
    holds: frozenset[str]
    orientation: int = 1

    @property
    def profile(self) -> bytes:
        return GREY_PROFILE if self.mode in ("1", "L", "LA") else colour_profile()

    def image(self) -> Image.Image:
        rows, columns = np.mgrid[:24, :40]
        colour = np.stack([6 * rows, 5 * columns, 3 * rows + 2 * columns], -1).astype(np.uint8)
        image = Image.fromarray(colour)
        if self.mode in ("LA", "RGBA"):
            image.putalpha(Image.fromarray(colour[..., 1]))
        return image.convert(self.mode)

    def make(self) -> bytes:
        """The bytes of the file."""
        options: dict[str, Any] = {}
        exif = self._exif()
        if "ICC profile" in self.holds:
            options["icc_profile"] = self.profile
        if "XMP" in self.holds and self.file_format in ("JPEG", "WEBP", "AVIF"):
            options["xmp"] = XMP
        if "resolution" in self.holds:
            options["dpi"] = DENSITY, DENSITY / 2
        match self.file_format:
            case "TIFF":
                if "XMP" in self.holds:
                    exif[700] = XMP
                if "IPTC" in self.holds:
                    exif[0x83BB] = TITLE
            case "PNG":
                options["pnginfo"] = self._chunks()
            case "WEBP":
                options |= {"lossless": True, "exact": True}
            case "JPEG":
                options |= {"quality": 90}
            case "GIF" if "comment" in self.holds:
                options["comment"] = b"a comment"
        if len(exif):
            options["exif"] = exif.tobytes()
        file = io.BytesIO()
        self.image().save(file, format=self.file_format, **options)
        if self.file_format != "JPEG":
            return file.getvalue()
        comments = (b"a comment",) if "comment" in self.holds else ()
        iptc = TITLE if "IPTC" in self.holds else b""
        return with_segments(file.getvalue(), iptc=iptc, comments=comments)

    def _exif(self) -> Image.Exif:
        exif = Image.Exif()
        if "EXIF" in self.holds:
            exif[0x010F] = "a camera"
            exif.get_ifd(0x8769)[0x829A] = 0.5  # exposure time
        if "Windows tags" in self.holds:
            exif[0x9C9B] = "Title".encode("utf-16-le")
        if self.orientation != 1:
            exif[0x0112] = self.orientation
        return exif

    def _chunks(self) -> PngInfo:
        info = PngInfo()
        if "gamma" in self.holds:
            info.add(b"gAMA", (100000).to_bytes(4, "big"))
        if "XMP" in self.holds:
            info.add_itxt("XML:com.adobe.xmp", XMP.decode())
        if "IPTC" in self.holds:
            profile = to_raw_profile("iptc", as_photoshop_resource(TITLE))
            info.add_text("Raw profile type iptc", profile, zip=True)
        if "comment" in self.holds:
            info.add_text("Comment", "a comment")
        if "text" in self.holds:
            info.add_text("Author", "me")
        return info


@dataclasses.dataclass(frozen=True)
class Copy:
    """What became of a file: the photograph that was read, its copy, and what was said."""

    photograph: Photograph
    result: Photograph
    said: list[str]


def copy(source: Source, file_format: str) -> Copy:
    """Read a file and write its copy, as the command does, with no network in between."""
    photograph = read_photograph(source.make(), name="source", max_pixels=10**6)
    pixels = photograph.pixels
    if photograph.coding == "YCbCr":
        pixels = np.array(Image.fromarray(pixels, "YCbCr").convert("RGB"))
    alpha = photograph.alpha
    data, lost = encode(
        upright(pixels, photograph.orientation),
        alpha=None if alpha is None else upright(alpha, photograph.orientation),
        metadata=photograph.metadata,
        file_format=file_format,
        quality=None,
        subsampling="4:4:4",
    )
    result = read_photograph(data, name="result", max_pixels=10**6)
    return Copy(photograph, result, [*photograph.metadata.lost, *lost])


def fate(what: str, source: Source, made: Copy) -> str:
    """Return `kept`, `named` where the command says that it is gone, or `lost`."""
    metadata = made.result.metadata
    tags = Image.Exif()
    tags.load(PREFIX + metadata.exif if metadata.exif else b"")
    exposure = tags.get_ifd(0x8769).get(0x829A)
    dpi = metadata.dpi or (0, 0)
    is_turned = source.orientation > 4
    expected = (DENSITY / 2, DENSITY) if is_turned else (DENSITY, DENSITY / 2)
    is_kept = {
        "ICC profile": lambda: metadata.icc == source.profile,
        "EXIF": lambda: (tags.get(0x010F), exposure) == ("a camera", 0.5),
        "Windows tags": lambda: tags.get(0x9C9B) == "Title".encode("utf-16-le"),
        "XMP": lambda: metadata.xmp == XMP,
        "IPTC": lambda: metadata.iptc == TITLE,
        "comment": lambda: metadata.comments == (b"a comment",),
        "text": lambda: metadata.texts == (("Author", "me"),),
        "resolution": lambda: np.allclose(dpi, expected, rtol=0.01),
        "gamma": lambda: metadata.colour.get(b"gAMA") == (100000).to_bytes(4, "big"),
    }
    if is_kept[what]():
        return "kept"
    return "named" if any(WORDS.get(what, what) in words for words in made.said) else "lost"


def table() -> str:
    """The page, in Markdown."""
    lines = [
        "# What is kept",
        "",
        "What a restored copy keeps of its file, for each pair of formats. *Kept* is unchanged;",
        "*named* is left out, because the format of the copy cannot hold it, and reported in the",
        "output. Made with `python tests/kept.py > docs/kept.md`; a test compares.",
        "",
        "| file | what | " + " | ".join(f"to {name}" for name in RESULTS) + " |",
        "|---|---|" + "---|" * len(RESULTS),
    ]
    for file_format, holds in HOLDS.items():
        for what in holds:
            source = Source(file_format, MODES[file_format][-1][:3], frozenset({what}))
            fates = [fate(what, source, copy(source, result)) for result in RESULTS]
            lines.append(f"| {file_format} | {what} | {' | '.join(fates)} |")
    return "\n".join([*lines, "", *REMARKS, ""])


REMARKS = """
For JPEG 2000 files the ICC profile and comments are kept. In EXIF data, whatever describes the old
file is corrected or removed: orientation (pixels are turned upright), sizes, thumbnail, previews,
compression, subject areas of turned pictures; likewise in XMP, including motion photos, gain maps
and depth maps, which are not in the copy and are named. ICC profiles that are broken, or do not fit
the copy's pixels, are left out and named, as is all other metadata that cannot be read: it never
prevents restoring the picture. So are other application segments of JPEG files, such as thermal
data and content credentials, and unknown chunks of PNG files. Of Photoshop's resources only IPTC is
kept; the others, such as paths and previews, are not mentioned, nor is what AVIF and JPEG 2000
files hold besides. TIFF files get EXIF data written anew, in which maker notes, whose offsets are
their own, may no longer be readable. A resolution outside 1 to 65,535 per inch is dropped.
`--strip` keeps ICC profiles and PNG's chunks that define the colours; Adobe RGB that only EXIF data
tells of is named.

| pixels | result |
|---|---|
| grey, RGB, palette, black and white | 8-bit grey or RGB in every format; WebP only RGB |
| transparency | alpha in PNG, WebP and TIFF; refused for JPEG |
| more than 8 bits per sample | refused |
| CMYK, XYB | sRGB, converted with the file's ICC profile and reported; refused without one |
| several pictures in a file | refused, except the first of MPO; `--frames` restores others |
""".strip().splitlines()


if __name__ == "__main__":
    print(table(), end="")
