"""Image sources against the files they come from, read by Pillow."""

import functools
import hashlib
import http.server
import io
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from casjax.color import rgb_to_luma
from casjax.datasets import checksums, open_source, published, readable_images, synthetic
from casjax.images import UnreadableImageError

open_here = functools.partial(open_source, images_dir="", seed=0)


def noise(seed, shape=(16, 24, 3)):
    return np.random.default_rng(seed).integers(256, size=shape, dtype=np.uint8)


def classic5_folder(folder, seed):
    """A folder with five images of noise that are called as those of classic5."""
    (folder / "classic5").mkdir(parents=True)
    for i in range(1, 6):
        Image.fromarray(noise(seed + i)).save(folder / "classic5" / f"{i}.png")
    return str(folder)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("live1", 29),
        ("live1/test", 29),
        ("classic5", 5),
        ("bsds500/train", 200),
        ("bsds500/train+test", 400),
        ("bsds500/val", 100),
    ],
)
def test_published_sets_are_known_without_reading_them(name, count):
    source = open_here(name)
    assert len(source) == len(set(source.image_names)) == count
    assert source.name == name
    assert json.loads(json.dumps(source.description)) == source.description


@pytest.mark.parametrize(
    ("name", "folders"),
    [
        ("live1", ["live1"]),
        ("classic5", ["classic5"]),
        ("bsds500/test+train", ["bsds500/test", "bsds500/train"]),
    ],
)
def test_published_sets_from_a_local_folder(data_dir, name, folders):
    source = open_source(name, images_dir=str(data_dir), seed=0)
    files = [path for folder in folders for path in sorted((data_dir / folder).iterdir())]
    assert [Path(image_name).stem for image_name in source.image_names] == [f.stem for f in files]
    assert source.description == open_here(name).description
    for index in (0, len(files) // 2, len(files) - 1):
        pixels = np.asarray(Image.open(files[index]))
        luma = rgb_to_luma(pixels) if pixels.ndim == 3 else pixels
        np.testing.assert_array_equal(source[index], luma)


def test_another_local_folder_is_not_served_from_a_cache(tmp_path):
    for seed in (10, 20):
        images_dir = classic5_folder(tmp_path / str(seed), seed)
        source = open_source("classic5", images_dir=images_dir, seed=0)
        for i in range(5):
            np.testing.assert_array_equal(source[i], rgb_to_luma(noise(seed + i + 1)))


def test_copies_of_published_files_are_known_by_their_luma(data_dir, tmp_path, caplog):
    """LIVE1's PNG files, written as BMP, have the published checksums: theirs is its luma."""
    for file in published.published_files("live1")[:3]:
        bitmap = io.BytesIO()
        with Image.open((data_dir / "live1" / file.name).with_suffix(".png")) as image:
            image.save(bitmap, "BMP")
            pixels = np.asarray(image)
        content = bytearray(bitmap.getvalue())
        content[38:46] = bytes(8)  # without a resolution
        assert hashlib.sha256(content).hexdigest() == file.sha256
        assert checksums.luma_sha256(rgb_to_luma(pixels)) == file.luma_sha256
    open_source("live1", images_dir=str(data_dir), seed=0)
    assert "differ from the published" not in caplog.text


def test_the_published_file_is_preferred_to_others_of_its_stem(tmp_path):
    files = published.published_files("classic5")
    folder = tmp_path / "classic5"
    folder.mkdir()
    for file in files:
        for name in (file.name, f"{Path(file.name).stem}.tiff"):
            Image.fromarray(noise(0)).save(folder / name, format="PNG")
    local = published.find_local("classic5", files, folder, all_of_them=True)
    assert [local[file.name].name for file in files] == [file.name for file in files]


def test_grey_copies_of_colour_are_no_copies_in_colour(data_dir, tmp_path):
    file = published.published_files("live1")[0]
    with Image.open((data_dir / "live1" / file.name).with_suffix(".png")) as image:
        image.save(tmp_path / "colour.png")
        Image.fromarray(rgb_to_luma(np.asarray(image))).save(tmp_path / "grey.png")
    for name, channels, is_copy in (
        ("colour.png", 3, True),
        ("grey.png", 1, True),
        ("grey.png", 3, False),
    ):
        found = published._local_checksum(tmp_path / name, file, channels)
        assert (found == file.sha256) == is_copy


@pytest.mark.skipif(sys.platform != "linux", reason="other systems' names are text")
def test_names_in_a_folder_need_not_be_text(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    Image.fromarray(noise(0)).save(path)
    source = open_source(f"folder:{tmp_path}", images_dir="", seed=0)
    assert len(source.description["files_sha256"]) == 64


def test_local_files_that_are_not_the_published_ones_are_said(tmp_path, caplog):
    images_dir = classic5_folder(tmp_path, 0)
    source = open_source("classic5", images_dir=images_dir, seed=0)
    assert "classic5: 5 of 5 local files differ from the published" in caplog.text
    assert source.description != open_here("classic5").description


def test_missing_local_files_are_named(tmp_path):
    images_dir = classic5_folder(tmp_path, 0)
    (tmp_path / "classic5" / "3.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"1 of 5 files are not in .*/classic5 .*: 3\.bmp$"):
        open_source("classic5", images_dir=images_dir, seed=0)
    with pytest.raises(FileNotFoundError, match="bsds500: no such folder"):
        open_source("bsds500/train", images_dir=images_dir, seed=0)


class SilentHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def classic5_server(tmp_path, monkeypatch):
    """Classic5 with a checksum file of its own, to be downloaded from this machine."""
    import tensorflow_datasets as tfds

    from casjax.datasets.classic5.classic5_dataset_builder import Builder

    served = Path(classic5_folder(tmp_path / "served", 0)) / "classic5"
    handler = functools.partial(SilentHandler, directory=served)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        table = tmp_path / "classic5" / "checksums.tsv"
        table.parent.mkdir()
        table.write_text(
            "".join(
                f"http://127.0.0.1:{server.server_port}/{path.name}\t{path.stat().st_size}"
                f"\t{hashlib.sha256(path.read_bytes()).hexdigest()}\t{path.name}\n"
                for path in served.iterdir()
            )
        )
        monkeypatch.setattr(checksums, "PACKAGES", tmp_path)
        monkeypatch.setattr(
            Builder, "url_infos", tfds.core.download.checksums.load_url_infos(table)
        )
        monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(tmp_path / "prepared"))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield served
        server.shutdown()


def test_downloads_are_checked_prepared_and_kept(classic5_server):
    source = open_here("classic5")
    for i in range(5):
        np.testing.assert_array_equal(source[i], rgb_to_luma(noise(i + 1)))
    for path in classic5_server.iterdir():
        path.unlink()
    np.testing.assert_array_equal(open_here("classic5")[4], rgb_to_luma(noise(5)))


def test_a_download_with_a_wrong_checksum_is_refused(classic5_server):
    import tensorflow_datasets as tfds

    damaged = classic5_server / "2.png"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    with pytest.raises(
        tfds.download.download_manager.NonMatchingChecksumError, match="wrong checksum"
    ):
        open_here("classic5")[0]


def test_without_network_the_way_out_is_named_at_once(tmp_path, monkeypatch):
    import tensorflow_datasets as tfds

    from casjax.datasets.builder import read_prepared

    (tmp_path / "classic5").mkdir()
    row = f"http://127.0.0.1:9/1.bmp\t3\t{'0' * 64}\t1.bmp\n"
    (tmp_path / "classic5/checksums.tsv").write_text(row)
    monkeypatch.setattr(checksums, "PACKAGES", tmp_path)
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(tmp_path / "prepared"))
    with pytest.raises(ConnectionError, match=r"classic5 .* 127\.0\.0\.1:9 .*: set CASJAX_DATA"):
        read_prepared("classic5", ["test"])


def test_the_shipped_checksum_files_are_found_by_tfds():
    from casjax.datasets.live1.live1_dataset_builder import Builder

    files = published.published_files("live1")
    assert {url: info.checksum for url, info in Builder.url_infos.items()} == {
        file.url: file.sha256 for file in files
    }
    assert all(file.url.startswith("https://") for file in files)


@pytest.fixture(scope="module")
def tiny_photographs(tmp_path_factory):
    """A TFDS data set with three images, to be prepared in array_record format."""
    import tensorflow_datasets as tfds

    class TinyPhotographs(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.2.3")

        def _info(self):
            features = {"image": tfds.features.Image(), "label": tfds.features.Scalar(np.int64)}
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(features), disable_shuffling=True
            )

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples()}

        def _generate_examples(self):
            for i in range(3):
                yield i, {"image": Image.fromarray(noise(i)), "label": i}

    with pytest.MonkeyPatch.context() as monkeypatch:
        prepared = tmp_path_factory.mktemp("prepared")
        monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(prepared))
        yield


def test_files_to_be_got_by_hand_are_named(tmp_path, monkeypatch):
    import tensorflow_datasets as tfds

    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(tmp_path))
    with pytest.raises(ValueError, match=r"imagenet2012/train: TFDS cannot read it: Manual dir"):
        open_here("tfds:imagenet2012/train")


@pytest.mark.usefixtures("tiny_photographs")
def test_any_tfds_image_dataset():
    source = open_here("tfds:tiny_photographs/train")
    assert len(source) == 3
    for i in range(3):
        np.testing.assert_array_equal(source[i], rgb_to_luma(noise(i)))
    assert source.description == {
        "name": "tfds:tiny_photographs/train",
        "dataset": "tiny_photographs/1.2.3",
        "split": "train",
        "images": 3,
    }
    assert len(open_here("tfds:tiny_photographs:1.2.3/train[1:]")) == 2


@pytest.mark.usefixtures("tiny_photographs")
def test_unknown_tfds_datasets_and_splits():
    for dataset in ("tiny_photographs/dev", "no_such_set/train"):
        with pytest.raises(ValueError, match=f"image source tfds:{dataset}: TFDS cannot read it"):
            open_here(f"tfds:{dataset}")


def test_a_folder_is_read_recursively(tmp_path):
    (tmp_path / "deep" / "deeper").mkdir(parents=True)
    Image.fromarray(noise(1)).save(tmp_path / "deep" / "deeper" / "b.webp", lossless=True)
    Image.fromarray(noise(2)).save(tmp_path / "a.tif")
    source = open_here(f"folder:{tmp_path}")
    assert source.image_names == ["a.tif", "deep/deeper/b.webp"]
    np.testing.assert_array_equal(source[0], rgb_to_luma(noise(2)))
    np.testing.assert_array_equal(source[1], rgb_to_luma(noise(1)))


def test_the_description_of_a_folder_changes_with_its_images(tmp_path):
    Image.fromarray(noise(1)).save(tmp_path / "a.png")
    before = open_here(f"folder:{tmp_path}").description
    assert open_here(f"folder:{tmp_path}").description == before
    Image.fromarray(noise(1, (9, 9))).save(tmp_path / "a.png")
    assert open_here(f"folder:{tmp_path}").description != before


def test_unreadable_files_are_named_and_skipped(tmp_path, caplog):
    (tmp_path / "a.png").write_text("no image")
    Image.fromarray(noise(1)).save(tmp_path / "b.png")
    source = open_here(f"folder:{tmp_path}")
    with pytest.raises(UnreadableImageError, match=r"a\.png"):
        source[0]
    ((name, luma),) = readable_images(source)
    assert name == "b.png"
    np.testing.assert_array_equal(luma, rgb_to_luma(noise(1)))
    assert "a.png" in caplog.text
    assert "Skipped 1 images: unreadable" in caplog.text


def test_empty_and_missing_folders_are_named(tmp_path):
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(FileNotFoundError, match=str(folder)):
            open_here(f"folder:{folder}")


def test_dead_leaves_are_a_pure_function_of_seed_and_index():
    source = open_here("synthetic:5")
    assert len(source) == 5
    image = source[3]
    assert image.shape == (512, 512)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(open_here("synthetic:5")[3], image)
    assert (source[4] != image).any()
    assert (open_source("synthetic:5", images_dir="", seed=1)[3] != image).any()
    with pytest.raises(IndexError):
        source[5]


def test_dead_leaves_look_like_photographs_to_a_codec():
    """Photographs lose 27 to 34 dB at quality 20, and their power falls about as 1/f^2."""
    for image in open_here("synthetic:2"):
        encoded = io.BytesIO()
        Image.fromarray(image).save(encoded, "JPEG", quality=20)
        error = np.asarray(Image.open(encoded)).astype(float) - image
        assert 27 < 10 * np.log10(255**2 / np.mean(error**2)) < 34
        assert 35 < image.std() < 70
        power = np.abs(np.fft.fft2(image * np.outer(np.hanning(512), np.hanning(512)))) ** 2
        frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(512), np.fft.fftfreq(512)))
        octaves = [power[(frequency >= f) & (frequency < 2 * f)].mean() for f in (1 / 64, 1 / 8)]
        assert -3.2 < np.log2(octaves[1] / octaves[0]) / 3 < -1.6


def test_leaf_sizes_follow_the_cubic_law():
    sizes = synthetic._half_axes(np.random.default_rng(0))
    assert synthetic.SMALLEST <= sizes.min() < sizes.max() <= synthetic.LARGEST
    # Of a density r^-3, a quarter lies above twice the smallest.
    deviation = np.sqrt(0.25 * 0.75 / len(sizes))
    assert np.mean(sizes > 2 * synthetic.SMALLEST) == pytest.approx(0.25, abs=4 * deviation)


def test_colour_where_it_is_asked_for(tmp_path):
    colour = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    Image.fromarray(colour).save(tmp_path / "a.png")
    in_luma, in_colour = (
        open_source(f"folder:{tmp_path}", images_dir="", seed=0, channels=channels)
        for channels in (1, 3)
    )
    assert in_luma[0].shape == (20, 30)
    np.testing.assert_array_equal(in_colour[0], colour)
    assert in_colour.description == in_luma.description | {"channels": 3}
    with pytest.raises(ValueError, match="'synthetic:2' has luma only"):
        open_source("synthetic:2", images_dir="", seed=0, channels=3)


def test_the_photographs_of_scikit_image():
    source = open_here("skimage")
    assert len(source) >= 5
    for luma in source:
        assert luma.dtype == np.uint8
        assert min(luma.shape) >= 120


def test_sources_at_hand_import_no_further_library():
    program = """
import sys
from casjax.datasets import open_source
for name in ("live1", "skimage", "synthetic:3"):
    open_source(name, images_dir="", seed=0)
open_source("skimage", images_dir="", seed=0)[0]
unused = ("tensorflow_datasets", "tensorflow", "array_record", "skimage", "pooch", "jax")
assert not set(unused) & set(sys.modules), set(unused) & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.mark.parametrize(
    "name",
    ["live2", "folder", "folder:", "synthetic:x", "synthetic:0", "skimage:1", "tfds:div2k", ""],
)
def test_unknown_names_get_the_choices(name):
    with pytest.raises(ValueError, match=f"unknown image source '{name}', choose from: live1"):
        open_here(name)


@pytest.mark.parametrize("name", ["bsds500", "bsds500/dev", "bsds500/train+dev", "live1/train"])
def test_unknown_splits_get_the_choices(name):
    with pytest.raises(ValueError, match=f"image source .*: name splits of {name[:5]}"):
        open_here(name)
