import dataclasses
import io
import json

import numpy as np
import pytest
import scipy.io
from PIL import Image
from small import noise

from casjax import metrics
from casjax.datasets import open_source
from casjax.evaluation import evaluator
from casjax.evaluation.evaluator import evaluate, example, format_table, write_results
from casjax.images import UnreadableImageError
from casjax.images.codecs import compress, encode
from casjax.models.arcnn import ARCNN, parameters_from_matlab
from casjax.networks.inference import make_restorer


@dataclasses.dataclass
class Pictures:
    """An image source over arrays; None stands for a file that cannot be read."""

    images: dict
    name: str = "pictures"

    def __len__(self):
        return len(self.images)

    @property
    def image_names(self):
        return list(self.images)

    @property
    def description(self):
        return {"name": self.name}

    def __getitem__(self, index):
        image = list(self.images.values())[index]
        if image is None:
            raise UnreadableImageError("no pixels")
        return image


def smooth(height, width):
    return np.uint8(np.add.outer(np.arange(height) * 3, np.arange(width) * 2) % 200 + 20)


def through_libjpeg(image, quality):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def decibels(image, clean):
    return 10 * np.log10(255**2 / np.mean((np.float64(image) - clean) ** 2))


def darker(degraded):
    return np.maximum(degraded, 5) - np.uint8(5)


def test_records_and_rows_are_what_direct_calls_give():
    source = Pictures({"a": noise(32, 24), "b": smooth(17, 33)})
    results = evaluate(darker, source, method="darker", qualities=(10, 60))

    heads = [(r["image"], r["qf"], r["method"]) for r in results["images"]]
    assert heads == [
        (image, qf, method)
        for image in ("a", "b")
        for qf in (10, 60)
        for method in ("jpeg", "darker")
    ]
    for record in results["images"]:
        clean = source.images[record["image"]]
        degraded = through_libjpeg(clean, record["qf"])
        shown = degraded if record["method"] == "jpeg" else darker(degraded)
        assert record["psnr"] == pytest.approx(decibels(shown, clean), abs=1e-5)
        assert record["ipsnr"] == pytest.approx(
            decibels(shown, clean) - decibels(degraded, clean), abs=1e-5
        )
        pair = shown[None, ..., None], clean[None, ..., None]
        for name, metric in metrics.METRICS.items():
            assert record[name] == pytest.approx(float(metric(*pair)[0]), rel=1e-6)
        baseline = float(metrics.psnr_b(degraded[None, ..., None], pair[1])[0])
        assert record["ipsnrb"] == pytest.approx(record["psnrb"] - baseline, abs=1e-5)
        file = encode(clean, record["qf"], codec="jpeg")
        assert record["bpp"] == 8 * len(file) / clean.size
        assert (record["height"], record["width"]) == clean.shape
        assert ("seconds" in record) == (record["method"] == "darker")

    assert [(r["qf"], r["method"]) for r in results["rows"]] == [
        (10, "jpeg"),
        (10, "darker"),
        (60, "jpeg"),
        (60, "darker"),
    ]
    for row in results["rows"]:
        of_row = [
            r for r in results["images"] if (r["qf"], r["method"]) == (row["qf"], row["method"])
        ]
        assert row["images"] == len(of_row) == 2
        for key in ("psnr", "psnrb", "ssim", "ssim_gaussian", "ipsnr", "ipsnrb", "bpp"):
            assert row[key] == (of_row[0][key] + of_row[1][key]) / 2
        if row["method"] == "darker":
            seconds = sum(r["seconds"] for r in of_row)
            assert row["seconds"] == pytest.approx(seconds / 2)
            pixels = 32 * 24 + 17 * 33
            assert row["mpixels_per_second"] == pytest.approx(pixels / 1e6 / seconds)


def test_other_codecs_are_scored_under_their_names():
    source = Pictures({"a": smooth(48, 33)})
    results = evaluate(darker, source, method="darker", codec="webp", qualities=(30,))
    file = encode(source.images["a"], 30, codec="webp")
    degraded = compress(source.images["a"], 30, codec="webp")
    assert [(r["codec"], r["method"]) for r in results["rows"]] == [
        ("webp", "webp"),
        ("webp", "darker"),
    ]
    for row, shown in zip(results["rows"], (degraded, darker(degraded)), strict=True):
        assert row["psnr"] == pytest.approx(decibels(shown, source.images["a"]), abs=1e-5)
        assert row["bpp"] == 8 * len(file) / degraded.size


def test_without_a_restorer_jpeg_alone_is_scored():
    results = evaluate(None, Pictures({"a": noise(16, 16)}), method="none", qualities=(50,))
    assert [row["method"] for row in results["rows"]] == ["jpeg"]
    assert results["rows"][0]["ipsnr"] == 0


def test_each_shape_is_compiled_outside_of_the_clock():
    calls = []

    def restorer(degraded):
        calls.append(degraded.shape)
        return degraded

    source = Pictures({"a": noise(16, 16), "b": noise(16, 16, 1), "c": noise(16, 24)})
    evaluate(restorer, source, method="same", qualities=(20, 40))
    assert len(calls) == 3 * 2 + 2  # each image at each quality, and each of two shapes once more


def test_a_perfect_image_is_written_as_standard_json(tmp_path):
    flat = np.full((16, 16), 128, np.uint8)  # which JPEG keeps
    results = evaluate(lambda x: x, Pictures({"flat": flat}), method="same", qualities=(90,))
    assert results["rows"][1]["psnr"] == np.inf
    assert results["rows"][1]["ipsnr"] == 0

    path = tmp_path / "results.json"
    write_results(path, results | {"parameters_sha256": "abc"})
    read = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert read["parameters_sha256"] == "abc"
    assert read["rows"][1]["psnr"] == "Infinity"
    assert float(read["rows"][1]["psnr"]) == np.inf
    assert read["rows"][1]["ssim"] == results["rows"][1]["ssim"]
    assert [*tmp_path.iterdir()] == [path]
    assert "inf" in format_table(read)


def test_failed_writing_leaves_the_old_results(tmp_path):
    path = tmp_path / "results.json"
    write_results(path, {"rows": []})
    with pytest.raises(TypeError):
        write_results(path, {"rows": [object()]})
    assert json.loads(path.read_text()) == {"rows": []}
    assert [*tmp_path.iterdir()] == [path]


def test_unreadable_images_are_left_out():
    source = Pictures({"good": noise(16, 16), "bad": None})
    results = evaluate(None, source, method="none", qualities=(50,))
    assert [(r["image"]) for r in results["images"]] == ["good"]
    with pytest.raises(ValueError, match="pictures: no image to evaluate"):
        evaluate(None, Pictures({"bad": None}), method="none", qualities=(50,))


def test_mistakes_are_named():
    with pytest.raises(ValueError, match=r"pictures: tiny at quality 50: .*at least"):
        evaluate(None, Pictures({"tiny": noise(4, 4)}), method="none", qualities=(50,))
    with pytest.raises(ValueError, match="another name"):
        evaluate(darker, Pictures({"a": noise(16, 16)}), method="jpeg", qualities=(50,))
    with pytest.raises(ValueError, match="uint8"):
        evaluate(
            lambda x: x / 255, Pictures({"a": noise(16, 16)}), method="floats", qualities=(50,)
        )


def test_the_table_shows_the_rows():
    row = {"dataset": "live1", "qf": 20, "method": "jpeg", "psnr": 30.072, "psnrb": 27.566}
    row |= {"ssim": 0.86831, "ipsnr": 0.0, "ipsnrb": 0.0, "bpp": 0.5}
    row |= {"ipsnr_se": "NaN", "ipsnrb_se": "NaN"}
    better = row | {"method": "cascnn", "psnr": 31.7, "ipsnr": 1.628}
    header, _, jpeg, restored, _ = format_table({"rows": [row, better]}).splitlines()
    columns = ["dataset", "QF", "method", "PSNR", "PSNR-B", "SSIM", "IPSNR", "IPSNR-B", "bpp"]
    assert header.split() == columns
    assert jpeg.split() == ["live1", "20", "jpeg", "30.07", "27.57", "0.8683", "0.500"]
    scores = ["31.70", "27.57", "0.8683", "+1.63", "+0.00", "0.500"]
    assert restored.split() == ["live1", "20", "cascnn", *scores]


def test_an_example_shows_before_after_and_clean_side_by_side(monkeypatch):
    monkeypatch.setattr(evaluator, "EXAMPLE", 20)
    clean = noise(40, 60, 1)
    before = compress(clean, 30, codec="jpeg")
    picture = example(darker, Pictures({"a": clean}), codec="jpeg", quality=30)
    assert picture.shape == (20, 20 + 4 + 20 + 4 + 20)
    np.testing.assert_array_equal(picture[:, :20], before[10:30, 20:40])
    np.testing.assert_array_equal(picture[:, 24:44], darker(before)[10:30, 20:40])
    np.testing.assert_array_equal(picture[:, 48:], clean[10:30, 20:40])
    assert (picture[:, 20:24] == 255).all()
    small = example(darker, Pictures({"a": clean[:9, :11]}), codec="jpeg", quality=30)
    assert small.shape == (9, 11 + 4 + 11 + 4 + 11)


# The scores that reference implementations outside of this package give on LIVE1.
JPEG = {10: (27.77, 25.33, 0.7905), 20: (30.07, 27.57, 0.8683), 40: (32.35, 29.96, 0.9173)}
RELEASED_ARCNN = {
    10: (28.96, 28.68, 0.8217),
    20: (31.29, 30.76, 0.8871),
    40: (33.61, 33.11, 0.9303),
}


def printed(row):
    return round(row["psnr"], 2), round(row["psnrb"], 2), round(row["ssim"], 4)


def test_jpeg_on_live1_scores_as_published(data_dir):
    live1 = open_source("live1", images_dir=str(data_dir), seed=0)
    rows = evaluate(None, live1, method="none", qualities=tuple(JPEG))["rows"]
    assert {row["qf"]: printed(row) for row in rows} == JPEG
    assert {row["images"] for row in rows} == {29}


@pytest.mark.slow
@pytest.mark.parametrize("quality", RELEASED_ARCNN)
def test_released_arcnn_on_live1_scores_as_published(quality, data_dir, arcnn_weights_dir):
    arrays = scipy.io.loadmat(arcnn_weights_dir / f"arcnn_q{quality}.mat")
    model = ARCNN(initializer="paper", dtype="float32", convolution="auto")
    restorer = make_restorer(model, {"params": parameters_from_matlab(arrays)}, tile=1024)
    live1 = open_source("live1", images_dir=str(data_dir), seed=0)
    jpeg, restored = evaluate(restorer, live1, method="arcnn", qualities=(quality,))["rows"]
    assert printed(jpeg) == JPEG[quality]
    assert printed(restored) == RELEASED_ARCNN[quality]
    assert restored["ipsnr"] == pytest.approx(restored["psnr"] - jpeg["psnr"], abs=1e-9)
