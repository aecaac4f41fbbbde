"""Kept graphs and facts against the functions they are of."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from convolving import NEEDS_ONEDNN

from casjax.models import convolutions
from casjax.networks import graphs
from casjax.networks.graphs import kept_call, kept_fact


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(graphs, "_folder", lambda: tmp_path / "graphs")
    return tmp_path / "graphs"


class Counting:
    """A function of a tree and an array that counts how often it is traced."""

    def __init__(self):
        self.traced = 0

    def __call__(self, tree, x):
        self.traced += 1
        return tree["scale"] * jnp.sin(x)


def arguments(size=3):
    return {"scale": np.float32(2)}, np.linspace(0, 1, size, dtype=np.float32)


def test_another_process_need_not_trace(folder):
    first, second = Counting(), Counting()
    tree, x = arguments()
    expected = 2 * np.sin(x)
    np.testing.assert_allclose(kept_call(first, name="f")(tree, x), expected, rtol=1e-6)
    call = kept_call(second, name="f")
    for _ in range(2):
        np.testing.assert_allclose(call(tree, x), expected, rtol=1e-6)
    assert (first.traced, second.traced) == (1, 0)
    call(*arguments(4))  # of another shape
    kept_call(second, name="g")(tree, x)
    assert second.traced == 2


def test_without_a_folder_it_is_jitted(monkeypatch):
    monkeypatch.setattr(graphs, "_folder", lambda: None)
    function = Counting()
    call = kept_call(function, name="f")
    assert float(call(*arguments())[2]) == pytest.approx(2 * np.sin(1))
    call(*arguments())
    assert function.traced == 1
    assert kept_fact(lambda: [1, 2], name="numbers") == [1, 2]


@pytest.mark.parametrize("damage", [b"", b"\xff\xfe damaged", b"{"])
def test_what_is_damaged_is_made_anew(folder, damage):
    tree, x = arguments()
    expected = kept_call(Counting(), name="f")(tree, x)
    assert kept_fact(lambda: {"bytes": 3}, name="fact") == {"bytes": 3}
    for path in folder.iterdir():
        path.write_bytes(damage)
    again = Counting()
    np.testing.assert_array_equal(kept_call(again, name="f")(tree, x), expected)
    assert again.traced == 1
    assert kept_fact(lambda: {"bytes": 4}, name="fact") == {"bytes": 4}
    assert kept_fact(lambda: {"bytes": 5}, name="fact") == {"bytes": 4}


def test_a_folder_that_cannot_be_written_costs_time_alone(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(graphs, "_folder", lambda: tmp_path / "file")
    assert kept_fact(lambda: 7, name="fact") == 7


def test_other_code_versions_and_processors_make_it_anew(folder, monkeypatch, tmp_path):
    code = tmp_path / "code.py"
    code.write_text("a = 1")
    monkeypatch.setattr(graphs, "CODE", (tmp_path,))
    changes = (
        lambda: None,
        lambda: code.write_text("a = 2"),
        lambda: monkeypatch.setattr(graphs.jaxlib, "__version__", "99.0"),
        lambda: monkeypatch.setattr(graphs.flax, "__version__", "99.0"),
        lambda: monkeypatch.setattr(graphs.probe, "processor", lambda: "another"),
    )
    for number, change in enumerate(changes):
        change()
        graphs._circumstances.cache_clear()
        assert kept_fact(lambda number=number: number, name="fact") == number
        assert kept_fact(lambda: "not asked", name="fact") == number
    graphs._circumstances.cache_clear()


def test_the_second_restoration_traces_no_network(tmp_path):
    """A command's second run, with networks that can no longer be traced."""
    from PIL import Image

    picture = tmp_path / "photo.jpg"
    noise = np.random.default_rng(0).integers(256, size=(24, 24), dtype=np.uint8)
    Image.fromarray(noise).save(picture, quality=20)
    program = (
        "import sys\n"
        "from casjax.models import arcnn\n"
        "from casjax.restore import main\n"
        "if sys.argv[1] == 'untraceable':\n"
        "    arcnn.ARCNN.__call__ = None\n"
        f"sys.exit(main([{str(picture)!r}, '--model=arcnn-qf20', '--overwrite']))"
    )
    for mode in ("traced", "untraceable"):
        done = subprocess.run(
            [sys.executable, "-c", program, mode],
            capture_output=True,
            text=True,
            cwd=Path(__file__).parent.parent,
            env={"PATH": "", "CASJAX_COMPILATION_CACHE": str(tmp_path / "cache")},
        )
        assert done.returncode == 0, done.stderr


@NEEDS_ONEDNN
def test_a_graph_may_hold_calls_of_onednn(folder):
    x, kernel = jnp.ones((1, 6, 7, 2)), jnp.ones((5, 5, 2, 3))
    found = kept_call(partial(convolutions.conv, formulation="onednn"), name="conv")(x, kernel)
    assert any(folder.iterdir())
    np.testing.assert_allclose(found, convolutions.conv(x, kernel, "direct"), rtol=1e-5)
