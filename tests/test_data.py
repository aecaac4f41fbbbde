"""Cut-outs and batches against windows found by search, counts and numpy's own turns."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from casjax import datasets
from casjax.images.codecs import compress
from casjax.training import cutouts
from casjax.training.batches import Batches, augment
from casjax.training.cutouts import load_cutouts

SIZE = 8
OPTIONS = {"count": 2000, "size": SIZE, "seed": 3, "images_dir": ""}


@pytest.fixture
def folder(tmp_path):
    """Two images of noise with 17*24 and 5*33 positions for a cut-out."""
    folder = tmp_path / "images"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for name, shape in {"a.png": (24, 31), "b.png": (12, 40)}.items():
        Image.fromarray(generator.integers(256, size=shape, dtype=np.uint8)).save(folder / name)
    return folder


def places_of(cutouts, folder):
    """The (image, row, column) at which each cut-out is found by search."""
    places = {}
    for index, luma in enumerate(datasets.open_source(f"folder:{folder}", images_dir="", seed=0)):
        windows = np.lib.stride_tricks.sliding_window_view(luma, (SIZE, SIZE))
        for row, column in np.ndindex(windows.shape[:2]):
            places[windows[row, column].tobytes()] = (index, row, column)
    return np.array([places[cutout.tobytes()] for cutout in cutouts])


def test_every_position_of_every_image_is_equally_likely_in_any_prefix(folder, tmp_path):
    cutouts = load_cutouts(tmp_path / "cutouts.npy", [f"folder:{folder}"], **OPTIONS)
    assert cutouts.shape == (2000, SIZE, SIZE)
    assert cutouts.dtype == np.uint8
    places = places_of(cutouts, folder)
    share = 17 * 24 / (17 * 24 + 5 * 33)
    for prefix in (500, 2000):
        deviation = np.sqrt(share * (1 - share) / prefix)
        assert np.mean(places[:prefix, 0] == 0) == pytest.approx(share, abs=4 * deviation)
    first = places[places[:, 0] == 0]
    assert set(first[:, 1]) == set(range(17))
    assert set(first[:, 2]) == set(range(24))


def test_the_same_is_built_again_and_seeds_differ(folder, tmp_path):
    names = [f"folder:{folder}"]
    one = load_cutouts(tmp_path / "one.npy", names, **OPTIONS)
    two = load_cutouts(tmp_path / "two.npy", names, **OPTIONS)
    other = load_cutouts(tmp_path / "other.npy", names, **OPTIONS | {"seed": 4})
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()


def test_a_ready_file_is_reused_even_without_its_images(folder, tmp_path, caplog):
    path, names = tmp_path / "cutouts.npy", [f"folder:{folder}"]
    built = np.array(load_cutouts(path, names, **OPTIONS))
    inode = path.stat().st_ino
    np.testing.assert_array_equal(load_cutouts(path, names, **OPTIONS), built)
    for image in folder.iterdir():
        image.unlink()
    np.testing.assert_array_equal(load_cutouts(path, names, **OPTIONS), built)
    assert path.stat().st_ino == inode
    assert "without a check" in caplog.text


@pytest.mark.parametrize("change", [{"count": 1999}, {"size": 9}, {"seed": 4}])
def test_a_file_made_with_other_options_is_refused(folder, tmp_path, change):
    path, names = tmp_path / "cutouts.npy", [f"folder:{folder}"]
    load_cutouts(path, names, **OPTIONS)
    ((key, value),) = change.items()
    message = f"{path} was made with {key} {OPTIONS[key]} instead of {value}: delete it"
    with pytest.raises(ValueError, match=message):
        load_cutouts(path, names, **OPTIONS | change)


def test_a_file_made_from_other_images_is_refused(folder, tmp_path):
    path, names = tmp_path / "cutouts.npy", [f"folder:{folder}"]
    load_cutouts(path, names, **OPTIONS)
    (folder / "a.png").rename(folder / "c.png")
    with pytest.raises(ValueError, match="was made from other images of folder:"):
        load_cutouts(path, names, **OPTIONS)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        load_cutouts(path, [f"folder:{tmp_path / 'elsewhere'}"], **OPTIONS)


@pytest.mark.parametrize("source", ["folder:{images}", "classic5"])
def test_a_file_made_from_other_bytes_of_the_same_names_is_refused(tmp_path, source):
    """Pictures of the same size, replaced in place, with their old dates."""
    generator = np.random.default_rng(0)
    images = tmp_path / "classic5"
    images.mkdir()
    for i in range(1, 6):
        pixels = generator.integers(256, size=(24, 31), dtype=np.uint8)
        Image.fromarray(pixels).save(images / f"{i}.tif")
    path, names = tmp_path / "cutouts.npy", [source.format(images=images)]
    options = OPTIONS | {"images_dir": str(tmp_path)}
    load_cutouts(path, names, **options)
    replaced = images / "3.tif"
    status = replaced.stat()
    Image.fromarray(generator.integers(256, size=(24, 31), dtype=np.uint8)).save(replaced)
    os.utime(replaced, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert replaced.stat().st_size == status.st_size
    with pytest.raises(
        ValueError, match=r"made from other images of .*: delete it to build it again"
    ):
        load_cutouts(path, names, **options)


def test_damaged_files_are_refused(folder, tmp_path):
    path, names = tmp_path / "cutouts.npy", [f"folder:{folder}"]
    load_cutouts(path, names, **OPTIONS)
    with path.open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(ValueError, match=f"{path} is damaged"):
        load_cutouts(path, names, **OPTIONS)
    path.with_name("cutouts.npy.json").unlink()
    with pytest.raises(ValueError, match="no readable description"):
        load_cutouts(path, names, **OPTIONS)


def test_an_interrupted_build_leaves_nothing(folder, tmp_path, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(cutouts, "_fill", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load_cutouts(tmp_path / "made" / "cutouts.npy", [f"folder:{folder}"], **OPTIONS)
    assert list((tmp_path / "made").iterdir()) == []


def test_the_next_build_removes_what_a_killed_one_left(folder, tmp_path):
    host = socket.gethostname()
    dead = tmp_path / f".{host}-{2**22 + 1}-0123abcd.part"  # no such process
    alive = tmp_path / f".{host}-{os.getpid()}-0123abcd.part"
    for path in (dead, alive):
        path.touch()
    load_cutouts(tmp_path / "cutouts.npy", [f"folder:{folder}"], **OPTIONS)
    assert list(tmp_path.glob(".*")) == [alive]


def test_cutouts_never_run_code(folder, tmp_path):
    path, names = tmp_path / "cutouts.npy", [f"folder:{folder}"]
    load_cutouts(path, names, **OPTIONS)
    np.save(path, np.array([Exploding()]), allow_pickle=True)
    with pytest.raises(ValueError, match=f"{path} is damaged"):
        load_cutouts(path, names, **OPTIONS)


class Exploding:
    def __reduce__(self):
        return pytest.fail, ("code from the file has run",)


def test_a_description_without_its_file_is_no_obstacle(folder, tmp_path):
    (tmp_path / "cutouts.npy.json").write_text("{}")
    load_cutouts(tmp_path / "cutouts.npy", [f"folder:{folder}"], **OPTIONS)
    assert json.loads((tmp_path / "cutouts.npy.json").read_text())["count"] == 2000


def test_small_and_unreadable_images_are_named_and_skipped(folder, tmp_path, caplog):
    Image.fromarray(np.zeros((7, 50), np.uint8)).save(folder / "small.png")
    (folder / "torn.png").write_bytes((folder / "a.png").read_bytes()[:300])
    cutouts = load_cutouts(tmp_path / "cutouts.npy", [f"folder:{folder}"], **OPTIONS)
    assert cutouts.reshape(len(cutouts), -1).std(axis=1).min() > 0
    for message in ("small.png", "torn.png", "1 of 4 images: too small", "1 images: unreadable"):
        assert message in caplog.text
    with pytest.raises(ValueError, match="at least 60x60"):
        load_cutouts(tmp_path / "large.npy", [f"folder:{folder}"], **OPTIONS | {"size": 60})


class CountedImages:
    """A large source that counts how many of its images are asked for."""

    name, description, asked = "counted", {"name": "counted"}, 0
    image_names = range(10_000)

    def __len__(self):
        return 10_000

    def __getitem__(self, index):
        self.asked += 1
        return np.full((SIZE, SIZE), index % 251, np.uint8)


def test_a_large_source_is_not_read_whole(tmp_path, monkeypatch):
    source = CountedImages()
    monkeypatch.setattr(cutouts, "open_source", lambda *args, **options: source)
    found = load_cutouts(tmp_path / "cutouts.npy", ["counted"], **OPTIONS | {"count": 100})
    assert source.asked == 100
    assert len(np.unique(found[:, 0, 0])) > 30


def test_training_from_a_ready_file_imports_no_tfds(tmp_path):
    path = tmp_path / "cutouts.npy"
    np.save(path, np.zeros((10, SIZE, SIZE), np.uint8))
    names = ["bsds500/train+test", "synthetic:5"]
    sources = [datasets.open_source(name, images_dir="", seed=3).description for name in names]
    description = {"format": 2, "count": 10, "size": SIZE, "seed": 3, "sources": sources}
    (tmp_path / "cutouts.npy.json").write_text(json.dumps(description))
    program = f"""
import sys
from casjax.training.cutouts import load_cutouts
from casjax.images.codecs import compress
load_cutouts({str(path)!r}, {names}, count=10, size={SIZE}, seed=3, images_dir={str(tmp_path)!r})
unused = ("tensorflow_datasets", "tensorflow", "array_record", "tqdm", "skimage", "scipy")
assert not set(unused) & set(sys.modules), set(unused) & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def batches(**changes):
    numbered = np.broadcast_to(np.arange(100, dtype=np.uint8)[:, None, None], (100, 4, 4))
    options = {"batch_size": 4, "seed": 1, "stream": 0, "augment": True, "qualities": (10, 12)}
    options |= {"recompress": 0.0, "recompress_qualities": (30, 32)}
    return Batches(**{"cutouts": numbered, "codec": "jpeg"} | options | changes)


def drawn(feed, steps, count):
    return np.concatenate([feed.at(step, count=count)["clean"][:, 0, 0, 0] for step in steps])


@pytest.mark.parametrize("batch_size", [4, 20])
def test_epochs_run_across_batches_without_loss(batch_size):
    order = drawn(batches(batch_size=batch_size), range(40 // batch_size), count=10)
    epochs = order.reshape(4, 10)
    np.testing.assert_array_equal(np.sort(epochs), np.tile(np.arange(10), (4, 1)))
    assert len(np.unique(epochs, axis=0)) == 4


def test_processes_share_one_global_batch():
    for step in (0, 7, 24):
        whole = batches().at(step, count=30)
        halves = [batches(process_index=i, process_count=2).at(step, count=30) for i in range(2)]
        for key, value in whole.items():
            np.testing.assert_array_equal(np.concatenate([half[key] for half in halves]), value)


def test_shapes_types_and_ranges():
    found = [batches().at(step, count=100) for step in range(100)]
    assert {key: (v.shape, v.dtype.name) for key, v in found[0].items()} == {
        "clean": ((4, 4, 4, 1), "uint8"),
        "turn": ((4,), "uint8"),
        "quality": ((4,), "int32"),
    }
    assert {int(t) for batch in found for t in batch["turn"]} == set(range(8))
    assert {int(q) for batch in found for q in batch["quality"]} == {10, 11, 12}
    plain = batches(augment=False, qualities=(20, 20)).at(3, count=100)
    assert not plain["turn"].any()
    assert (plain["quality"] == 20).all()


def test_a_share_of_the_cutouts_was_saved_before():
    plain = [batches().at(step, count=100) for step in range(200)]
    found = [batches(recompress=0.25).at(step, count=100) for step in range(200)]
    for batch, without in zip(found, plain, strict=True):
        # What is drawn besides changes nothing of what was drawn before.
        assert all(np.array_equal(batch[key], without[key]) for key in without)
    first = np.concatenate([batch["first_quality"] for batch in found])
    shift = np.concatenate([batch["shift"] for batch in found])
    assert first.dtype == np.int32
    assert shift.dtype == np.uint8
    assert set(first) == {0, 30, 31, 32}
    assert np.mean(first > 0) == pytest.approx(0.25, abs=4 * np.sqrt(0.25 * 0.75 / 800))
    assert {tuple(pair) for pair in shift.tolist()} == set(np.ndindex(8, 8))
    halves = [batches(recompress=0.25, process_index=i, process_count=2) for i in range(2)]
    for key in ("first_quality", "shift"):
        shares = [half.at(9, count=100)[key] for half in halves]
        np.testing.assert_array_equal(np.concatenate(shares), found[9][key])


def test_other_codecs_than_jpeg_are_applied_to_the_turned_cutouts():
    cutouts = np.random.default_rng(0).integers(0, 256, (10, 16, 16), np.uint8)
    left = batches(cutouts=cutouts).at(0, count=10)
    done = batches(cutouts=cutouts, codec="webp").at(0, count=10)
    assert left["turn"].any()
    assert not done["turn"].any()
    np.testing.assert_array_equal(done["clean"], augment(left["clean"], left["turn"]))
    np.testing.assert_array_equal(done["quality"], left["quality"])
    for i in range(4):
        expected = compress(done["clean"][i, ..., 0], int(done["quality"][i]), codec="webp")
        np.testing.assert_array_equal(done["degraded"][i, ..., 0], expected)
    with pytest.raises(ValueError, match="codec 'gif'"):
        batches(codec="gif").at(0, count=10)


def test_batches_depend_on_seed_stream_and_step_alone():
    reference = batches().at(5, count=100)
    for key, value in batches().at(5, count=100).items():
        np.testing.assert_array_equal(value, reference[key])
    for other in (batches(seed=2), batches(stream=1)):
        assert (drawn(other, [5], 100) != reference["clean"][:, 0, 0, 0]).any()


def test_no_more_cutouts_are_drawn_than_there_are():
    with pytest.raises(ValueError, match="asked for 101 cut-outs of a file of 100"):
        batches().at(0, count=101)


def test_augment_gives_the_eight_turns_and_flips():
    image = np.arange(9, dtype=np.uint8).reshape(3, 3)
    turned = np.asarray(augment(np.tile(image[:, :, None], (8, 1, 1, 1)), np.arange(8)))[..., 0]
    assert turned.dtype == np.uint8
    np.testing.assert_array_equal(turned[0], image)
    expected = [np.rot90(side, k) for side in (image, np.fliplr(image)) for k in range(4)]
    assert {t.tobytes() for t in turned} == {e.tobytes() for e in expected}
    np.testing.assert_array_equal(turned[1], image.T)
    np.testing.assert_array_equal(turned[2], np.flipud(image))
    np.testing.assert_array_equal(turned[4], np.fliplr(image))
