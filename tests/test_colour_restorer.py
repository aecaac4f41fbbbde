"""Networks for colour on pictures of any size: tiles, tables, and what comes back."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from casjax import jpeg
from casjax.models import create_model, variable_shapes
from casjax.models.convolutions import onednn
from casjax.networks import graphs, pretrained
from casjax.networks.colour_restorer import change_batch, make_colour_restorer


class Smoother(nn.Module):
    """Blurs all planes over 5 pixels and adds the condition."""

    channels: int = 3
    condition: int = 2
    alignment = 8
    halo = 2

    @nn.compact
    def __call__(self, planes, condition):
        height, width = planes.shape[1:3]
        weight = self.param("weight", nn.initializers.constant(0.2), ())
        padded = jnp.pad(planes, ((0, 0), (2, 2), (0, 0), (0, 0)))
        blurred = weight * sum(padded[:, i : i + height] for i in range(5))
        padded = jnp.pad(blurred, ((0, 0), (0, 0), (2, 2), (0, 0)))
        blurred = weight * sum(padded[:, :, i : i + width] for i in range(5))
        return (blurred + 0.01 * condition[:, None, None, :1],)


VARIABLES = {"params": {"weight": jnp.float32(0.2)}}
TABLES = np.asarray(jpeg.quantization_tables(np.array([20, 100])))
PLANES = np.random.default_rng(0).integers(40, 200, (2, 50, 75, 3)).astype(np.uint8)


def test_tiles_are_parts_of_the_whole():
    whole = make_colour_restorer(Smoother(), VARIABLES, tile=128)(PLANES, TABLES)
    tiled = make_colour_restorer(Smoother(), VARIABLES, tile=24)(PLANES, TABLES)
    assert whole.shape == PLANES.shape
    assert whole.dtype == np.float16
    np.testing.assert_allclose(tiled, whole, atol=0.01)


def test_changes_are_in_levels_of_the_file_and_each_picture_has_its_tables():
    changes = make_colour_restorer(Smoother(), VARIABLES, tile=128)(PLANES, TABLES)
    inner = (slice(None), slice(2, -2), slice(2, -2))
    windows = np.lib.stride_tricks.sliding_window_view(PLANES.astype(float), (5, 5), axis=(1, 2))
    told = np.log(TABLES[:, 0]).mean((1, 2)) / np.log(255)
    added = 0.01 * told[:, None] * 255 * 255 / np.array([219, 224, 224])
    expected = windows.mean((-2, -1)) + added[:, None, None] - PLANES[inner]
    np.testing.assert_allclose(changes[inner], expected, atol=0.1)


def test_one_pair_of_tables_serves_all_pictures():
    restorer = make_colour_restorer(Smoother(), VARIABLES, tile=128)
    both = restorer(PLANES, TABLES[0])
    np.testing.assert_array_equal(both[0], restorer(PLANES, TABLES)[0])


def test_no_plane_leaves_its_range():
    bright = np.full((1, 16, 16, 3), 254, np.uint8)
    variables = {"params": {"weight": jnp.float32(1.0)}}
    changes = make_colour_restorer(Smoother(), variables, tile=128)(bright, TABLES[0])
    assert changes.max() == 1


@pytest.mark.parametrize("shape", [(50, 75, 3), (1, 50, 75, 1), (1, 0, 75, 3)])
def test_other_arrays_are_refused(shape):
    restorer = make_colour_restorer(Smoother(), VARIABLES, tile=128)
    with pytest.raises(ValueError, match="expected pictures"):
        restorer(np.zeros(shape, np.uint8), TABLES[0])


def test_tiles_without_an_inside_are_refused():
    with pytest.raises(ValueError, match="tile=16: expected a multiple of 8 pixels above 16"):
        make_colour_restorer(Smoother(), VARIABLES, tile=16)


@pytest.mark.parametrize("side", [64, 512])
def test_jax_can_keep_the_compilation_of_the_shipped_network(side, monkeypatch):
    monkeypatch.setattr(graphs, "_folder", lambda: None)  # traced, here, without being kept
    model = create_model(**pretrained.manifest()["cascnn-colour"]["model"])
    planes = jax.ShapeDtypeStruct((1, side, side, 3), np.uint8)
    tables = jax.ShapeDtypeStruct((1, 2, 8, 8), np.int32)
    program = str(jax.make_jaxpr(change_batch(model))(variable_shapes(model), planes, tables))
    assert "conv" in program or "dot_general" in program
    assert not any(target in program for target in onednn.TARGETS)
