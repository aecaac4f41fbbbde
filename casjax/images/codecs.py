"""Lossy codecs by name, and their effect on a picture."""

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

# How Pillow saves each, besides its quality. Colour is subsampled by default: JPEG's to 4:2:0.
CODECS: dict[str, dict[str, Any]] = {
    "jpeg": {"format": "JPEG"},
    "webp": {"format": "WEBP"},
    "jpeg2000": {"format": "JPEG2000", "irreversible": True, "quality_mode": "dB"},
    "avif": {"format": "AVIF"},
}
GREY: dict[str, dict[str, Any]] = {"avif": {"subsampling": "4:0:0"}}  # others tell by the mode


def compress(pixels: npt.NDArray[np.uint8], quality: int, *, codec: str) -> npt.NDArray[np.uint8]:
    """Save a picture with loss and read it back.

    WebP has colour only: a grey picture is saved as colour, in 8-bit YCbCr of limited range, and
    its luma of full range is read back.

    Args:
      pixels: uint8 [h, w] luma or [h, w, 3] RGB in 0..255.
      quality: 1..100; the quality factor of JPEG, WebP and AVIF; for JPEG 2000, the PSNR in dB
        that the encoder aims at.
      codec: one of `CODECS`.

    Returns:
      The picture as read back, in the shape of `pixels`.

    Raises:
      ValueError: there is no such codec or this build of Pillow lacks it, `pixels` is another
        kind of array, or `quality` is out of range.
    """
    file = encode(pixels, quality, codec=codec)
    return decode(file, codec=codec, in_colour=pixels.ndim == 3)


def encode(pixels: npt.NDArray[np.uint8], quality: int, *, codec: str) -> bytes:
    """Save a picture with loss and return the bytes of its file; see `compress`."""
    if codec not in CODECS:
        raise ValueError(f"codec {codec!r}: expected one of {', '.join(CODECS)}")
    is_picture = pixels.ndim == 2 or pixels.shape[2:] == (3,)
    if pixels.dtype != np.uint8 or not is_picture or not pixels.size:
        raise ValueError(
            f"expected uint8 [h, w] or [h, w, 3], got {pixels.dtype} {list(pixels.shape)}"
        )
    if not 1 <= quality <= 100:
        raise ValueError(f"{codec} quality must lie in 1..100, got {quality}")
    # JPEG 2000 has another name for its quality, because there is one for each layer.
    given = {"quality_layers": [int(quality)]} if codec == "jpeg2000" else {"quality": int(quality)}
    options = CODECS[codec] | given | (GREY.get(codec, {}) if pixels.ndim == 2 else {})
    file = io.BytesIO()
    try:
        Image.fromarray(pixels).save(file, **options)
    except (KeyError, OSError) as error:
        height, width, *_ = pixels.shape
        raise ValueError(
            f"Pillow cannot save {height}x{width} pixels as {options['format']}: {error}"
        ) from error
    return file.getvalue()


def decode(file: bytes, *, codec: str, in_colour: bool) -> npt.NDArray[np.uint8]:
    """Read back the result of `encode`: uint8 [h, w] luma or [h, w, 3] RGB in 0..255."""
    with Image.open(io.BytesIO(file), formats=[CODECS[codec]["format"]]) as image:
        return np.array(image.convert("RGB" if in_colour else "L"))
