"""Files that were saved twice are told from those that were saved once."""

import io
import itertools
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from casjax.images.photographs import read_photograph
from casjax.restoration.choosing import choose_network, find_former_of
from casjax.restoration.options import Options

PICTURES = {
    "astronaut": skimage.data.astronaut()[40:290, 130:390],
    "cat": skimage.data.chelsea()[20:270, 60:310],
    "camera": skimage.data.camera()[60:310, 100:350],
}


def saved(pixels, quality, **options):
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "JPEG", quality=quality, **options)
    return file


def opened(file):
    return read_photograph(file.getvalue(), name="picture", max_pixels=10**7)


def twice(pixels, first, second, *, shift=(0, 0)):
    found = np.asarray(Image.open(saved(pixels, first)))
    return opened(saved(found[shift[0] :, shift[1] :], second))


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("quality", [5, 12, 25, 50, 75, 88, 95, 99])
def test_a_file_saved_once_raises_no_alarm(name, quality):
    assert find_former_of(opened(saved(PICTURES[name], quality))) is None


@pytest.mark.parametrize("quality", [60, 90, 97])
def test_drawings_saved_once_raise_no_alarm(quality, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent / "launch"))
    from drawings import drawings

    alarms = [
        name
        for name, pixels in drawings().items()
        if find_former_of(opened(saved(pixels, quality))) is not None
    ]
    assert alarms == []


@pytest.mark.parametrize(("mean", "deviation"), [(8, 1.5), (60, 2), (140, 2), (160, 3), (240, 1.5)])
@pytest.mark.parametrize("quality", [75, 92])
def test_a_flat_area_with_noise_raises_no_alarm(mean, deviation, quality):
    noise = np.random.default_rng(0).normal(mean, deviation, (200, 200))
    assert find_former_of(opened(saved(np.uint8(np.rint(noise).clip(0, 255)), quality))) is None


def test_a_night_sky_raises_no_alarm():
    night = np.random.default_rng(0).normal((9, 9, 14), 2, (250, 260, 3)).clip(0, 255)
    night[200:] = PICTURES["astronaut"][200:]
    assert find_former_of(opened(saved(np.uint8(night), 92))) is None


def test_enlarged_drawings_raise_no_alarm():
    sprite = np.random.default_rng(0).integers(40, 220, (30, 40, 3), np.uint8)
    assert find_former_of(opened(saved(sprite.repeat(8, 0).repeat(8, 1), 92))) is None


@pytest.mark.parametrize("quality", [75, 92])
def test_an_enlarged_picture_cut_off_the_grid_raises_no_alarm(quality):
    small = skimage.data.camera()[::8, ::8].clip(1, 254)
    assert find_former_of(opened(saved(small.repeat(16, 0).repeat(16, 1)[3:, 5:], quality))) is None


def test_who_asks_for_the_files_own_coefficients_gets_its_own_quality():
    photograph = twice(PICTURES["cat"], 20, 95, shift=(4, 4))
    assert choose_network(photograph, Options(model="cascnn-colour")).told == 20
    held = choose_network(photograph, Options(model="cascnn-colour", consistent=True))
    assert (held.told, held.grid, held.consistent) == (None, (0, 0), True)


# Much coarser files before, on any grid, and slightly coarser ones on another grid.
FORMER = [
    *itertools.product([(20, 95), (10, 50), (30, 85)], [(0, 0), (4, 4), (3, 1)]),
    *itertools.product([(30, 50), (40, 60)], [(4, 4), (3, 1), (0, 6)]),
]


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize(("qualities", "shift"), FORMER)
def test_a_coarser_file_before_is_found_with_its_grid(name, qualities, shift):
    first, second = qualities
    former = find_former_of(twice(PICTURES[name], first, second, shift=shift))
    assert former is not None
    assert abs(former.quality - first) <= 2
    assert former.grid == tuple(-rows % 8 for rows in shift)


def test_a_finer_file_before_does_not_matter():
    assert find_former_of(twice(PICTURES["cat"], 90, 30, shift=(4, 4))) is None
    assert find_former_of(twice(PICTURES["cat"], 50, 50)) is None


@pytest.mark.parametrize("shape", [(5, 9), (16, 16), (24, 300)])
def test_small_and_plain_pictures_tell_nothing(shape):
    assert find_former_of(opened(saved(PICTURES["cat"][: shape[0], : shape[1]], 90))) is None
    assert find_former_of(opened(saved(np.full((200, 200), 77, np.uint8), 90))) is None


def test_it_is_said_and_the_network_chosen_by_it():
    choice = choose_network(twice(PICTURES["cat"], 20, 95), Options(luma=True))
    assert choice.model == "cascnn-qf20"
    assert choice.quality.startswith(("20, and then 95", "19, and then 95", "21, and then 95"))
    assert choice.notes[-1] == "the pixels show that it was saved twice"
    assert not choice.consistent
    asked = choose_network(twice(PICTURES["cat"], 20, 95), Options(luma=True, qf=90))
    assert asked.quality == "90 as asked for"
    once = choose_network(opened(saved(PICTURES["cat"], 20)), Options(luma=True))
    assert once.notes == []


@pytest.mark.slow
def test_photographs_saved_once_raise_no_alarm(data_dir):
    """Crops of all images of LIVE1, at qualities 3 to 100."""
    generator = np.random.default_rng(0)
    alarms = []
    for path in sorted((data_dir / "live1").glob("*.png")):
        whole = np.asarray(Image.open(path))
        for quality in generator.integers(3, 101, 12):
            side = int(generator.integers(96, 400))
            top, left = generator.integers(0, (whole.shape[0] - 96, whole.shape[1] - 96))
            crop = whole[top : top + side, left : left + side]
            if found := find_former_of(opened(saved(crop, int(quality)))):
                alarms.append((path.name, top, left, side, quality, found))
    assert not alarms
