"""What no network may change, with networks that change everything."""

import io
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from casjax.images.photographs import read_photograph
from casjax.restoration import safeguard
from casjax.restoration.choosing import choose_network
from casjax.restoration.limits import limits_of
from casjax.restoration.luma import restore_pixels
from casjax.restoration.options import Options
from casjax.restoration.restoring import shown
from casjax.restoration.safeguard import is_plain_drawing

PHOTOGRAPH = skimage.data.astronaut()[40:131, 200:313]


def noisy(pictures):
    """Changes all by up to 9 levels, up and down."""
    change = np.random.default_rng(0).integers(-9, 10, pictures.shape)
    return np.clip(pictures + change, 0, 255).astype(np.uint8)


def jpeg(picture, **options):
    file = io.BytesIO()
    Image.fromarray(picture).save(file, format="JPEG", **({"quality": 30} | options))
    return read_photograph(file.getvalue(), name="test", max_pixels=10**6)


def png(picture):
    file = io.BytesIO()
    Image.fromarray(picture).save(file, format="PNG")
    return read_photograph(file.getvalue(), name="test", max_pixels=10**6)


def restored(photograph, *, consistent=False):
    return restore_pixels(
        photograph.pixels,
        noisy,
        coding=photograph.coding,
        chroma=True,
        components=limits_of(photograph) if photograph.has_steps else [],
        consistent=consistent,
        ensemble=False,
        strength=1,
        grid=(0, 0),
    )


def pure_blocks(picture):
    """Blocks of 8 x 8 pixels, those cut off by the borders too, that are pure throughout."""
    is_pure = (picture == 0) | (picture == 255)
    is_pure = is_pure if picture.ndim == 2 else is_pure.all(-1)
    marked = np.zeros_like(is_pure)
    for row in range(0, len(is_pure), 8):
        for column in range(0, is_pure.shape[1], 8):
            block = np.s_[row : row + 8, column : column + 8]
            marked[block] = is_pure[block].all()
    return marked


@pytest.mark.parametrize("level", [0, 255])
@pytest.mark.parametrize(("make", "consistent"), [(jpeg, False), (jpeg, True), (png, False)])
@pytest.mark.parametrize("is_grey", [False, True])
@pytest.mark.parametrize("shape", [(203, 301), (600, 64)])
def test_a_product_stays_on_its_background(level, make, is_grey, consistent, shape):
    """All pure blocks, at the object's border and the picture's; over several strips of rows."""
    picture = np.full((*shape, 3), level, np.uint8)
    picture[37:128, 9:60] = PHOTOGRAPH[:, :51]
    photograph = make(picture[..., 0] if is_grey else picture)
    before = shown(photograph)
    after = restored(photograph, consistent=consistent)
    kept = pure_blocks(before)
    assert kept.mean() > 0.5
    assert np.array_equal(after[kept], before[kept])
    assert not np.array_equal(after[~kept], before[~kept])


@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 255, 255), (255, 255, 0)])
def test_pure_colours_stay(colour):
    picture = np.full((64, 64, 3), colour, np.uint8)
    picture[:16] = PHOTOGRAPH[:16, :64]
    assert (restored(png(picture))[16:] == colour).all()


def test_black_and_white_text_stays():
    text = (np.random.default_rng(1).random((64, 64)) > 0.5).astype(np.uint8) * 255
    assert np.array_equal(restored(png(text)), text)


def test_pure_pixels_amid_others_may_change_but_not_slightly():
    picture = np.full((32, 32), 99, np.uint8)
    picture[::4, ::4] = 255
    after = restored(png(picture))
    change = 255 - after[::4, ::4].astype(int)
    assert change.any()
    assert not ((change > 0) & (change <= safeguard.SLIGHTLY)).any()


@pytest.mark.parametrize("make", [jpeg, png])
def test_grey_stored_as_colour_stays_grey(make):
    grey = np.repeat(PHOTOGRAPH[..., :1], 3, axis=-1)
    after = restored(make(grey)).astype(int)
    assert (after == after[..., :1]).all()
    assert not np.array_equal(after, grey)


def test_grey_parts_of_a_picture_in_colour_stay_grey():
    picture = PHOTOGRAPH.copy()
    picture[:, 48:] = picture[:, 48:, :1]
    after = restored(jpeg(picture, subsampling="4:4:4")).astype(int)
    assert (after[:, 48:] == after[:, 48:, :1]).all()
    assert (after[:, :48] != after[:, :48, :1]).any()


@pytest.mark.parametrize("quality", [30, 60, 88])
def test_plain_drawings_are_told_from_other_pictures(quality, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent / "launch"))
    from drawings import drawings

    pictures = drawings() | {"astronaut": skimage.data.astronaut(), "cat": skimage.data.chelsea()}
    found = []
    for name, pixels in pictures.items():
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=quality)
        photograph = read_photograph(file.getvalue(), name=name, max_pixels=10**7)
        if is_plain_drawing(np.atleast_3d(photograph.pixels)[..., 0]):
            found.append(name)
            choice = choose_network(photograph, Options())
            assert choice.method == "none"
    assert found == ["diagram-1", "diagram-2", "diagram-3"]


@pytest.mark.parametrize("shape", [(3, 5), (8, 8), (64, 64)])
def test_flat_and_tiny_pictures_are_no_plain_drawings(shape):
    assert not is_plain_drawing(np.full(shape, 9, np.uint8))
