"""Writing restored photographs: PNG, JPEG, WebP and TIFF, with their metadata."""

import dataclasses
import io
import math
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from casjax.images import exif as exif_data
from casjax.images import iptc as iptc_data
from casjax.images import jpeg_metadata
from casjax.images.chunks import colours_in_words
from casjax.images.metadata import (
    COMMENT_TEXT,
    DESCRIPTIVE_DIRECTORIES,
    IPTC_TAG,
    RAW_PROFILE,
    XMP_TEXT,
    Metadata,
    descriptive,
    entries_of,
    undescriptive,
)

SUFFIXES = {"png": ".png", "jpeg": ".jpg", "webp": ".webp", "tiff": ".tif"}
FORMAT_OF_SUFFIX = {
    ".png": "png",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".webp": "webp",
    ".tif": "tiff",
    ".tiff": "tiff",
}
MAX_SIDES = {"jpeg": 65500, "webp": 16383}  # of libjpeg and libwebp
XMP_TAG = 700


def encode(
    pixels: npt.NDArray[np.uint8],
    *,
    alpha: npt.NDArray[np.uint8] | None,
    metadata: Metadata,
    file_format: str,
    quality: int | None,
    subsampling: str,
) -> tuple[bytes, list[str]]:
    """Return the bytes of an image file, and which metadata it cannot hold.

    Args:
      pixels: uint8 [h, w] (grey) or [h, w, 3] (RGB) in 0..255, upright.
      alpha: uint8 [h, w], or None.
      metadata: what to embed.
      file_format: one of `SUFFIXES`. PNG and TIFF are lossless.
      quality: of JPEG and WebP, 1..100; None is 95 for JPEG and lossless for WebP.
      subsampling: of JPEG's chroma: "4:4:4", "4:2:2" or "4:2:0".

    Raises:
      ValueError: the format cannot hold the picture: alpha in JPEG, more rows or columns than
        `MAX_SIDES`.
    """
    if file_format == "jpeg" and alpha is not None and (alpha == 255).all():
        alpha = None
    if file_format == "jpeg" and alpha is not None:
        raise ValueError("it is partly transparent, which JPEG cannot hold: choose another format")
    if max(pixels.shape[:2]) > MAX_SIDES.get(file_format, math.inf):
        raise ValueError(
            f"{file_format} files hold at most {MAX_SIDES[file_format]} rows and columns: "
            "choose another format"
        )
    image = Image.fromarray(pixels)
    if alpha is not None:
        image.putalpha(Image.fromarray(alpha))
    metadata, lost = held_by(file_format, metadata, is_grey=pixels.ndim == 2)
    exif: bytes | Image.Exif = exif_data.PREFIX + metadata.exif if metadata.exif else b""
    options: dict[str, Any]
    match file_format:
        case "png":
            options = {"pnginfo": _png_chunks(metadata)}
        case "jpeg":
            options = {"quality": quality or 95, "subsampling": subsampling, "xmp": metadata.xmp}
        case "webp":
            options = {"lossless": quality is None, "quality": quality or 80, "exact": True}
            options["xmp"] = metadata.xmp
        case "tiff":
            exif, not_kept = _tiff_tags(metadata)
            lost += not_kept
            # Pillow compresses TIFF with libtiff, which it cannot make write directories.
            is_compressed = not any(exif.get_ifd(tag) for tag in DESCRIPTIVE_DIRECTORIES)
            options = {"compression": "tiff_adobe_deflate" if is_compressed else None}
    options |= {"icc_profile": metadata.icc, "exif": exif, "dpi": metadata.dpi}
    file = io.BytesIO()
    image.save(file, format=file_format, **{name: v for name, v in options.items() if v})
    data = file.getvalue()
    if file_format == "jpeg":
        data = jpeg_metadata.with_segments(data, iptc=metadata.iptc, comments=metadata.comments)
    return data, lost


def held_by(file_format: str, metadata: Metadata, *, is_grey: bool) -> tuple[Metadata, list[str]]:
    """Return the metadata that a format can hold, and what it cannot, in words.

    PNG holds everything; JPEG what fits into segments of 64 kB, but no texts; WebP an ICC profile,
    EXIF and XMP; TIFF also IPTC. Only PNG defines colours by means other than ICC profiles.
    """
    lost: list[str] = []
    changed: dict[str, Any] = {}
    if file_format != "png":
        if metadata.texts:
            changed["texts"] = ()
            keywords = ", ".join(dict.fromkeys(keyword for keyword, _ in metadata.texts))
            lost.append(f"text ({keywords[:60]})")
        if (words := colours_in_words(metadata.colour)) and not metadata.icc:
            lost.append(f"{words}: its colours will look different")
    if file_format in ("webp", "tiff") and metadata.comments:
        changed["comments"] = ()
        lost.append("comment")
    if file_format == "webp":
        if metadata.dpi and not exif_data.read_resolution(metadata.exif):
            changed["exif"] = metadata.exif or _resolution_as_exif(metadata.dpi)
            lost += ["resolution"] if metadata.exif else []
        lost += ["IPTC"] if metadata.iptc else []
        changed["iptc"] = b""
        if is_grey and metadata.icc:  # WebP pixels are always RGB
            changed["icc"] = b""
            lost.append("ICC profile for grey")
    if file_format == "jpeg":
        resource = iptc_data.as_photoshop_resource(metadata.iptc)
        for name, content, prefix in (
            ("exif", metadata.exif, exif_data.PREFIX),
            ("xmp", metadata.xmp, jpeg_metadata.XMP),
            ("iptc", resource, iptc_data.PHOTOSHOP),
        ):
            if not jpeg_metadata.fits(content, prefix=prefix):
                changed[name] = b""
                lost.append(f"{name.upper()} of more than 64 kB")
        changed["comments"] = tuple(filter(jpeg_metadata.fits, metadata.comments))
        lost += ["comment of more than 64 kB"] * (changed["comments"] != metadata.comments)
    return dataclasses.replace(metadata, **changed), lost


def _resolution_as_exif(dpi: tuple[float, float]) -> bytes:
    tags = Image.Exif()
    tags[exif_data.X_RESOLUTION], tags[exif_data.Y_RESOLUTION] = dpi
    tags[exif_data.RESOLUTION_UNIT] = 2  # inches
    return tags.tobytes().removeprefix(exif_data.PREFIX)


def _png_chunks(metadata: Metadata) -> PngInfo:
    info = PngInfo()
    for name, body in metadata.colour.items():
        info.add(name, body)
    if metadata.xmp:
        info.add_itxt(XMP_TEXT, metadata.xmp.decode("utf-8", "replace"))
    if metadata.iptc:
        resource = iptc_data.as_photoshop_resource(metadata.iptc)
        text = iptc_data.to_raw_profile("iptc", resource)
        info.add_text(f"{RAW_PROFILE}iptc", text, zip=True)
    for comment in metadata.comments:
        info.add_text(COMMENT_TEXT, _decoded(comment))
    for keyword, text in metadata.texts:
        info.add_text(keyword, text)
    return info


def _decoded(comment: bytes) -> str:
    try:
        return comment.decode()
    except UnicodeDecodeError:
        return comment.decode("latin-1")


def _tiff_tags(metadata: Metadata) -> tuple[Image.Exif, list[str]]:
    """Return the tags of a TIFF file, and what they do not hold of the EXIF data, in words."""
    tags, lost = Image.Exif(), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about damaged EXIF: whatever can be read is kept
        try:
            tags.load(metadata.exif)
            lost = undescriptive(tags)
            tags.load(descriptive(tags))
            for directory in DESCRIPTIVE_DIRECTORIES:
                tags.get_ifd(directory).update(entries_of(tags, directory))
        except Exception:  # its reader may raise anything
            tags, lost = Image.Exif(), ["broken EXIF"]
    if metadata.xmp:
        tags[XMP_TAG] = metadata.xmp
    if metadata.iptc:
        tags[IPTC_TAG] = metadata.iptc
    return tags, lost
