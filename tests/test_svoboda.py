"""L4 and L8 against their published sizes and what their attributes promise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from casjax.models import create_model

WEIGHTS = {
    "l4": [11 * 11 * 48, 9 * 48 * 64, 9 * 64 * 64, 25 * 64],
    "l8": [
        11 * 11 * 32,
        9 * 32 * 64,
        9 * 64 * 64,
        9 * 64 * 64,
        (32 + 64) * 64,
        25 * 64 * 64,
        (32 + 64) * 128,
        25 * 128,
    ],
}
TOTALS = {"l4": (71_920, 48 + 64 + 64 + 1), "l8": (220_064, 32 + 5 * 64 + 128 + 1)}


def make(name, *, dtype="float32", convolution="direct"):
    return create_model(name=name, dtype=dtype, convolution=convolution)


def initial_parameters(name):
    return make(name).init(jax.random.key(0), jnp.zeros((1, 4, 4, 1)))["params"]


@pytest.mark.parametrize("name", WEIGHTS)
def test_has_the_published_number_of_weights(name):
    shapes = jax.eval_shape(lambda: initial_parameters(name))
    layers = [shapes[f"conv{i + 1}"] for i in range(len(shapes))]
    assert [layer["kernel"].size for layer in layers] == WEIGHTS[name]
    weights, biases = (sum(layer[kind].size for layer in layers) for kind in ("kernel", "bias"))
    assert (weights, biases) == TOTALS[name]


@pytest.mark.parametrize("name", WEIGHTS)
def test_starts_near_the_degraded_picture_which_is_added_to_the_increment(name):
    degraded = jax.random.uniform(jax.random.key(1), (2, 10, 13, 1))
    parameters = initial_parameters(name)
    (restored,) = make(name).apply({"params": parameters}, degraded)
    assert 1e-4 < np.abs(restored - degraded).max() < 0.05
    silent = jax.tree.map(jnp.zeros_like, parameters)
    np.testing.assert_array_equal(make(name).apply({"params": silent}, degraded)[0], degraded)


@pytest.mark.parametrize("name", WEIGHTS)
def test_formulations_and_dtypes_agree(name):
    degraded = jax.random.uniform(jax.random.key(1), (1, 12, 12, 1))
    variables = {"params": initial_parameters(name)}
    (expected,) = make(name).apply(variables, degraded)
    (found,) = make(name, convolution="winograd").apply(variables, degraded)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    (rounded,) = make(name, dtype="bfloat16").apply(variables, degraded)
    assert rounded.dtype == jnp.float32
    np.testing.assert_allclose(rounded, expected, atol=2e-3)


@pytest.mark.parametrize("name", WEIGHTS)
def test_halo_is_exact(name):
    shapes = jax.eval_shape(lambda: initial_parameters(name))
    parameters = jax.tree.map(lambda x: jnp.full(x.shape, 1e-3), shapes)  # nothing cancels or dies
    radius = make(name).halo
    size = 2 * radius + 5
    middle = size // 2

    def of_middle(degraded):
        return make(name).apply({"params": parameters}, degraded)[0][0, middle, middle, 0]

    influence = np.asarray(jax.grad(of_middle)(jnp.ones((1, size, size, 1))))[0, ..., 0]
    for places in np.nonzero(influence):
        assert abs(places - middle).max() == radius
