"""Restored photographs as files: PNG, JPEG, WebP and TIFF, with their metadata."""

import io
import math
import os
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from casjax.files import replacing
from casjax.images.metadata import DESCRIPTIVE_DIRECTORIES, EXIF_PREFIX, Metadata, descriptive

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
) -> bytes:
    """Return the bytes of an image file.

    Args:
      pixels: uint8 [h, w] (grey) or [h, w, 3] (RGB) in 0..255, upright.
      alpha: uint8 [h, w], or None.
      metadata: what to embed.
      file_format: one of `SUFFIXES`. PNG and TIFF are without loss.
      quality: of JPEG and WebP, 1..100; None is 95 for JPEG and without loss for WebP.
      subsampling: of JPEG's chroma: "4:4:4", "4:2:2" or "4:2:0".

    Raises:
      ValueError: the format cannot hold the picture: alpha in JPEG, EXIF data or an XMP packet of
        more than 64 kB in JPEG, more rows or columns than `MAX_SIDES`.
    """
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
    exif: bytes | Image.Exif = EXIF_PREFIX + metadata.exif if metadata.exif else b""
    options: dict[str, Any]
    match file_format:
        case "png":
            options = {"pnginfo": _png_text(metadata.xmp)}
        case "jpeg":
            options = {"quality": quality or 95, "subsampling": subsampling, "xmp": metadata.xmp}
            options["optimize"] = True
        case "webp":
            options = {"lossless": quality is None, "quality": quality or 80, "exact": True}
            options["xmp"] = metadata.xmp
        case "tiff":
            exif = _tiff_tags(metadata)
            # Pillow compresses TIFF by libtiff, and cannot have that write directories.
            is_compressed = not any(exif.get_ifd(tag) for tag in DESCRIPTIVE_DIRECTORIES)
            options = {"compression": "tiff_adobe_deflate" if is_compressed else None}
    options |= {"icc_profile": metadata.icc, "exif": exif, "dpi": metadata.dpi}
    file = io.BytesIO()
    image.save(file, format=file_format, **{name: v for name, v in options.items() if v})
    return file.getvalue()


def _png_text(xmp: bytes) -> PngInfo | None:
    if not xmp:
        return None
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", xmp.decode("utf-8", "replace"))
    return info


def _tiff_tags(metadata: Metadata) -> Image.Exif:
    tags = Image.Exif()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on EXIF that is damaged: what can be read of it is kept
        tags.load(metadata.exif)
        tags.load(descriptive(tags))
    if metadata.xmp:
        tags[XMP_TAG] = metadata.xmp
    return tags


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file, which gets its name only when it is complete."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)
