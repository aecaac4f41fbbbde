"""The command that scores a method: what it writes, that it goes on, and what mistakes give."""

import io
import json
import sys

import jax
import numpy as np
import pytest
import scipy.io
from PIL import Image
from small import ARCNN, noise

from casjax.evaluate import main
from casjax.evaluation import methods
from casjax.evaluation.restorers import Method
from casjax.evaluation.sadct import restore
from casjax.files import held, write_json
from casjax.images import read_luma, read_rgb, write_png
from casjax.jpeg import degrade, quantization_table
from casjax.models import create_model, initial_variables
from casjax.models.arcnn import parameters_from_matlab
from casjax.networks.consistency import project
from casjax.networks.inference import make_restorer
from casjax.networks.weights import save_weights

MODEL = ARCNN | {"convolution": "direct"}


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for seed, name in enumerate(("a", "b")):
        write_png(folder / f"{name}.png", noise(16, 24, seed))
    return folder


@pytest.fixture
def evaluate(images, tmp_path):
    def evaluate(method, *options):
        output = tmp_path / "out"
        arguments = [str(method), f"--output={output}", f"--datasets=folder:{images}"]
        assert main([*arguments, *options]) == 0
        return output, json.loads((output / "results.json").read_text())

    return evaluate


def degraded(path, quality):
    return np.asarray(degrade(read_luma(path)[None, ..., None], quality))


def test_pictures_are_what_was_scored(evaluate, images):
    folder, results = evaluate("sadct", "--qualities=20", "--pictures")
    assert [row["method"] for row in results["rows"]] == ["jpeg", "sadct"]
    for record in results["images"]:
        clean = images / record["image"]
        jpeg = degraded(clean, 20)
        expected = jpeg if record["method"] == "jpeg" else restore(jpeg, quality=20)
        picture = read_luma(folder / record["picture"])
        np.testing.assert_array_equal(picture, expected[0, ..., 0])
        np.testing.assert_array_equal(read_luma(folder / record["clean"]), read_luma(clean))
        error = np.mean((np.float64(picture) - read_luma(clean)) ** 2)
        assert record["psnr"] == pytest.approx(10 * np.log10(255**2 / error), abs=1e-4)


def test_colour_and_pictures_that_were_jpegs_before(images, tmp_path):
    rgb = np.random.default_rng(7).integers(0, 256, (40, 56, 3), np.uint8)
    write_png(images / "a.png", rgb)
    write_png(images / "b.png", np.flipud(rgb))
    options = [f"--datasets=folder:{images}", "--qualities=30", "--pictures"]
    colour = ["jpeg", f"-o{tmp_path / 'colour'}", *options, "--colour"]
    assert main(colour) == 0
    both = [
        "jpeg",
        f"-o{tmp_path / 'both'}",
        *options,
        "--colour",
        "--recompress=60",
        "--shift=4,2",
    ]
    assert main(both) == 0
    for name, first, (top, left) in (("colour", None, (0, 0)), ("both", 60, (4, 2))):
        results = json.loads((tmp_path / name / "results.json").read_text())
        assert results["channels"] == 3
        assert results.get("recompress") == (first and {"quality": first, "shift": [top, left]})
        for record in results["images"]:
            whole = read_rgb(images / record["image"])
            clean = whole[top:, left:]
            found = clean if first is None else as_jpeg(whole, first)[top:, left:]
            picture = read_rgb(tmp_path / name / record["picture"])
            np.testing.assert_array_equal(picture, as_jpeg(found, 30))
            np.testing.assert_array_equal(read_rgb(tmp_path / name / record["clean"]), clean)
            error = np.mean((np.float64(picture) - clean) ** 2)
            assert record["psnr"] == pytest.approx(10 * np.log10(255**2 / error), abs=1e-4)
            assert {"psnrb", "ssim_gaussian", "ssim_gaussian_luma"} <= record.keys()


def as_jpeg(rgb, quality):
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(rgb)).save(file, format="JPEG", quality=quality)
    return np.array(Image.open(file))


def test_files_of_colour_are_restored_in_colour(evaluate, images):
    for path in images.iterdir():
        write_png(path, np.random.default_rng(7).integers(0, 256, (16, 24, 3), np.uint8))
    copy = f"command:{sys.executable} -c 'import shutil,sys; shutil.copy(*sys.argv[1:])'"
    _, results = evaluate(
        f"{copy} {{jpeg}} {{out.jpg}}", "--colour", "--qualities=20", "--name=copy"
    )
    jpeg, copied = results["rows"]
    assert copied["method"] == "copy"
    assert copied["psnr"] == jpeg["psnr"]
    assert copied["ipsnr"] == 0


def test_results_of_other_pictures_are_not_mixed(evaluate, images, capsys):
    folder, _ = evaluate("jpeg", "--qualities=20")
    options = ["jpeg", f"-o{folder}", f"--datasets=folder:{images}", "--qualities=20"]
    for others in (["--colour"], ["--recompress=50"]):
        with pytest.raises(SystemExit, match="2"):
            main([*options, *others])
        assert "or of other pictures (" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["jpeg", "--shift=4,4"], "it needs --recompress QUALITY"),
        (
            ["jpeg", "--recompress=50", "--shift=4"],
            "expected rows and columns, such as 4,4, got '4'",
        ),
        (["jpeg", "--recompress=50,60"], "expected one number, got '50,60'"),
        (["jpeg", "--recompress=0"], "expected numbers from 1 to 100, got '0'"),
        (["jpeg", "--recompress=50", "--shift=16,0"], "a.png at quality 20: expected uint8"),
        (["sadct", "--colour"], "sadct restores luma only"),
        (["jpeg", "--colour", "--datasets=synthetic:2"], "'synthetic:2' has luma only"),
    ],
)
def test_pictures_that_cannot_be_are_refused(images, tmp_path, capsys, options, message):
    method, *others = options
    with pytest.raises(SystemExit, match="2"):
        main([method, f"-o{tmp_path}/o", f"--datasets=folder:{images}", "--qualities=20", *others])
    assert message in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_two_calls_do_not_write_into_one_folder(images, tmp_path, capsys):
    folder = tmp_path / "o"
    folder.mkdir()
    with held(folder), pytest.raises(SystemExit, match="2"):
        main(["jpeg", f"-o{folder}", f"--datasets=folder:{images}", "--qualities=20"])
    assert f"{folder} is locked by another process" in capsys.readouterr().err


def test_a_network_for_another_codec_is_not_held_to_jpegs():
    network = {"network": {"codec": "webp"}}
    method = Method("l4", lambda _: restore, [20], network, in_colour=True)
    with pytest.raises(ValueError, match="--consistent is for JPEG; l4 was trained for webp"):
        methods.refine(method, ensemble=False, consistent=True)
    refined = methods.refine(method, ensemble=True, consistent=False)
    with pytest.raises(ValueError, match="restores luma only"):
        methods.for_pictures(refined, in_colour=True, earlier=None)


def test_only_what_is_missing_is_scored(evaluate, capsys):
    folder, first = evaluate("jpeg", "--qualities=20")
    _, second = evaluate("jpeg", "--qualities=20,40")
    assert capsys.readouterr().err.count("scored before") == 1
    assert [row["qf"] for row in second["rows"]] == [20, 40]
    assert second["images"][: len(first["images"])] == first["images"]

    assert not (folder / "pictures").exists()
    _, third = evaluate("jpeg", "--qualities=20", "--pictures")
    assert {row["qf"] for row in third["rows"]} == {20, 40}
    assert len(third["rows"]) == 2
    assert sum("picture" in record for record in third["images"]) == 2
    evaluate("jpeg", "--qualities=20", "--pictures")
    assert capsys.readouterr().err.count("scored before") == 1


def test_scores_of_images_that_have_changed_are_refused(evaluate, images, capsys):
    evaluate("jpeg", "--qualities=20,40")
    stat = (images / "a.png").stat()
    write_png(images / "a.png", noise(16, 24, 7))
    assert (images / "a.png").stat().st_size == stat.st_size  # which alone would not tell
    with pytest.raises(SystemExit, match="2"):
        evaluate("jpeg", "--qualities=20")
    [*_, line] = capsys.readouterr().err.splitlines()
    assert "results.json: its results on folder:" in line
    assert "of other images" in line


def test_an_image_more_is_another_set(evaluate, images, capsys):
    evaluate("jpeg", "--qualities=20")
    write_png(images / "c.png", noise(16, 24, 7))
    with pytest.raises(SystemExit, match="2"):
        evaluate("jpeg", "--qualities=20")
    assert "of other images" in capsys.readouterr().err


@pytest.mark.parametrize("change", [{"files_sha256": "0" * 64}, {"ssim_gaussian": None}])
def test_scores_of_other_files_or_without_a_metric_are_made_anew(change, evaluate, capsys):
    folder, first = evaluate("jpeg", "--qualities=20")
    path = folder / "results.json"
    [row] = first["rows"]
    changed = {key: value for key, value in (row | change).items() if value is not None}
    path.write_text(json.dumps(first | {"rows": [changed]}))
    _, second = evaluate("jpeg", "--qualities=20")
    assert "scored before" not in capsys.readouterr().err
    assert second == first


def test_a_network_in_other_tiles_is_another_method(evaluate, run, capsys):
    evaluate(run)
    with pytest.raises(SystemExit, match="2"):
        evaluate(run, "--tile=64")
    assert "tile changed" in capsys.readouterr().err


def test_an_image_too_small_for_a_metric_stops_no_others(images, tmp_path, caplog):
    write_png(images / "tiny.png", noise(4, 4, 0))
    arguments = ["jpeg", f"--output={tmp_path / 'out'}", f"--datasets=folder:{images}"]
    assert main([*arguments, "--qualities=20"]) == 1
    assert "tiny.png at quality 20: this metric needs images of at least" in caplog.text
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [row["images"] for row in results["rows"]] == [2]


@pytest.fixture
def run(tmp_path):
    """The workdir of a finished run, whose first phase left weights of zero."""
    run = tmp_path / "run"
    run.mkdir()
    phase = {"epochs": 2.0, "cutouts": 30}
    config = {"model": MODEL, "batch_size": 10}
    config["multiscale"] = phase | {"loss_weights": [0.5, 0.5]}
    config["finetune"] = phase | {"loss_weights": [1.0, 0.0]}
    config |= {"degradation": {"codec": "jpeg", "lowest_quality": 35, "highest_quality": 35}}
    config |= {"data": {"sources": ["skimage"]}, "initial_weights": ""}
    variables = jax.device_get(initial_variables(create_model(**MODEL), seed=3))
    write_json(run / "config.json", config)
    save_weights(run / "weights.safetensors", variables)
    save_weights(run / "multiscale.safetensors", jax.tree.map(np.zeros_like, variables))
    return run


def test_pictures_never_replace_each_other(evaluate, images, tmp_path, capsys):
    write_png(images / "a.jpg", noise(16, 24, 3))  # which is what the bytes say, not the name
    with pytest.raises(SystemExit, match="2"):
        evaluate("jpeg", "--qualities=20", "--pictures")
    assert "differ only in their suffix" in capsys.readouterr().err
    assert not list((tmp_path / "out").rglob("*.png"))


def test_a_network_is_scored_at_its_own_quality_and_described(evaluate, run, capsys):
    _, results = evaluate(run)
    assert [(row["method"], row["qf"]) for row in results["rows"]] == [("jpeg", 35), ("arcnn", 35)]
    assert (results["network"]["cutouts"], results["network"]["loss"]) == (120, "output")
    with pytest.raises(SystemExit, match="2"):
        evaluate(run / "multiscale.safetensors")
    assert "of another method or network" in capsys.readouterr().err


def test_the_weights_of_a_phase_are_described_as_such(evaluate, run):
    _, results = evaluate(run / "multiscale.safetensors")
    assert (results["network"]["cutouts"], results["network"]["loss"]) == (60, "multi-scale")
    [restored] = [row for row in results["rows"] if row["method"] == "arcnn"]
    assert restored["psnr"] < 10  # a network of zeros gives black


def test_released_weights_of_arcnn_are_read(evaluate, arcnn_weights_dir, images):
    file = arcnn_weights_dir / "arcnn_q20.mat"
    folder, results = evaluate(file, "--pictures")
    assert results["network"]["qualities"] == [20, 20]
    parameters = parameters_from_matlab(scipy.io.loadmat(file))
    restorer = make_restorer(create_model(**MODEL), {"params": parameters}, tile=1024)
    [record] = [r for r in results["images"] if (r["image"], r["method"]) == ("a.png", "arcnn")]
    np.testing.assert_array_equal(
        read_luma(folder / record["picture"]),
        restorer(degraded(images / "a.png", 20))[0, ..., 0],
    )


def test_what_restore_offers_is_scored_under_its_name(evaluate, images):
    folder, results = evaluate("sadct", "--qualities=20", "--consistent", "--pictures")
    assert [row["method"] for row in results["rows"]] == ["jpeg", "sadct+consistent"]
    jpeg = degraded(images / "a.png", 20)
    expected = project(
        restore(jpeg, quality=20)[0, ..., 0].astype(np.float32),
        jpeg[0, ..., 0],
        np.asarray(quantization_table(20)),
    )
    [record] = [r for r in results["images"] if r["image"] == "a.png" and r["method"] != "jpeg"]
    kept = read_luma(folder / record["picture"])
    assert np.array_equal(kept, np.rint(np.clip(expected, 0, 255)))


def test_what_is_added_to_a_method_tells_results_of_one_name_apart(evaluate, images, capsys):
    folder, results = evaluate("sadct", "--qualities=20", "--name=mine", "--consistent")
    assert results["refinement"] == ["consistent"]
    with pytest.raises(SystemExit, match="2"):
        main(["sadct", f"-o{folder}", f"--datasets=folder:{images}", "--name=mine"])
    assert "(refinement changed)" in capsys.readouterr().err


def test_a_program_called_as_a_method_of_ours_needs_another_name(tmp_path, capsys):
    program = tmp_path / "sadct"
    program.write_text("#!/bin/sh")
    program.chmod(0o755)
    with pytest.raises(SystemExit, match="2"):
        main([f"command:{program} {{jpeg}} {{out}}", f"-o{tmp_path / 'out'}"])
    assert "the built-in sadct: it needs another --name" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["jpeg", "--ensemble"], "--ensemble needs a method that restores, jpeg does not"),
        (["sadct", "--name=cascnn"], "--name cascnn: that is the name of a built-in method"),
        (
            ["command:cp {jpeg} {out.jpg}", "--consistent"],
            "--consistent needs a method of pixels, cp ",
        ),
        (["sadct", "--jobs=0"], "expected a number above 0, got '0'"),
        (["nothing"], "nothing: no network of that name ships"),
        (["jpeg", "--qualities=0"], "expected numbers from 1 to 100, got '0'"),
        (["jpeg", "--qualities=20,x"], "expected numbers from 1 to 100, got '20,x'"),
        (["jpeg", "--datasets=live2"], "unknown image source 'live2'"),
        (["weights.mat"], "weights.mat: expected a name that ends in the quality"),
        (["arcnn_q20.mat"], "arcnn_q20.mat"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(arguments, message, tmp_path, capsys):
    with pytest.raises(SystemExit) as leaving:
        main([*arguments, f"--output={tmp_path}"])
    assert leaving.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_results_that_cannot_be_read_are_named(evaluate, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "results.json").write_text("{")
    with pytest.raises(SystemExit, match="2"):
        evaluate("jpeg")
    assert "results.json: " in capsys.readouterr().err.splitlines()[-1]
