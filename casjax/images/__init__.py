"""Image files: the only package that uses Pillow.

Only the formats in `FORMATS` are opened, so that no file, whatever its name, reaches a decoder that
starts other programs, as the EPS decoder does. Pillow's limit on decompression bombs stays on, but
in `photographs`, which has one of its own.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from casjax.color import is_grey, rgb_to_luma
from casjax.files import replacing
from casjax.images.kinds import find_files

FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP")


class UnreadableImageError(ValueError):
    """A file that cannot be used as an image; the message is one line with its path and reason."""


def read_luma(file: str | os.PathLike[str] | BinaryIO, *, name: str = "") -> npt.NDArray[np.uint8]:
    """Read the luma of an image file.

    A grey image is taken as it is, even if it is stored as colour with three equal channels.
    Colour becomes luma by `rgb_to_luma`. Of 16 bits the upper eight are kept, and of several frames
    the first. Transparency is dropped, CMYK is converted without its ink profile, and the EXIF
    orientation is not applied: for cut-outs it does not matter which side is up.

    Args:
      file: its path, or its bytes as an open file.
      name: what to call it in errors, where it has no path.

    Returns:
      uint8 [h, w] in 0..255.

    Raises:
      FileNotFoundError: there is no such file.
      UnreadableImageError: the file is of another kind, damaged or cut short, has more than 179
        million pixels (Pillow's limit), or holds 32-bit values, whose range is unknown.
    """
    return _read(file, _luma, name)


def read_rgb(file: str | os.PathLike[str] | BinaryIO, *, name: str = "") -> npt.NDArray[np.uint8]:
    """Read the colours of an image file, as `read_luma` reads its luma.

    Returns:
      uint8 [h, w, 3] RGB in 0..255; for a grey image, three equal channels.
    """
    return _read(file, _rgb, name)


# By the number of channels.
READERS = {1: read_luma, 3: read_rgb}


def _read(
    file: str | os.PathLike[str] | BinaryIO,
    pixels_of: Callable[[Image.Image], npt.NDArray[np.uint8]],
    name: str,
) -> npt.NDArray[np.uint8]:
    try:
        with Image.open(file, formats=decodable_formats()) as image:
            return pixels_of(image)
    except FileNotFoundError:
        raise
    except Exception as error:  # on damaged files decoders may raise anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UnreadableImageError(f"{name or file}: unreadable image: {reason}") from error


def decodable_formats() -> tuple[str, ...]:
    """Return the formats in `FORMATS` that this build of Pillow supports."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _luma(image: Image.Image) -> npt.NDArray[np.uint8]:
    pixels = _pixels(image)
    if pixels.ndim == 2:
        return pixels
    return pixels[..., 0] if is_grey(pixels) else rgb_to_luma(pixels)


def _rgb(image: Image.Image) -> npt.NDArray[np.uint8]:
    pixels = _pixels(image)
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)


def _pixels(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Decode to grey [h, w] or RGB [h, w, 3], whichever is stored."""
    match image.mode:
        case "L":
            return np.array(image)
        case "1" | "LA":
            return np.array(image.convert("L"))
        case "I;16" | "I;16L" | "I;16B" | "I;16N":
            return (np.array(image) >> 8).astype(np.uint8)
        case "I" | "F":
            raise ValueError(f"its pixels have 32 bits (mode {image.mode}), expected 8 or 16")
        case "P" | "PA":
            return np.array(image.convert("RGBA"))[..., :3]
        case _:
            return np.array(image.convert("RGB"))


def find_images(
    folder: str | os.PathLike[str], *, unreadable: dict[str, str] | None = None
) -> list[Path]:
    """Return the image files in a folder and all folders below it, sorted; see `kinds.find_files`.

    Args:
      folder: where to search.
      unreadable: receives folders that cannot be listed, each with the reason; None to raise.

    Raises:
      FileNotFoundError: `folder` is not a folder.
      OSError: a folder below it cannot be listed, and `unreadable` is None.
    """
    if not Path(folder).is_dir():
        raise FileNotFoundError(f"{os.fspath(folder)}: no such folder, expected one with images")
    return sorted(find_files(folder, formats=decodable_formats(), unreadable=unreadable))


def write_png(
    path: str | os.PathLike[str], pixels: npt.NDArray[np.uint8], *, icc: bytes = b""
) -> None:
    """Write pixels as a PNG file, replacing any existing file.

    The file gets its name only when it is complete: a call that fails leaves the old one, or none.

    Args:
      path: where to write, in a folder that exists.
      pixels: uint8 [h, w] (grey) or [h, w, 3] (RGB) in 0..255.
      icc: the profile of its colours; none is sRGB.

    Raises:
      ValueError: `pixels` is another kind of array.
    """
    if pixels.dtype != np.uint8 or (pixels.ndim != 2 and pixels.shape[2:] != (3,)):
        raise ValueError(
            f"{os.fspath(path)}: expected uint8 [h, w] or [h, w, 3], "
            f"got {pixels.dtype} {list(pixels.shape)}"
        )
    with replacing(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG", icc_profile=icc or None)
