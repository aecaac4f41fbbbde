"""Networks for colour: what they see and give, and how they grow out of those for luma."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from casjax.color import rgb_to_luma, rgb_to_ycbcr
from casjax.jpeg import quantization_tables
from casjax.models import create_model, variable_shapes
from casjax.networks import colour
from casjax.networks.weights import save_weights
from configs import base

RGB = np.random.default_rng(0).integers(0, 256, (4, 5, 3)).astype(np.uint8)


def make(**changes):
    options = base.get_config().model.to_dict() | {"convolution": "direct"} | changes
    return create_model(**options)


@pytest.fixture(scope="module")
def luma_variables():
    image = jax.ShapeDtypeStruct((1, 64, 64, 1), jnp.float32)
    model = make(initializer="image_carrying")
    return model.lazy_init(jax.random.key(0, impl="rbg"), image)


def test_planes_have_the_range_of_luma_networks():
    seen = colour.to_network(rgb_to_ycbcr(RGB))
    assert np.abs(np.asarray(seen[..., 0]) * 255 - rgb_to_luma(RGB)).max() < 0.51  # it is rounded
    grey = colour.to_network(np.array([[0, 128, 128], [255, 128, 128]]))
    np.testing.assert_allclose(grey[:, 0] * 255, [16, 235], rtol=1e-6)


def test_planes_there_and_back():
    planes = rgb_to_ycbcr(RGB)
    np.testing.assert_allclose(colour.from_network(colour.to_network(planes)), planes, atol=1e-4)


def test_rgb_is_that_of_the_file():
    found = colour.to_rgb(colour.to_network(rgb_to_ycbcr(RGB)))
    np.testing.assert_allclose(found * 255, RGB, atol=2e-3)


def test_the_condition_falls_with_the_quality_and_tells_luma_from_chroma():
    conditions = np.asarray(colour.condition_of(quantization_tables(np.arange(1, 101))))
    assert conditions.shape == (100, 2)
    assert (np.diff(conditions[1:], axis=0) <= 0).all()
    assert conditions[0] == pytest.approx(1, abs=1e-3)  # all steps 255
    assert conditions[99] == pytest.approx(0)
    assert (conditions[1:90, 1] > conditions[1:90, 0]).all()


def test_grown_networks_restore_luma_as_before_and_carry_chroma(luma_variables):
    luma, model = make(), make(channels=3, condition=2)
    grown = colour.grow(luma_variables, variable_shapes(model))
    keys = jax.random.split(jax.random.key(1))
    degraded = jax.random.uniform(keys[0], (2, 64, 48, 3))
    outputs = model.apply(grown, degraded, jax.random.uniform(keys[1], (2, 2)))
    expected = luma.apply(luma_variables, degraded[..., :1])
    scaled = degraded[..., 1:]
    for found, wanted in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(found[..., :1], wanted, rtol=0, atol=2e-6)
        np.testing.assert_allclose(found[..., 1:], scaled, rtol=0, atol=1e-6)
        n, h, w, c = scaled.shape
        scaled = scaled.reshape(n, h // 2, 2, w // 2, 2, c).mean((2, 4))


def test_all_of_a_grown_network_learns(luma_variables):
    """No weight stays zero for want of a gradient once those to the outputs have moved."""
    model = make(channels=3, condition=2)
    variables = colour.grow(luma_variables, variable_shapes(model))
    keys = jax.random.split(jax.random.key(1), 3)
    degraded = jax.random.uniform(keys[0], (1, 32, 32, 3))
    clean = jax.random.uniform(keys[1], (1, 32, 32, 3))
    condition = jax.random.uniform(keys[2], (1, 2))

    @jax.jit
    @jax.grad
    def slope(variables):
        finest, *_ = model.apply(variables, degraded, condition)
        return jnp.mean((finest - clean) ** 2)

    first = slope(variables)["params"]
    assert (jnp.abs(first["A_out"]["kernel"]).max((0, 1, 2)) > 0).all()
    variables = jax.tree.map(lambda v, d: v - 0.1 * d, variables, slope(variables))
    second = slope(variables)["params"]
    assert (jnp.abs(second["A1"]["kernel"]).max((0, 1, 3)) > 0).all()


def test_a_training_may_start_from_either(luma_variables, tmp_path):
    model = make(channels=3, condition=2)
    shapes = variable_shapes(model)
    grown = colour.grow(luma_variables, shapes)
    for name, variables in (("luma", luma_variables), ("colour", grown)):
        save_weights(tmp_path / name, variables)
        loaded = colour.load_start(tmp_path / name, model, shapes)
        jax.tree.map(partial(np.testing.assert_array_equal, err_msg=name), loaded, grown)
    with pytest.raises(ValueError, match="weights of another network"):
        colour.load_start(tmp_path / "colour", make(), variable_shapes(make()))
