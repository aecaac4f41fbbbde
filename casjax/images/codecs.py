"""Lossy codecs by name: what they leave of a picture, and in how many bits."""

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

# How each is to be saved, given its quality. Luma alone wherever the format can hold it so.
CODECS: dict[str, dict[str, Any]] = {
    "jpeg": {"format": "JPEG"},
    "webp": {"format": "WEBP"},
    "jpeg2000": {"format": "JPEG2000", "irreversible": True, "quality_mode": "dB"},
    "avif": {"format": "AVIF", "subsampling": "4:0:0"},
}


def compress(
    luma: npt.NDArray[np.uint8], quality: int, *, codec: str
) -> tuple[npt.NDArray[np.uint8], float]:
    """Save a picture with loss and read it back.

    WebP has colour only: a grey picture is saved as such, in 8-bit YCbCr of limited range, and
    what is read back is its luma of full range.

    Args:
      luma: uint8 [h, w] in 0..255.
      quality: 1..100; the quality factor of JPEG, WebP and AVIF, and of JPEG 2000 the PSNR in dB
        that its encoder aims at.
      codec: one of `CODECS`.

    Returns:
      The picture as it is read back, uint8 [h, w], and the size of its file, headers included, in
      bits per pixel.

    Raises:
      ValueError: there is no such codec or this build of Pillow is without it, `luma` is another
        kind of array, or `quality` is out of range.
    """
    file = encode(luma, quality, codec=codec)
    return decode(file, codec=codec), 8 * len(file) / luma.size


def encode(luma: npt.NDArray[np.uint8], quality: int, *, codec: str) -> bytes:
    """Save a picture with loss: the bytes of its file. As `compress`, which see."""
    if codec not in CODECS:
        raise ValueError(f"codec {codec!r}: expected one of {', '.join(CODECS)}")
    if luma.dtype != np.uint8 or luma.ndim != 2 or not luma.size:
        raise ValueError(f"expected uint8 [h, w], got {luma.dtype} {list(luma.shape)}")
    if not 1 <= quality <= 100:
        raise ValueError(f"{codec} quality must lie in 1..100, got {quality}")
    # JPEG 2000 names its quality differently, having many: one for each layer.
    given = {"quality_layers": [int(quality)]} if codec == "jpeg2000" else {"quality": int(quality)}
    options = CODECS[codec] | given
    file = io.BytesIO()
    try:
        Image.fromarray(luma).save(file, **options)
    except (KeyError, OSError) as error:
        height, width = luma.shape
        raise ValueError(
            f"Pillow cannot save {height}x{width} pixels as {options['format']}: {error}"
        ) from error
    return file.getvalue()


def decode(file: bytes, *, codec: str) -> npt.NDArray[np.uint8]:
    """Read back what `encode` made: uint8 [h, w] luma in 0..255."""
    with Image.open(io.BytesIO(file), formats=[CODECS[codec]["format"]]) as image:
        return np.array(image.convert("L"))
