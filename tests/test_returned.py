"""What other programs write, against arrays that are written by Pillow."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from casjax.images.returned import read_returned

GREY = np.random.default_rng(0).integers(0, 256, (5, 7), np.uint8)
RGB = np.random.default_rng(1).integers(0, 256, (5, 7, 3), np.uint8)


def written(pixels, kind, mode=None):
    file = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "PPM", "TIFF"])
@pytest.mark.parametrize("pixels", [GREY, RGB], ids=["grey", "rgb"])
def test_pixels_come_back(kind, pixels):
    np.testing.assert_array_equal(read_returned(written(pixels, kind)), pixels)


@pytest.mark.parametrize("mode", ["LA", "RGBA", "P"])
def test_opaque_alpha_and_palettes_are_grey(mode):
    np.testing.assert_array_equal(read_returned(written(GREY, "PNG", mode)), GREY)


def test_sixteen_bits_of_grey_are_rounded():
    deep = np.uint16([[0, 128, 129, 257 * 200 + 128, 257 * 200 + 129, 65535]])
    found = read_returned(written(deep, "PNG"))
    np.testing.assert_array_equal(found, [[0, 0, 1, 200, 201, 255]])


def test_what_eight_bits_would_not_hold_is_refused():
    half = np.dstack([RGB, np.full((5, 7), 128, np.uint8)])
    with pytest.raises(ValueError, match="transparent"):
        read_returned(written(half, "PNG"))
    with pytest.raises(ValueError, match="kind F"):
        read_returned(written(np.float32(GREY), "TIFF"))
    with pytest.raises(ValueError, match="16 bits of each colour"):
        read_returned(deep_png(np.uint16(RGB) * 257))


def deep_png(rgb):
    """A PNG file of uint16 [h, w, 3], which Pillow cannot write."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in rgb)
    head = struct.pack(">IIBBBBB", rgb.shape[1], rgb.shape[0], 16, 2, 0, 0, 0)
    chunks = {b"IHDR": head, b"IDAT": zlib.compress(rows), b"IEND": b""}
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks.items()
    )


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (b"", "not a PNG, PNM, JPEG or TIFF file"),
        (b"none", "not a PNG, PNM, JPEG or TIFF file"),
        (written(GREY, "PNG")[:60], "truncated"),
        (written(GREY, "BMP"), "not a PNG, PNM, JPEG or TIFF file"),
    ],
)
def test_what_is_no_picture_is_said(file, message):
    with pytest.raises(ValueError, match=message):
        read_returned(file)
