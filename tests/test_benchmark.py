"""The benchmark: what it counts against hand-made counts, and the command on tiny pictures."""

import json
import math
import time

import jax
import numpy as np
import pytest

from casjax.benchmark import networks, parts, processes, timing
from casjax.benchmark.__main__ import main
from casjax.models import MODELS


@pytest.mark.parametrize("name", MODELS)
def test_every_network_is_what_the_config_of_its_name_trains(name):
    assert type(networks.make_model(name, dtype="bfloat16")) is MODELS[name]
    assert networks.make_model(name, dtype="bfloat16").dtype == "bfloat16"


def test_arithmetic_is_that_of_the_paper():
    """511k multiply-adds a pixel for CAS-CNN; less at the border, where a kernel sees zeros."""
    side = 512
    flops = networks.forward_flops("cascnn", (1, side, side, 1))
    assert flops / side**2 == pytest.approx(2 * 511_000, rel=0.02)
    weights = 9 * 9 * 64 + 7 * 7 * 64 * 32 + 32 * 16 + 5 * 5 * 16
    flops = networks.forward_flops("arcnn", (1, side, side, 1))
    assert flops / side**2 == pytest.approx(2 * weights, rel=0.02)


def test_training_takes_three_times_the_arithmetic_of_a_forward_pass():
    """The gradients of inputs and of kernels each cost as much, but the image needs none."""
    shape = (2, 120, 120, 1)
    ratio = networks.training_flops("cascnn", shape) / networks.forward_flops("cascnn", shape)
    assert 2.9 < ratio < 3.1


def sleeping(seconds):
    return lambda: time.sleep(seconds)


def test_figures_are_rates_and_ratios_of_medians():
    case = timing.Case(
        name="inference",
        model="none",
        shape=(4, 5),
        unit="Mpixel/s",
        amount=2.0,
        call=sleeping(0.01),
        rivals={"torch": sleeping(0.04), "torch.compile": sleeping(0.02)},
    )
    own, *others = timing.measure(case, calls=3, seconds=10)
    assert (own["library"], own["calls"], own["shape"]) == ("casjax", 3, [4, 5])
    assert own["min"] <= own["median"] <= own["max"] < 2.0 / 0.01
    assert own["ratio_to_torch"] == own["median"] / others[1]["median"] > 1
    assert [other["library"] for other in others] == ["torch", "torch.compile"]
    assert own["limit"] is own["ratio_to_limit"] is None


def test_the_limit_of_a_product_is_itself():
    side = timing._side()
    case = timing.Case(
        name="product",
        unit="products/s",
        call=timing._product("float32"),
        flops=2 * side**3,
    )
    [record] = timing.measure(case, calls=5, seconds=60)
    assert 0.3 < record["ratio_to_limit"] < 3


def test_time_is_limited_but_never_to_nothing():
    [times] = timing.interleave([sleeping(0.05)], calls=100, seconds=0.12)
    assert 1 <= len(times) <= 3


def test_batches_are_those_asked_for():
    settings = parts.Settings(
        models=["l4"],
        dtypes=["float32"],
        compare=False,
        quick=True,
        max_megapixels=0,
        batches=[3, 5],
    )
    for cases in (parts.inference_cases(settings), parts.training_cases(settings)):
        assert [case.shape[0] for case in cases] == [3, 5]


def test_training_steps_change_the_parameters():
    training = networks.Training("l4", "float32", batch_size=2, devices=2)
    before = jax.device_get(training._state.variables)
    training.run(training.next_batch, 1)
    training.run(training.resident_batch, 1)
    after = jax.device_get(training._state.variables)
    assert int(training._state.step) == 2
    changed = jax.tree.map(lambda a, b: not np.array_equal(a, b), before, after)
    assert all(jax.tree.leaves(changed))


def test_the_command_writes_records(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("CASJAX_COMPILATION_CACHE", "off")
    path = tmp_path / "figures.json"
    command = ["--quick", "--calls", "2", "--only", "feeding,jpeg", "--json", str(path)]
    assert main(command) == 0
    records = json.loads(path.read_text())
    assert {record["name"] for record in records} == {"feeding", "jpeg"}
    for record in records:
        assert 0 < record["min"] <= record["median"] <= record["max"] < math.inf
        assert record["name"] == "feeding" or record["ratio_to_limit"] > 0
        assert {"model", "dtype", "shape", "unit", "ratio_to_torch", "machine"} <= record.keys()
    assert "cut-outs/s" in capsys.readouterr().out


@pytest.mark.parametrize(
    "wrong",
    [
        ["--only", "nothing"],
        ["--models", "vgg"],
        ["--calls", "0"],
        ["--batches", "8,"],
        ["--dtypes", "mixed", "--models", "cascnn,l4"],
        ["--json", "nowhere/figures"],
        ["--json", "."],
    ],
)
def test_wrong_usage(wrong, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(wrong)
    assert "error" in capsys.readouterr().err


def test_a_task_in_a_process_of_its_own(monkeypatch):
    monkeypatch.setenv("CASJAX_COMPILATION_CACHE", "off")
    task = processes._task("train_step", "l4", "float32", networks.cutouts(2), devices=2)
    answer = processes._answer(task, calls=1)
    assert len(answer["seconds"]) == 1
    assert answer["peaks"]["host"] > 100 * 2**20


def test_a_process_that_fails_says_why():
    with pytest.raises(RuntimeError, match="No module named"):
        processes._run(["casjax.nothing"], {})


@pytest.mark.parametrize("name", ["arcnn", "cascnn", "l4", "l8"])
def test_pytorch_computes_the_same(name):
    torch_networks = pytest.importorskip("casjax.benchmark.torch_networks")
    torch_networks.make_network(name)


def test_growth_is_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    from casjax.report import growth

    def record(detail, shape, seconds, devices=1):
        same = {"name": "growth", "model": "l4", "peaks": {"host": 2**30}}
        return same | {"detail": detail, "shape": shape, "median": seconds, "devices": devices}

    records = [record("size", [1, side, side, 1], side / 100) for side in (100, 1000)]
    records += [record("batch", [4, 256, 256, 1], 1.0), record("devices", [8, 120, 120, 1], 2.0, 2)]
    path = tmp_path / "figures.json"
    path.write_text(json.dumps(records))
    assert growth.main([str(path), "-o", str(tmp_path / "growth")]) == 0
    assert (tmp_path / "growth-light.svg").stat().st_size > 0

    path.write_text('{"name": "growth"}')
    with pytest.raises(SystemExit, match="2"):
        growth.main([str(path), "-o", str(tmp_path / "growth")])

    time_panel, memory, training = growth.growth(records).axes
    assert time_panel.get_xscale() == memory.get_yscale() == training.get_yscale() == "log"
    np.testing.assert_allclose(time_panel.lines[0].get_xydata(), [[0.01, 1], [1, 10]])
    np.testing.assert_allclose(training.lines[0].get_xydata(), [[2, 4]])


def test_growth_needs_figures_of_it(tmp_path, capsys):
    from casjax.report import growth

    path = tmp_path / "figures.json"
    path.write_text("[]")
    with pytest.raises(SystemExit, match="2"):
        growth.main([str(path), "-o", str(tmp_path / "growth")])
    assert "it has no part growth: casjax benchmark --only growth" in capsys.readouterr().err
