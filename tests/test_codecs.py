"""Codecs by name, against files that Pillow writes and JPEG as the device computes it."""

import io

import numpy as np
import pytest
from PIL import Image
from skimage import data

from casjax import jpeg
from casjax.images.codecs import CODECS, compress, encode

LUMA = data.camera()[64:192, 100:260]


def decibels(image):
    return 10 * np.log10(255**2 / np.mean((np.float64(image) - LUMA) ** 2))


def saved(**options):
    file = io.BytesIO()
    Image.fromarray(LUMA).save(file, **options)
    return file


def test_jpeg_is_the_one_that_the_device_computes():
    decoded = compress(LUMA, 20, codec="jpeg")
    on_device = jpeg.degrade(LUMA[None, :, :, None], 20)
    np.testing.assert_array_equal(decoded, np.asarray(on_device)[0, ..., 0])


@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("jpeg", {"quality": 30}),
        ("webp", {"quality": 30}),
        ("jpeg2000", {"quality_mode": "dB", "quality_layers": [30], "irreversible": True}),
        ("avif", {"quality": 30, "subsampling": "4:0:0"}),
    ],
)
def test_files_are_pillows(codec, options):
    assert encode(LUMA, 30, codec=codec) == saved(format=codec, **options).getvalue()


@pytest.mark.parametrize("codec", CODECS)
def test_a_higher_quality_takes_more_bits_and_is_nearer(codec):
    low, high = (compress(LUMA, quality, codec=codec) for quality in (25, 38))
    few, many = (len(encode(LUMA, quality, codec=codec)) for quality in (25, 38))
    assert low.dtype == high.dtype == np.uint8
    assert low.shape == high.shape == LUMA.shape
    assert 0 < few < many < LUMA.nbytes
    assert 20 < decibels(low) < decibels(high)


@pytest.mark.parametrize("codec", CODECS)
def test_colour_stays_colour(codec):
    rgb = data.astronaut()[:64, 200:300]
    decoded = compress(rgb, 38, codec=codec)
    assert decoded.shape == rgb.shape
    assert np.abs(decoded.astype(int) - rgb).mean() < 8
    grey = np.ascontiguousarray(rgb[..., 1])
    assert len(encode(rgb, 38, codec=codec)) > len(encode(grey, 38, codec=codec))


def test_colour_of_jpeg_is_the_one_that_the_device_computes():
    rgb = data.astronaut()[:61, 200:299]
    decoded = compress(rgb, 20, codec="jpeg")
    tables = jpeg.quantization_tables(20)
    assert np.array_equal(jpeg.degrade_rgb(rgb[None], tables, sampling="4:2:0")[0], decoded)


def test_jpeg_2000_has_its_quality_in_decibels():
    assert decibels(compress(LUMA, 30, codec="jpeg2000")) == pytest.approx(30, abs=0.7)


@pytest.mark.parametrize("codec", CODECS)
def test_grey_levels_keep_their_range(codec):
    for level in (0, 128, 255):
        decoded = compress(np.full((48, 48), level, np.uint8), 90, codec=codec)
        np.testing.assert_allclose(decoded, level, atol=2)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="codec 'jpg': expected one of jpeg, webp"):
        compress(LUMA, 20, codec="jpg")
    for quality in (0, 101):
        with pytest.raises(ValueError, match=r"1\.\.100"):
            compress(LUMA, quality, codec="jpeg")
    for other in (LUMA / 255, LUMA[:0], LUMA[..., None]):
        with pytest.raises(ValueError, match="expected uint8"):
            compress(other, 20, codec="webp")


def test_a_codec_that_pillow_lacks_is_named(monkeypatch):
    monkeypatch.delitem(Image.SAVE, "AVIF")
    with pytest.raises(ValueError, match="Pillow cannot save 128x160 pixels as AVIF"):
        compress(LUMA, 20, codec="avif")
