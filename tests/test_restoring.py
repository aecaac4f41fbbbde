"""Restoration of colour, with networks whose effect is known by hand."""

import dataclasses
import io
from typing import Any

import jax
import numpy as np
import pytest
import skimage.data
from PIL import Image

import casjax
from casjax.color import rgb_to_luma
from casjax.images.photographs import read_photograph
from casjax.jpeg import quantization_tables
from casjax.networks import pretrained
from casjax.restoration import colour, restoring
from casjax.restoration.choosing import default_network, nearest_network
from casjax.restoration.limits import limits_of
from casjax.restoration.loading import load_restorer
from casjax.restoration.luma import restore_pixels
from casjax.restoration.restoring import restore_image, shown

PHOTOGRAPH = skimage.data.astronaut()[40:131, 200:313]


def identity(pictures):
    return pictures


def darker(pictures):
    """Takes 20 levels off, and no more than there are."""
    return pictures - np.minimum(pictures, 20)


def only_the_left(pictures):
    changed = pictures.copy()
    changed[:, :, :8] += 20
    return changed


def photograph(**options):
    file = io.BytesIO()
    Image.fromarray(PHOTOGRAPH).save(file, format="JPEG", **options)
    return read_photograph(file.getvalue(), name="test", max_pixels=10**6)


def restore(picture, restorer, *, chroma=False, consistent=False, ensemble=False, strength=1):
    return restore_pixels(
        picture.pixels,
        restorer,
        coding=picture.coding,
        chroma=chroma,
        components=limits_of(picture),
        consistent=consistent,
        ensemble=ensemble,
        strength=strength,
        grid=(0, 0),
    )


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("consistent", [False, True])
@pytest.mark.parametrize("ensemble", [False, True])
def test_a_network_that_changes_nothing_changes_nothing(subsampling, consistent, ensemble):
    picture = photograph(quality=30, subsampling=subsampling)
    restored = restore(picture, identity, chroma=True, consistent=consistent, ensemble=ensemble)
    assert np.array_equal(restored, shown(picture))


def test_the_network_sees_the_luma_it_was_trained_on():
    """Within a level of MATLAB's, of what the file shows; in between lies a rounding to RGB."""
    seen = []

    def look(pictures):
        seen.append(pictures)
        return pictures

    picture = photograph(quality=90, subsampling="4:4:4")
    restore(picture, look)
    [luma] = seen
    difference = luma[0, ..., 0].astype(int) - rgb_to_luma(shown(picture))
    inside = (shown(picture) > 0).all(-1) & (shown(picture) < 255).all(-1)
    assert np.abs(difference[inside]).max() <= 1


def test_chroma_is_seen_at_its_own_resolution():
    shapes = []

    def look(pictures):
        shapes.append(pictures.shape)
        return pictures

    restore(photograph(subsampling="4:2:0"), look, chroma=True)
    assert shapes == [(1, 91, 113, 1), (1, 46, 57, 1), (1, 46, 57, 1)]


def test_luma_that_has_fewer_samples_than_chroma(data_dir):
    data = (data_dir / "wild" / "luma_subsampled.jpg").read_bytes()
    picture = read_photograph(data, name="test", max_pixels=10**7)
    shapes = []

    def brighten(pictures):
        shapes.append(pictures.shape)
        return np.minimum(pictures, 225) + 10

    restored = restore(picture, brighten)
    assert shapes == [(1, 756, 1134, 1)]
    assert np.median(restored.astype(int) - shown(picture)) in (11, 12)  # 10 x 255 / 219


def test_less_luma_is_less_of_all_colours():
    grey = np.full((20, 30, 3), (180, 150, 120), np.uint8)
    restored = restore_with(darker, grey)
    assert np.array_equal(restored, grey - 23)  # 20 x 255 / 219


def restore_with(restorer, image, **options):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(restoring, "load_restorer", lambda model, memory: restorer)
        return restore_image(image, model="cascnn-qf20", **options)


def test_the_ensemble_is_the_mean_of_eight_turns():
    """A change of eight columns at the left becomes one at all four borders, each a quarter."""
    square = np.full((40, 40), 100, np.uint8)
    change = restore_with(only_the_left, square, ensemble=True).astype(int) - 100
    assert (change[8:-8, 8:-8] == 0).all()
    assert (change[:8, 8:-8] == 6).all()  # 20 / 4 x 255 / 219
    assert np.array_equal(change, change.T)
    assert np.array_equal(change, change[::-1])


def test_what_the_file_rules_out_is_taken_back():
    picture = photograph(quality=90, subsampling="4:4:4")
    far = restore(picture, darker).astype(int) - shown(picture)
    near = restore(picture, darker, consistent=True).astype(int) - shown(picture)
    assert np.abs(near).mean() < 0.2 * np.abs(far).mean()


def test_consistency_needs_the_files_own_components(data_dir):
    data = (data_dir / "wild" / "rgb_no_transform.jpg").read_bytes()
    picture = read_photograph(data, name="test", max_pixels=10**7)
    with pytest.raises(ValueError, match="--consistent is for JPEG files in YCbCr or grey"):
        restore(picture, identity, consistent=True)


@pytest.mark.parametrize("image", [PHOTOGRAPH, PHOTOGRAPH[..., 0]], ids=["colour", "grey"])
def test_arrays_keep_their_shape(image):
    assert np.array_equal(restore_with(identity, image, chroma=True), image)


@pytest.mark.parametrize("image", [PHOTOGRAPH, PHOTOGRAPH[..., 0]], ids=["colour", "grey"])
def test_strength_blends(image):
    image = np.clip(image, 60, 250)
    assert np.array_equal(restore_with(darker, image, strength=0), image)
    half, all_of_it = (restore_with(darker, image, strength=s) for s in (0.5, 1))
    assert np.isin(image - half, (11, 12)).all()  # 20 x 255 / 219 is 23
    assert (image - all_of_it == 23).all()
    with pytest.raises(ValueError, match="expected a strength from 0 to 1, got 2"):
        restore_with(darker, image, strength=2)


@pytest.mark.parametrize("sampling", ["4:4:4", "4:2:0"])
def test_arrays_keep_to_what_their_file_allows_as_the_file_does(sampling):
    file = io.BytesIO()  # whose RGB is nowhere clipped: what is clipped is not kept to anything
    Image.fromarray(PHOTOGRAPH // 2 + 60).save(file, "JPEG", quality=40, subsampling=sampling)
    picture = read_photograph(file.getvalue(), name="test", max_pixels=10**6)
    tables = np.stack(picture.header.steps[:2])
    for_file = restore(picture, darker, chroma=True, consistent=True).astype(int)
    for_array = restore_with(darker, shown(picture), chroma=True, tables=tables, sampling=sampling)
    assert np.abs(for_array - for_file).mean() < 0.6
    free = restore_with(darker, shown(picture), chroma=True, quality=40)
    assert np.abs(for_array.astype(int) - free).mean() > 3


def test_what_is_said_of_arrays_is_checked():
    with pytest.raises(ValueError, match="expected one of 4:4:4, 4:2:2, 4:2:0"):
        restore_with(identity, PHOTOGRAPH, quality=20, sampling="4:1:1")
    with pytest.raises(ValueError, match="needs the quality or the tables"):
        restore_with(identity, PHOTOGRAPH, sampling="4:2:0")
    with pytest.raises(ValueError, match="expected tables of luma and chroma, integers"):
        restore_with(identity, PHOTOGRAPH, tables=np.ones((8, 8), int))


def test_a_file_is_restored_as_by_the_command(monkeypatch, tmp_path):
    monkeypatch.setattr(restoring, "load_restorer", lambda model, memory: darker)
    source, destination = tmp_path / "photo.jpg", tmp_path / "new" / "restored.png"
    Image.fromarray(PHOTOGRAPH).save(source, quality=30, comment=b"a comment")
    said = casjax.restore_file(source, destination, model="cascnn-qf20", strength=0.5)
    assert said.startswith(f"{destination}: quality 30, cascnn-qf20")
    written = Image.open(destination)
    assert written.text["Comment"] == "a comment"
    picture = photograph(quality=30)
    expected = restore(picture, darker, consistent=True, strength=0.5)
    assert np.array_equal(np.asarray(written), expected)
    with pytest.raises(ValueError, match="exists: use --overwrite"):
        casjax.restore_file(source, destination)
    before = destination.read_bytes()
    assert "finished before" in casjax.restore_file(source, destination, resume=True)
    assert destination.read_bytes() == before
    with pytest.raises(ValueError, match=r"expected a name that ends in \.png"):
        casjax.restore_file(source, tmp_path / "restored.xyz")
    with pytest.raises(TypeError, match="quality"):
        casjax.restore_file(source, destination, quality=30)


def test_pictures_of_a_file_are_chosen(monkeypatch, tmp_path):
    monkeypatch.setattr(restoring, "load_restorer", lambda model, memory: darker)
    first, second = Image.fromarray(PHOTOGRAPH), Image.fromarray(PHOTOGRAPH[::-1])
    first.save(tmp_path / "two.tif", save_all=True, append_images=[second])
    options = {"model": "cascnn-qf20", "qf": 20}
    casjax.restore_file(tmp_path / "two.tif", tmp_path / "a.png", frames="first", **options)
    casjax.restore_file(tmp_path / "two.tif", tmp_path / "b.png", frames="each", **options)
    assert {p.name for p in tmp_path.glob("*.png")} == {"a.png", "b-frame1.png", "b-frame2.png"}


@pytest.mark.parametrize("image", [PHOTOGRAPH / 255, PHOTOGRAPH[..., :2], PHOTOGRAPH[0, :, 0]])
def test_other_arrays_are_refused(image):
    with pytest.raises(ValueError, match="expected an image uint8"):
        restore_image(image, quality=20)


def test_quality_or_model_is_needed_where_pixels_do_not_tell(monkeypatch):
    with pytest.raises(ValueError, match="no trace of JPEG: name its quality or a model"):
        restore_image(PHOTOGRAPH)
    manifest = {name: {"qualities": [int(name)] * 2} for name in ("20", "30", "40")}
    monkeypatch.setattr(pretrained, "manifest", lambda: manifest)
    loaded = []
    monkeypatch.setattr(
        restoring, "load_restorer", lambda model, _: loaded.append(model) or identity
    )
    former = shown(photograph(quality=30))
    assert np.array_equal(restore_image(former), former)
    assert loaded == ["30"]


@pytest.mark.parametrize(
    ("quality", "name"), [(1, "low"), (10, "low"), (14, "low"), (15, "high"), (70, "high")]
)
def test_the_nearest_network(monkeypatch, quality, name):
    """Of those made for one quality, where there are any."""
    ranges = {"wide": [5, 95], "low": [10, 10], "high": [20, 20]}
    manifest = {name: {"qualities": qualities} for name, qualities in ranges.items()}
    monkeypatch.setattr(pretrained, "manifest", lambda: manifest)
    assert nearest_network(quality) == name


def test_baselines_that_ship_are_never_chosen(monkeypatch):
    manifest = {
        "arcnn-qf20": {"qualities": [20, 20], "baseline": True},
        "cascnn-qf40": {"qualities": [40, 40]},
    }
    monkeypatch.setattr(pretrained, "manifest", lambda: manifest)
    assert nearest_network(20) == "cascnn-qf40"


def test_a_network_for_colour_is_the_default_once_it_ships(monkeypatch):
    manifest = {
        "luma": {"qualities": [20, 20], "model": {"name": "cascnn"}},
        "colour": {"qualities": [5, 100], "model": {"name": "cascnn", "channels": 3}},
    }
    monkeypatch.setattr(pretrained, "manifest", lambda: manifest)
    assert default_network(97, luma=False) == "colour"
    assert default_network(97, luma=True) == nearest_network(97) == "luma"
    manifest["colour"]["baseline"] = True
    assert default_network(97, luma=False) == "luma"


def test_what_is_chosen_of_what_ships_is_cascnn():
    chosen = {nearest_network(quality) for quality in range(1, 101)}
    assert {pretrained.manifest()[name]["model"]["name"] for name in chosen} == {"cascnn"}


@pytest.mark.parametrize("manifest", [{}, {"l4": {"qualities": [20, 20], "baseline": True}}])
def test_no_network_ships(monkeypatch, manifest):
    monkeypatch.setattr(pretrained, "manifest", lambda: manifest)
    with pytest.raises(ValueError, match="no networks ship"):
        nearest_network(20)


@dataclasses.dataclass(frozen=True)
class Halve:
    """Halves the distance from black, at any place of any tile."""

    alignment: int = 8
    halo: int = 8

    def apply(self, variables: Any, degraded: jax.Array) -> tuple[jax.Array]:
        return (degraded / 2,)


def test_through_a_real_restorer_in_tiles(monkeypatch):
    network = pretrained.Network("stand-in", Halve(), {"params": {}}, (1, 100))
    monkeypatch.setattr(pretrained, "load_network", lambda name: network)
    load_restorer.cache_clear()
    image = np.full((400, 300), 219, np.uint8)  # of MATLAB's levels 204, which become 102
    restored = restore_image(image, model="cascnn-qf20", memory=2**18)
    assert (restored == 219 - 119).all()
    load_restorer.cache_clear()


@pytest.mark.parametrize("grid", [(0, 0), (4, 4), (3, 1), (0, 6)])
def test_networks_see_blocks_where_they_expect_them(grid):
    """Of a picture that was cropped after it was saved: here each block has one level."""
    levels = np.random.default_rng(0).integers(30, 230, (5, 7), np.uint8)
    top, left = (-place % 8 for place in grid)
    picture = np.kron(levels, np.ones((8, 8), np.uint8))[top:, left:]
    options = {"coding": "grey", "ensemble": False, "strength": 1, "grid": grid}
    seen = []

    def darker_luma(pictures):
        seen.append(pictures[0, ..., 0])
        return pictures - np.uint8(20)

    def darker_planes(planes, tables):
        seen.append(planes[0, ..., 0])
        return np.full(planes.shape, -20, np.float16)

    of_luma = restore_pixels(
        picture, darker_luma, chroma=False, components=[], consistent=False, **options
    )
    of_planes = colour.restore_pixels(
        picture, darker_planes, tables=np.asarray(quantization_tables(30)), limits=[], **options
    )
    assert len(seen) == 2
    for blocks in seen:
        rows, columns = (size - size % 8 for size in blocks.shape)
        whole = blocks[:rows, :columns].reshape(rows // 8, 8, columns // 8, 8)
        assert (whole == whole[:, :1, :, :1]).all()
    assert (of_planes == picture - 20).all()
    assert (of_luma == picture - 23).all()  # 20 x 255 / 219


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("qf", 0),
        ("strength", 2),
        ("strength", "all"),
        ("memory", "2GB"),
        ("output_quality", 95.5),
        ("max_megapixels", None),
        ("frames", "all"),
        ("subsampling", "4:1:1"),
    ],
)
def test_options_that_the_command_would_refuse_are_refused(option, value, tmp_path):
    with pytest.raises(ValueError, match=f"{option}={value!r}: expected"):
        casjax.restore_file(tmp_path / "a.jpg", tmp_path / "b.png", **{option: value})
