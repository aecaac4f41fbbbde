"""A photograph in colour restored in one pass: what is kept, and what the network is told."""

import io

import numpy as np
import pytest
import skimage.data
from PIL import Image

from casjax import jpeg
from casjax.color import rgb_to_ycbcr, ycbcr_to_rgb
from casjax.images.photographs import read_photograph
from casjax.networks import pretrained
from casjax.networks.consistency import project
from casjax.restoration.choosing import choose_network
from casjax.restoration.colour import restore_pixels, tables_of
from casjax.restoration.limits import limits_of
from casjax.restoration.options import Options
from casjax.restoration.restoring import shown

SHAPE = (61, 83)


def clean_picture():
    """Smooth colours and some noise, without pure black or white: uint8 RGB."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    waves = np.stack([np.sin(x / 9), np.cos(y / 7), np.sin((x + y) / 12)], axis=-1)
    noise = np.random.default_rng(0).normal(0, 4, (*SHAPE, 3))
    return (128 + 70 * waves + noise).astype(np.uint8)


def photograph_of(pixels, **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, **{"format": "JPEG", "quality": 30} | options)
    return read_photograph(file.getvalue(), name="picture", max_pixels=10**8)


def restore(photograph, restorer, *, quality=None, consistent=False, ensemble=False, strength=1):
    return restore_pixels(
        photograph.pixels,
        restorer,
        coding=photograph.coding,
        tables=tables_of(photograph, quality),
        limits=limits_of(photograph) if consistent else [],
        ensemble=ensemble,
        strength=strength,
        grid=(0, 0),
    )


def nothing(planes, tables):
    return np.zeros(planes.shape, np.float16)


def to_luma_of(clean):
    """A restorer that knows the clean picture."""
    wanted = rgb_to_ycbcr(clean)
    return lambda planes, tables: (wanted[None] - planes).astype(np.float16)


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_no_change_gives_the_picture_back(subsampling):
    clean = clean_picture()
    found = restore(photograph_of(clean, subsampling=subsampling), nothing)
    file = io.BytesIO()
    Image.fromarray(clean).save(file, "JPEG", quality=30, subsampling=subsampling)
    np.testing.assert_array_equal(found, np.asarray(Image.open(file)))


@pytest.mark.parametrize("options", [{"subsampling": "4:2:0"}, {"format": "PNG"}])
def test_strength_blends(options):
    def brighten(planes, tables):
        return np.full(planes.shape, (40, 0, 0), np.float16)

    photograph = photograph_of(clean_picture() // 2 + 50, **options)
    none, half, all_of_it = (
        restore(photograph, brighten, quality=30, strength=s) for s in (0, 0.5, 1)
    )
    np.testing.assert_array_equal(none, shown(photograph))
    assert np.abs(half.astype(int) - none - 20).max() <= 1
    assert np.abs(all_of_it.astype(int) - none - 40).max() <= 1


def test_no_change_gives_grey_and_lossless_pictures_back_to_the_bit():
    clean = clean_picture()
    grey = photograph_of(clean[..., 1])
    np.testing.assert_array_equal(restore(grey, nothing), grey.pixels)
    lossless = photograph_of(clean, format="PNG")
    np.testing.assert_array_equal(restore(lossless, nothing, quality=30), clean)


@pytest.mark.parametrize("options", [{"subsampling": "4:2:0"}, {"format": "PNG"}])
def test_what_the_network_changes_is_added(options):
    clean = clean_picture()
    found = restore(photograph_of(clean, **options), to_luma_of(clean), quality=30)
    assert np.abs(found.astype(int) - clean).max() <= 1


def test_grey_pictures_have_neutral_chroma_and_stay_grey():
    grey, seen = photograph_of(clean_picture()[..., 1]), []

    def brighten(planes, tables):
        seen.append(planes)
        return np.full(planes.shape, 3, np.float16)

    np.testing.assert_array_equal(restore(grey, brighten), np.minimum(grey.pixels + 3.0, 255))
    assert (seen[0][..., 1:] == 128).all()


def test_the_network_is_told_the_tables_of_the_file():
    libjpegs = np.asarray(jpeg.quantization_tables(30))
    np.testing.assert_array_equal(tables_of(photograph_of(clean_picture()), None), libjpegs)
    np.testing.assert_array_equal(
        tables_of(photograph_of(clean_picture()), 80), jpeg.quantization_tables(80)
    )
    steps = [list(range(1, 65)), [9] * 64]
    foreign = tables_of(photograph_of(clean_picture(), qtables=steps, quality=50), None)
    assert foreign[0, 0, 0] == 1
    assert foreign[0, 7, 7] == 64
    assert (foreign[1] == 9).all()
    grey = tables_of(photograph_of(clean_picture()[..., 0]), None)
    np.testing.assert_array_equal(grey, libjpegs)
    flat = np.full((64, 64), 200, np.uint8)
    with pytest.raises(ValueError, match="the JPEG quality, which the network needs"):
        tables_of(photograph_of(flat, format="PNG"), None)


def test_the_ensemble_turns_pictures_and_turns_them_back():
    clean, sizes = clean_picture(), []

    def brighten_by_position(planes, tables):
        """Twice the change in what is bright: the same however the picture is turned."""
        sizes.append(planes.shape[1:3])
        return (planes > 128).astype(np.float16) + 1

    photograph = photograph_of(clean)
    alone = restore(photograph, brighten_by_position)
    np.testing.assert_array_equal(restore(photograph, brighten_by_position, ensemble=True), alone)
    height, width = (-(-size // 8) * 8 for size in SHAPE)  # whole blocks
    assert sorted(sizes[1:]) == [(height, width)] * 4 + [(width, height)] * 4


def test_consistent_results_keep_to_the_steps_of_whole_components():
    photograph = photograph_of(clean_picture(), subsampling="4:4:4")

    def darken(planes, tables):
        return np.full(planes.shape, -60, np.float16)

    found = restore(photograph, darken, consistent=True)
    wanted = photograph.pixels.astype(np.float32) - 60
    planes = np.stack(
        [
            project(wanted[..., i], photograph.pixels[..., i], steps)
            for i, steps in enumerate(photograph.header.steps)
        ],
        axis=-1,
    )
    expected = np.rint(np.clip(ycbcr_to_rgb(planes), 0, 255))
    np.testing.assert_allclose(found, expected, atol=1)
    with pytest.raises(ValueError, match="--consistent is for JPEG files"):
        restore(photograph_of(clean_picture(), format="PNG"), darken, quality=3, consistent=True)


@pytest.fixture
def a_network_for_colour_ships(monkeypatch):
    manifest = {
        "luma": {"qualities": [20, 20], "model": {"name": "cascnn"}},
        "colour": {"qualities": [5, 100], "model": {"name": "cascnn", "channels": 3}},
    }
    monkeypatch.setattr(pretrained, "manifest", lambda: manifest)


def test_once_it_ships_the_network_for_colour_takes_what_is_in_colour(a_network_for_colour_ships):
    default = choose_network(photograph_of(clean_picture()), Options())
    assert (default.model, default.quality, default.told) == ("colour", "30", None)
    assert (default.consistent, default.notes) == (True, [])
    assert not choose_network(photograph_of(clean_picture()), Options(consistent=False)).consistent
    asked = choose_network(photograph_of(clean_picture()), Options(qf=60))
    assert (asked.model, asked.told, asked.consistent) == ("colour", 60, False)
    assert choose_network(photograph_of(clean_picture()), Options(luma=True)).model == "luma"


def test_grey_files_take_what_measures_better(a_network_for_colour_ships):
    grey = clean_picture()[..., 1]
    assert choose_network(photograph_of(grey), Options()).model == "luma"
    assert choose_network(photograph_of(grey, quality=88), Options()).method == "network"


def test_files_too_good_for_networks_are_decoded_more_precisely(a_network_for_colour_ships):
    clean = clean_picture()
    for pixels, quality in ((clean, 89), (clean, 100), (clean[..., 1], 89)):
        choice = choose_network(photograph_of(pixels, quality=quality), Options())
        assert choice.method == "decoding"
        assert choice.notes[0].startswith("decoded more precisely: no network does better")
    asked = choose_network(photograph_of(clean, quality=97), Options(model="colour"))
    assert (asked.method, asked.model) == ("network", "colour")
    assert choose_network(photograph_of(clean, quality=88), Options()).method == "network"
    copy = choose_network(photograph_of(clean, format="PNG"), Options(qf=97))
    assert (copy.method, copy.notes[0].split(":")[0]) == ("none", "left unchanged")


def test_files_saved_twice_are_restored_as_the_coarser_one(a_network_for_colour_ships):
    picture = np.asarray(Image.fromarray(skimage.data.astronaut()[:256, 100:356]))
    shown_first = shown(photograph_of(picture, quality=20))
    choice = choose_network(photograph_of(shown_first[4:, 4:], quality=95), Options())
    assert (choice.model, choice.told, choice.grid) == ("colour", 20, (4, 4))
    assert choice.quality == "20, and then 95"
    assert choice.notes == ["the pixels show that it was saved twice"]
    assert not choice.consistent


def test_chroma_of_fewer_samples_keeps_to_its_file():
    photograph = photograph_of(clean_picture(), subsampling="4:2:0")

    def colder(planes, tables):
        return np.full(planes.shape, (0, 60, 0), np.float16)

    free, kept = (restore(photograph, colder, consistent=c).astype(int) for c in (False, True))
    change, held = (np.abs(found - shown(photograph)).mean() for found in (free, kept))
    assert change > 20
    assert held < 0.3 * change
