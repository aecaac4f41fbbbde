"""Exported networks, run by ONNX Runtime and by JAX alone, against the networks themselves."""

import dataclasses
import datetime
import json
import shlex

import jax
import jaxlib
import numpy as np
import pytest

from casjax.benchmark.networks import make_model
from casjax.export import __main__ as export
from casjax.export.stablehlo import export_stablehlo
from casjax.models import MODELS, variable_shapes, vary
from casjax.networks import pretrained
from casjax.networks.colour import is_for_colour, restored_planes
from casjax.networks.colour_restorer import make_colour_restorer

OTHERWISE = {
    "prelu": "channel",
    "activate_outputs": False,
    "padding": "edge",
    "residual": True,
    "batch_norm": True,
}
COLOUR = {"channels": 3, "condition": 2}
SIZES = [(1, 24, 40), (2, 16, 8)]


def network(name, **options):
    """A network whose every weight and statistic matters, with results well inside the range."""
    model = vary(make_model(name, dtype="float32", convolution="direct"), **options)
    generator = np.random.default_rng(0)

    def draw(path, leaf):
        if "kernel" in str(path):
            deviation = 0.5 * np.prod(leaf.shape[:-1]) ** -0.5
            return generator.normal(0, deviation, leaf.shape).astype(np.float32)
        return generator.uniform(0.2, 0.6, leaf.shape).astype(np.float32)

    variables = jax.tree_util.tree_map_with_path(draw, variable_shapes(model))
    return pretrained.Network(name, model, variables, (15, 25))


def calls(model, sizes):
    generator = np.random.default_rng(1)
    for n, h, w in sizes:
        if is_for_colour(model):
            planes, tables = generator.integers(0, 256, (n, h, w, 3)), np.empty((n, 2, 8, 8))
            tables[:] = generator.integers(1, 256, tables.shape)
            yield [planes.astype(np.float32), tables.astype(np.float32)]
        else:
            yield [generator.random((n, h, w, 1), np.float32)]


def onnx_runner(network):
    pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    from casjax.export.onnx_graph import export_onnx

    content = export_onnx(network.model, network.variables, metadata={"purpose": "a test"})
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    assert session.get_modelmeta().custom_metadata_map == {"purpose": "a test"}
    names = "degraded", "tables"
    return lambda *inputs: session.run(None, dict(zip(names, inputs, strict=False)))[0]


def stablehlo_runner(network):
    content = export_stablehlo(network.model, network.variables, platforms=["cpu", "cuda", "tpu"])
    exported = jax.export.deserialize(bytearray(content))
    assert exported.platforms == ("cpu", "cuda", "tpu")
    return exported.call


@pytest.mark.parametrize("make_runner", [onnx_runner, stablehlo_runner])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("arcnn", {}),
        pytest.param("l4", {}, marks=pytest.mark.slow),
        pytest.param("l8", {}, marks=pytest.mark.slow),
        pytest.param("cascnn", {}, marks=pytest.mark.slow),
        pytest.param("cascnn", OTHERWISE, marks=pytest.mark.slow),
        pytest.param("cascnn", {"skip_connections": False}, marks=pytest.mark.slow),
        pytest.param("cascnn", COLOUR, marks=pytest.mark.slow),
        pytest.param("cascnn", OTHERWISE | COLOUR, marks=pytest.mark.slow),
    ],
)
def test_any_size_as_the_network_itself(make_runner, name, options):
    original = network(name, **options)
    run = make_runner(original)
    for inputs in calls(original.model, SIZES):
        if is_for_colour(original.model):
            planes, tables = inputs
            change = make_colour_restorer(original.model, original.variables, tile=512)
            expected = planes + change(planes.astype(np.uint8), tables.astype(np.int32))
            white, tolerance = 255, 0.07  # of changes in half precision, up to 255
            exact = restored_planes(original.model, original.variables, *inputs)
            np.testing.assert_allclose(run(*inputs), exact, atol=255e-5)
        else:
            expected = np.clip(original.model.apply(original.variables, *inputs)[0], 0, 1)
            white, tolerance = 1, 1e-5
        assert ((expected > 0) & (expected < white)).mean() > 0.5
        assert expected.std() > 0.01 * white
        np.testing.assert_allclose(run(*inputs), expected, atol=tolerance)


@pytest.mark.parametrize("name", pretrained.manifest())
def test_every_network_that_ships_has_its_graph(name):
    pytest.importorskip("onnx")
    from casjax.export.onnx_graph import GRAPHS

    assert MODELS[pretrained.manifest()[name]["model"]["name"]] in GRAPHS


@pytest.fixture
def command(monkeypatch, tmp_path, capsys):
    """The command on a small network: exit status, output, errors."""

    def load_network(name):
        if name != "small":
            raise FileNotFoundError(f"{name}: no network of that name ships")
        return dataclasses.replace(network("arcnn"), name=name)

    monkeypatch.setattr(pretrained, "load_network", load_network)
    monkeypatch.setenv("CASJAX_COMPILATION_CACHE", "off")
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        try:
            status = export.main(arguments)
        except SystemExit as leaving:
            status = leaving.code
        return status, *capsys.readouterr()

    return run


def test_command_writes_what_it_checked_in_a_fresh_process(command, tmp_path):
    pytest.importorskip("onnxruntime")
    onnx = pytest.importorskip("onnx")
    status, output, errors = command("small", "-o", "deep/exported")
    assert (status, errors) == (0, "")
    assert output.count("of the network") == 2
    folder = tmp_path / "deep" / "exported"
    names = [path.name for path in sorted(folder.iterdir())]
    assert names == ["small.json", "small.onnx", "small.stablehlo"]
    # What only jaxlib on some processors knows stays here.
    assert b"__onednn" not in (folder / "small.stablehlo").read_bytes()
    facts = json.loads((folder / "small.json").read_text())
    assert "quality 15 to 25" in facts["purpose"]
    assert facts["height and width"] == "any"
    for about in facts["files"].values():
        written = datetime.date.fromisoformat(about["written"])
        assert abs((datetime.datetime.now(datetime.UTC).date() - written).days) <= 1
    after = f"6 months after jaxlib {jaxlib.__version__} was"
    assert after in facts["files"]["stablehlo"]["serves"]
    model = onnx.load(folder / "small.onnx")
    opset, ir_version = model.opset_import[0].version, model.ir_version
    later = f"for opset {opset}, IR version {ir_version}, or later"
    assert later in facts["files"]["onnx"]["serves"]
    status, _, errors = command("small", "-o", "deep/exported")
    assert status == 2
    assert "small.stablehlo exists: --overwrite replaces it" in errors.splitlines()[-1]
    for file_format, about in facts["files"].items():
        program, *anew = shlex.split(about["made anew by"])
        assert (program, anew.pop(0)) == ("casjax", "export")
        options = export.make_parser().parse_args(anew)
        found = options.network, options.formats, options.overwrite
        assert found == ("small", [file_format], True)


def test_formats_may_be_written_one_after_another(command, monkeypatch, tmp_path):
    pytest.importorskip("onnx")
    monkeypatch.setattr(export, "serialize", lambda *_: b"content")
    monkeypatch.setattr(export, "require_libraries", lambda _: None)
    monkeypatch.setattr(export, "largest_difference", lambda *_: 0.0)
    for file_format in ("onnx", "stablehlo"):
        status, _, errors = command("small", "--formats", file_format)
        assert (status, errors) == (0, "")
    description = tmp_path / "small.json"
    assert json.loads(description.read_text())["files"].keys() == {"onnx", "stablehlo"}
    (tmp_path / "small.stablehlo").unlink()
    command("small", "--formats", "onnx", "--overwrite")
    assert json.loads(description.read_text())["files"].keys() == {"onnx"}
    facts = json.loads(description.read_text())
    description.write_text(json.dumps(facts | {"network": "another/small"}))
    command("small", "--formats", "stablehlo", "--overwrite")
    assert json.loads(description.read_text())["files"].keys() == {"stablehlo"}
    (tmp_path / "small.stablehlo").unlink()
    description.write_text('{"network": "small", "files": []}')
    status, _, errors = command("small", "--formats", "stablehlo")
    assert status == 2
    assert "small.json exists: --overwrite replaces it" in errors.splitlines()[-1]


def test_numbers_that_are_none_are_no_agreement(command, monkeypatch, tmp_path):
    def broken(network, *_):
        variables = jax.tree.map(lambda leaf: leaf * float("nan"), network.variables)
        return export_stablehlo(network.model, variables, platforms=["cpu"])

    monkeypatch.setattr(export, "serialize", broken)
    status, _, errors = command("small", "--formats", "stablehlo")
    assert status == 1
    assert "it differs from the network by nan" in errors
    assert list(tmp_path.iterdir()) == []


def test_what_disagrees_is_not_written(command, monkeypatch, tmp_path):
    def wrong(network, *_):
        variables = jax.tree.map(lambda leaf: leaf * 0.99, network.variables)
        return export_stablehlo(network.model, variables, platforms=["cpu"])

    monkeypatch.setattr(export, "serialize", wrong)
    status, output, errors = command("small", "--formats", "stablehlo")
    assert (status, output) == (1, "")
    assert errors.startswith("error: small.stablehlo is not written: it differs from the network")
    assert list(tmp_path.iterdir()) == []


def test_what_does_not_run_is_not_written(command, monkeypatch, tmp_path):
    monkeypatch.setattr(export, "serialize", lambda *_: b"no program")
    status, _, errors = command("small", "--formats", "stablehlo")
    assert status == 1
    assert errors.startswith("error: the stablehlo file does not run: ")
    assert list(tmp_path.iterdir()) == []


def test_wrong_usage(command, monkeypatch):
    status, _, errors = command("other", "--formats", "stablehlo")
    assert status == 2
    assert "other: no network of that name ships" in errors.splitlines()[-1]
    monkeypatch.setattr(export.importlib.util, "find_spec", lambda name: None)
    status, _, errors = command("small")
    assert status == 2
    assert "onnx needs onnx: pip install 'casjax[export]'" in errors.splitlines()[-1]


def test_a_network_without_a_graph_is_refused_before_anything_is_written(
    command, monkeypatch, tmp_path
):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from casjax.export import onnx_graph

    monkeypatch.delitem(onnx_graph.GRAPHS, MODELS["arcnn"])
    status, _, errors = command("small", "-o", "exported")
    assert status == 2
    assert "ARCNN has no graph" in errors.splitlines()[-1]
    assert errors.splitlines()[-1].endswith("--formats stablehlo")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cascnn-qf20", "cascnn-colour"])
def test_a_network_that_ships(name, tmp_path, capsys):
    pytest.importorskip("onnxruntime")
    assert export.main([name, "-o", str(tmp_path)]) == 0
    assert capsys.readouterr().out.count("of the network") == 2
    facts = json.loads((tmp_path / f"{name}.json").read_text())
    assert ("tables" in facts) == ("0..255" in facts["input"]) == (name == "cascnn-colour")
