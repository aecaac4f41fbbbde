"""The quality of former JPEGs, told from pixels that libjpeg decoded."""

import io

import numpy as np
import pytest
import skimage.data
from PIL import Image

from casjax.restoration.traces import find_trace

COLOUR = skimage.data.astronaut()[:203, 100:300]
GREY = skimage.data.camera()[100:303, 180:381]


def find_quality(picture):
    trace = find_trace(picture)
    return trace.quality if trace else None


def decoded(picture, quality, **options):
    file = io.BytesIO()
    Image.fromarray(picture).save(file, format="JPEG", quality=quality, **options)
    return np.array(Image.open(file))


@pytest.mark.parametrize("picture", [COLOUR, GREY], ids=["colour", "grey"])
@pytest.mark.parametrize("quality", [5, 10, 30, 51, 80, 95])
def test_quality_is_found(picture, quality):
    assert find_quality(decoded(picture, quality)) == quality


def test_without_subsampling():
    assert find_quality(decoded(COLOUR, 40, subsampling="4:4:4")) == 40


@pytest.mark.parametrize("picture", [COLOUR, GREY], ids=["colour", "grey"])
def test_what_was_never_a_jpeg(picture):
    assert find_quality(picture) is None


def test_flat_areas_with_noise_and_enlarged_pixels_were_never_jpegs():
    noise = np.random.default_rng(0).normal(140, 0.5, (200, 200))
    assert find_quality(np.uint8(np.rint(noise))) is None
    assert find_quality(skimage.data.chelsea()[:36, :50].repeat(8, 0).repeat(8, 1)) is None


def test_what_was_changed_since():
    image = Image.fromarray(decoded(GREY, 30))
    assert find_quality(np.array(image.resize((150, 160)))) is None
    assert find_quality(np.array(image)[3:, 5:]) is None


@pytest.mark.parametrize(
    "picture",
    [
        np.full((64, 64), 77, np.uint8),
        np.tile(np.arange(20, 84, dtype=np.uint8), (64, 1)),
        np.where(np.indices((64, 64)).sum(0) // 5 % 2, 50, 200).astype(np.uint8),
        np.where(np.arange(64) % 8 < 4, np.full((64, 64), 40), 90).astype(np.uint8),
        np.zeros((64, 64, 3), np.uint8),
        np.ones((7, 100), np.uint8),
        np.ones((1, 1, 3), np.uint8),
    ],
    ids=["flat", "ramp", "diagonals", "stripes", "black", "low", "pixel"],
)
def test_drawings_and_what_is_too_small(picture):
    assert find_quality(picture) is None


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_live1(data_dir, mode):
    """Every image at 19 qualities, none missed and none farther off than 1; no false alarms."""
    paths = sorted((data_dir / "live1").glob("*.png"))
    assert len(paths) == 29
    for path in paths:
        clean = np.array(Image.open(path).convert(mode))
        assert find_quality(clean) is None, path.name
        for quality in range(5, 100, 5):
            found = find_quality(decoded(clean, quality))
            assert found is not None, (path.name, quality)
            assert abs(found - quality) <= 1, (path.name, quality)
