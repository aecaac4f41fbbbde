import os
import re
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from casjax.models import create_model
from casjax.networks import inference
from casjax.networks.compilation import cache_compilations
from casjax.networks.inference import make_restorer, restore_batch


class Pooling(nn.Module):
    """A small network with all that makes tiling hard: a grid, zero padding, two scales."""

    alignment: ClassVar[int] = 8
    halo: ClassVar[int] = 9  # 1 from the last convolution, a block of 4 for each of two, 1 more

    @nn.compact
    def __call__(self, x):
        fine = nn.relu(nn.Conv(4, (3, 3), name="fine")(x - 0.5))
        coarse = nn.avg_pool(fine, (4, 4), (4, 4))
        coarse = nn.relu(nn.Conv(4, (3, 3), name="coarse")(coarse))
        enlarged = jnp.repeat(jnp.repeat(coarse, 4, axis=1), 4, axis=2)
        finest = nn.Conv(1, (3, 3), name="output")(jnp.concatenate([fine, enlarged], -1))
        return finest + 0.5, coarse


class Understated(Pooling):
    """The same network with a lie about how much it sees."""

    halo: ClassVar[int] = 0


class Scaling(nn.Module):
    """Multiplies by a number: what comes out is known by hand."""

    alignment: ClassVar[int] = 1
    halo: ClassVar[int] = 0

    @nn.compact
    def __call__(self, x):
        return (x * self.param("factor", nn.initializers.ones, ()),)


def random_variables(model, size=32):
    return model.init(jax.random.key(1), jnp.zeros((1, size, size, 1)))


def random_pictures(*shape):
    return np.random.default_rng(0).integers(0, 256, (*shape, 1), np.uint8)


def assert_equal_to_rounding(pictures, others):
    """Floats that differ in their last bits may round to neighbours, if rarely."""
    assert pictures.shape == others.shape
    difference = np.abs(pictures.astype(int) - others)
    assert difference.max() <= 1
    assert np.mean(difference > 0) < 1e-3


def padded_whole(model, variables, pictures):
    """The definition: the network on the whole picture, continued by its edge to the grid."""
    _, height, width, _ = pictures.shape
    to_grid = [(0, -size % model.alignment) for size in (height, width)]
    padded = np.pad(pictures, [(0, 0), *to_grid, (0, 0)], mode="edge")
    finest = np.asarray(model.apply(variables, jnp.float32(padded) / 255)[0])
    return np.uint8(np.round(np.clip(finest * 255, 0, 255)))[:, :height, :width]


@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (2, 3, 70), (1, 64, 64), (1, 65, 63), (3, 100, 129), (1, 257, 40)]
)
@pytest.mark.parametrize("tile", [48, 64, 512])
def test_tiled_equals_whole(shape, tile):
    model = Pooling()
    variables = random_variables(model)
    pictures = random_pictures(*shape)
    restored = make_restorer(model, variables, tile=tile)(pictures)
    assert restored.dtype == np.uint8
    assert_equal_to_rounding(restored, padded_whole(model, variables, pictures))


def test_the_overlap_is_what_makes_them_equal():
    pictures = random_pictures(1, 200, 200)
    variables = random_variables(Pooling())
    restored = make_restorer(Understated(), variables, tile=64)(pictures)
    with pytest.raises(AssertionError):
        assert_equal_to_rounding(restored, padded_whole(Pooling(), variables, pictures))


def test_tiled_cascnn_equals_whole():
    model = create_model(
        name="cascnn",
        prelu="shared",
        activate_outputs=True,
        padding="zero",
        skip_connections=True,
        residual=False,
        batch_norm=False,
        initializer="paper",
        dtype="float32",
        convolution="direct",  # sees as far as the other, and compiles sooner
    )
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 8, 8, 1)))
    rng = np.random.default_rng(0)

    def weights(x):  # that keep the size of what passes, so that every layer matters
        inputs = max(1, int(np.prod(x.shape[:-1])))
        return np.float32(rng.normal(0, 1.5 / np.sqrt(inputs), x.shape))

    variables = jax.tree.map(weights, shapes)
    pictures = random_pictures(1, 130, 149)
    whole = make_restorer(model, variables, tile=512)(pictures)
    assert whole.std() > 2  # or there would be nothing to compare
    assert_equal_to_rounding(make_restorer(model, variables, tile=128)(pictures), whole)


def test_batches_of_windows_are_bounded_and_of_one_shape(monkeypatch):
    shapes = []

    def spying(model):
        def restore(variables, degraded):
            shapes.append(degraded.shape)
            return restore_batch(model)(variables, degraded)

        return restore

    monkeypatch.setattr(inference, "restore_batch", spying)
    variables = random_variables(Pooling())
    make_restorer(Pooling(), variables, tile=64)(random_pictures(7, 30, 30))
    assert shapes == [(4, 32, 32, 1)] * 2  # 7 windows and a spare one, 4 make 64 x 64 pixels
    shapes.clear()
    make_restorer(Pooling(), variables, tile=64)(random_pictures(1, 200, 300))
    assert set(shapes) == {(1, 64, 64, 1)}


def test_buckets_share_compilations():
    model = Pooling()
    restorer = make_restorer(model, random_variables(model), tile=512, bucket=64)
    compiled = restore_batch(model)._cache_size()
    for size in (65, 97, 128):
        assert restorer(random_pictures(1, size, size)).shape == (1, size, size, 1)
    assert restore_batch(model)._cache_size() <= compiled + 1


@pytest.mark.parametrize(
    ("factor", "expected"),
    [(1, [0, 1, 3, 5, 255]), (0.5, [0, 0, 2, 2, 128]), (-1, [0] * 5), (1000, [0, *[255] * 4])],
)
def test_clips_and_rounds_halves_to_even(factor, expected):
    variables = {"params": {"factor": jnp.float32(factor)}}
    degraded = np.uint8([0, 1, 3, 5, 255]).reshape(1, 1, 5, 1)
    restored = make_restorer(Scaling(), variables, tile=8)(degraded)
    np.testing.assert_array_equal(restored.ravel(), expected)


def test_products_are_not_rounded_on_accelerators():
    """Their default would be TF32 or bfloat16: what is asked for stands in the program."""
    network = Pooling()
    variables = network.init(jax.random.key(0), jnp.zeros((1, 16, 16, 1)))
    program = restore_batch(network).lower(variables, np.zeros((1, 16, 16, 1), np.uint8)).as_text()
    products = re.findall(r"stablehlo\.(?:convolution|dot_general).*", program)
    assert products
    assert all("HIGHEST" in line and "DEFAULT" not in line for line in products)


def test_takes_jax_arrays():
    variables = {"params": {"factor": jnp.float32(1)}}
    pictures = random_pictures(2, 9, 5)
    restored = make_restorer(Scaling(), variables, tile=8)(jnp.asarray(pictures))
    assert isinstance(restored, np.ndarray)
    np.testing.assert_array_equal(restored, pictures)


@pytest.mark.parametrize("tile", [0, 32, 50])
def test_impossible_tiles_are_refused(tile):
    with pytest.raises(ValueError, match=f"tile={tile}: expected a multiple of 8 pixels above 32"):
        make_restorer(Pooling(), random_variables(Pooling()), tile=tile)


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((1, 8, 8, 1), np.float32),
        np.zeros((8, 8), np.uint8),
        np.zeros((1, 0, 8, 1), np.uint8),
    ],
)
def test_other_arrays_are_refused(wrong):
    restorer = make_restorer(Scaling(), {"params": {"factor": jnp.float32(1)}}, tile=8)
    with pytest.raises(ValueError, match="expected pictures"):
        restorer(wrong)


def test_bare_parameters_are_refused():
    with pytest.raises(ValueError, match="expected variables with a tree 'params'"):
        make_restorer(Scaling(), {"factor": jnp.float32(1)}, tile=8)


def run_with_cache(**environment):
    program = """
import jax, jax.numpy as jnp
from casjax.networks.compilation import cache_compilations
print(cache_compilations())

@jax.jit
def much_to_compile(x):  # what takes the fastest machines less than 0.1 s is not kept
    for _ in range(100):
        x = jnp.cumsum(jnp.sort(x @ x, axis=0), axis=1)
    return jnp.linalg.qr(x)

much_to_compile(jnp.ones((9, 9)))
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_compilations_are_kept_in_the_users_cache_folder(tmp_path):
    folder = tmp_path / "casjax" / "jax"
    assert run_with_cache(XDG_CACHE_HOME=str(tmp_path)) == str(folder)
    assert list(folder.iterdir())


def test_a_user_without_a_home_does_without(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", raising_runtime_error)
    assert cache_compilations() is None


def raising_runtime_error():
    raise RuntimeError("Could not determine home directory")


def test_the_cache_can_be_moved_and_switched_off(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CASJAX_COMPILATION_CACHE", "off")
    assert cache_compilations() is None
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    monkeypatch.setenv("CASJAX_COMPILATION_CACHE", str(tmp_path / "file"))
    with pytest.raises(ValueError, match="CASJAX_COMPILATION_CACHE="):
        cache_compilations()
