"""CAS-CNN against Table I, Figure 1 and what its attributes promise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from convolving import NEEDS_ONEDNN

from casjax.models import MODELS, create_model, variable_shapes
from casjax.models.cascnn import Layer
from configs import base

# Table I: output channels, input channels, filter size.
TABLE_1 = {
    "A1": (128, 1, 3),
    "A2": (128, 128, 3),
    "B1": (128, 128, 3),
    "B2": (128, 128, 3),
    "C1": (256, 128, 3),  # the paper prints its channels the other way round
    "C2": (256, 256, 3),
    "D1": (256, 256, 3),
    "D2": (256, 256, 3),
    "D_up": (256, 256, 4),
    "D_out": (1, 256, 3),
    "C_up": (128, 513, 4),
    "C_out": (1, 513, 3),
    "B_up": (128, 257, 4),
    "B_out": (1, 257, 3),
    "A_out": (1, 257, 3),
}
IMAGE = jax.random.uniform(jax.random.key(1), (1, 64, 64, 1))


def make(**changes):
    options = base.get_config().model.to_dict() | {"convolution": "direct"} | changes
    return create_model(**options)


def variables_of(model, *, seed=0):
    """Like `steps.initial_variables`, without its compilation."""
    image = jax.ShapeDtypeStruct(IMAGE.shape, IMAGE.dtype)
    return model.lazy_init(jax.random.key(seed, impl="rbg"), image)


@pytest.fixture(scope="module")
def variables():
    return variables_of(make())


def test_parameters_are_those_of_table_1(variables):
    params = variables["params"]
    assert params.keys() == TABLE_1.keys()
    for name, (outputs, inputs, size) in TABLE_1.items():
        assert params[name]["kernel"].shape == (size, size, inputs, outputs)
        assert params[name]["bias"].shape == (outputs,)
        assert params[name]["slope"].shape == ()
    assert sum(layer["kernel"].size for layer in params.values()) == 5_144_987
    assert sum(layer["bias"].size for layer in params.values()) == 2_052


def test_one_slope_a_channel():
    params = jax.eval_shape(lambda: variables_of(make(prelu="channel")))["params"]
    assert sum(layer["slope"].size for layer in params.values()) == 2_052


def test_initial_values_are_uniform_within_the_papers_bounds(variables):
    for name, (_, inputs, _) in TABLE_1.items():
        kernel = np.asarray(variables["params"][name]["kernel"])
        limit = inputs**-0.5
        assert np.abs(kernel).max() <= limit
        assert np.std(kernel) == pytest.approx(limit / 3**0.5, rel=0.05)
        assert np.abs(variables["params"][name]["bias"]).max() <= limit


def test_outputs_are_images_at_four_scales(variables):
    outputs = make().apply(variables, IMAGE)
    assert [image.shape for image in outputs] == [(1, 64 >> i, 64 >> i, 1) for i in range(4)]
    assert {image.dtype for image in outputs} == {jnp.dtype("float32")}


@pytest.mark.parametrize("formulation", ["winograd", pytest.param("onednn", marks=NEEDS_ONEDNN)])
def test_formulations_agree(variables, formulation):
    direct = make(convolution="direct").apply(variables, IMAGE)
    other = make(convolution=formulation).apply(variables, IMAGE)
    for expected, found in zip(direct, other, strict=True):
        scale = np.abs(expected).max()
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * scale)


def test_halo_is_exact(variables):
    model = make()
    size, first, last = 176, 80, 87  # a block of the grid, along both axes
    image = jax.random.uniform(jax.random.key(2), (1, size, size, 1))

    def total(x):
        return model.apply(variables, x)[0][:, first : last + 1, first : last + 1].sum()

    seen = np.nonzero(np.asarray(jax.jit(jax.grad(total))(image))[0, :, :, 0])
    assert {first - places.min() for places in seen} == {model.halo}
    assert {places.max() - last for places in seen} == {model.halo}


def test_image_carrying_start_is_close_to_the_input():
    model = make(initializer="image_carrying")
    carried, half, *_ = model.apply(variables_of(model), IMAGE)
    np.testing.assert_allclose(carried, IMAGE, atol=0.05)
    np.testing.assert_allclose(half, IMAGE.reshape(1, 32, 2, 32, 2, 1).mean((2, 4)), atol=0.05)


def test_increments_start_from_nothing():
    model = make(initializer="image_carrying", residual=True)
    outputs = model.apply(variables_of(model), IMAGE)
    for i, output in enumerate(outputs):
        size = 64 >> i
        expected = IMAGE.reshape(1, size, 2**i, size, 2**i, 1).mean((2, 4))
        np.testing.assert_allclose(output, expected, atol=1e-6)


def test_mixed_dtypes_spare_the_picture_the_rounding():
    model = make(initializer="image_carrying")
    variables = variables_of(model)
    exact, *_ = model.apply(variables, IMAGE)

    def error(dtype):
        restored, *_ = make(initializer="image_carrying", dtype=dtype).apply(variables, IMAGE)
        assert restored.dtype == jnp.float32
        return float(jnp.sqrt(jnp.mean((restored - exact) ** 2)))

    assert error("mixed") < error("bfloat16") / 5


def test_mixed_gradients_are_those_of_float32_rounded(variables):
    def gradient(dtype):
        def loss(variables):
            return jnp.mean(make(dtype=dtype).apply(variables, IMAGE)[0] ** 2)

        return jax.grad(loss)(variables)["params"]

    exact, mixed = gradient("float32"), gradient("mixed")
    for name, layer in exact.items():
        for part, expected in layer.items():
            error = np.linalg.norm(mixed[name][part] - expected)
            assert error <= 0.06 * np.linalg.norm(expected), (name, part)


def test_residual_adds_the_input(variables):
    plain, increment = make(), make(residual=True, skip_connections=True)
    zero = jax.tree.map(jnp.zeros_like, variables)
    np.testing.assert_array_equal(plain.apply(zero, IMAGE)[0], jnp.zeros_like(IMAGE))
    np.testing.assert_array_equal(increment.apply(zero, IMAGE)[0], IMAGE)


@pytest.mark.parametrize(("kind", "period"), [("conv", 1), ("output", 1), ("full_conv", 2)])
@pytest.mark.parametrize("padding", ["zero", "edge"])
def test_a_constant_has_a_border_with_zeros_around_it_alone(kind, period, padding):
    """A full-convolution gives even and odd pixels different taps, hence its period of two."""
    options = base.get_config().model.to_dict() | {"convolution": "direct", "padding": padding}
    names = ("prelu", "padding", "batch_norm", "initializer", "convolution")
    layer = Layer(kind=kind, features=1, **{name: options[name] for name in names})
    constant = [jnp.full((1, 6, 6, 3), 0.5)]
    image = layer.apply(layer.init(jax.random.key(0), constant), constant)
    inner = jnp.roll(image, (period, period), axis=(1, 2))[:, period:-period, period:-period]
    same = np.allclose(image[:, period:-period, period:-period], inner, rtol=1e-5)
    assert same == (padding == "edge")


def test_without_skip_connections_there_are_fewer_weights():
    params = jax.eval_shape(lambda: variables_of(make(skip_connections=False)))["params"]
    assert params["C_up"]["kernel"].shape == (4, 4, 257, 128)
    assert params["A_out"]["kernel"].shape == (3, 3, 129, 1)


def test_batch_norm_uses_and_updates_statistics():
    model = make(batch_norm=True)
    variables = variables_of(model)
    assert variables["batch_stats"].keys() == {n for n in TABLE_1 if not n.endswith("out")}
    apply = jax.vmap(
        lambda x: model.apply(variables, x, mutable=["batch_stats"]),
        axis_name="batch",
        out_axes=(0, None),
    )
    _, updated = apply(jnp.stack([IMAGE, 1 - IMAGE]))
    before, after = (v["batch_stats"]["A1"]["BatchNorm_0"]["mean"] for v in (variables, updated))
    assert (before != after).all()
    # Elsewhere the statistics are not the batch's own.
    alone, *_ = model.apply(variables, IMAGE)
    in_company, *_ = model.apply(variables, jnp.concatenate([IMAGE, 1 - IMAGE]))
    np.testing.assert_allclose(in_company[:1], alone, atol=1e-5)


def test_batch_norm_keeps_the_dtype_of_activations():
    """Of two dtypes together oneDNN, where it is used, makes an end of the process."""
    model = make(batch_norm=True, dtype="bfloat16", convolution="auto")
    exact = make(batch_norm=True)
    variables = variables_of(exact)
    restored, wanted = (m.apply(variables, IMAGE)[0] for m in (model, exact))
    np.testing.assert_allclose(restored, wanted, rtol=0, atol=0.05 * np.abs(wanted).max())


def test_bfloat16_products_keep_float32_parameters_and_images(variables):
    model = make(dtype="bfloat16")
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    exact, rounded = (m.apply(variables, IMAGE)[0] for m in (make(), model))
    assert rounded.dtype == jnp.float32
    np.testing.assert_allclose(rounded, exact, rtol=0, atol=0.05 * np.abs(exact).max())


@pytest.mark.parametrize("shape", [(1, 60, 64, 1), (1, 64, 64, 3)])
def test_other_shapes_are_refused(variables, shape):
    with pytest.raises(ValueError, match="multiples of 8"):
        make().apply(variables, jnp.zeros(shape))


def test_unknown_networks_and_options_are_named():
    with pytest.raises(ValueError, match=r"model.name='cas': expected one of arcnn, cascnn,"):
        create_model(name="cas")
    with pytest.raises(ValueError, match=r"cascnn has no depth in config\.model"):
        make(depth=3)
    with pytest.raises(ValueError, match=r"l4 needs convolution in config\.model"):
        create_model(name="l4", dtype="float32")
    assert MODELS.keys() >= {"arcnn", "cascnn", "l4", "l8"}


def test_colour_has_more_weights_at_the_image_alone():
    model = make(channels=3, condition=2)
    luma, colour = (variable_shapes(m)["params"] for m in (make(), model))
    for name, (outputs, inputs, size) in TABLE_1.items():
        inputs += 4 if name == "A1" else 2 * (inputs % 2)  # an odd number has the image among it
        outputs += 2 if name.endswith("out") else 0
        assert colour[name]["kernel"].shape == (size, size, inputs, outputs)
    assert luma.keys() == colour.keys()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("wrong", ["channels", "condition"])
def test_planes_and_conditions_of_other_shapes_are_refused(channels, wrong):
    model = make(channels=channels, condition=2)
    degraded = jnp.zeros((1, 8, 8, 4 - channels if wrong == "channels" else channels))
    condition = jnp.zeros((1, 3 if wrong == "condition" else 2))
    with pytest.raises(ValueError, match=r"CAS-CNN takes"):
        jax.eval_shape(model.init, jax.random.key(0), degraded, condition)


def test_options_of_earlier_versions_make_the_network_for_luma():
    options = base.get_config().model.to_dict()
    del options["channels"], options["condition"]
    assert create_model(**options) == create_model(**base.get_config().model)
