import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.io
import scipy.ndimage

from casjax.models.arcnn import ARCNN, parameters_from_matlab


def released(folder, quality=20):
    return scipy.io.loadmat(folder / f"arcnn_q{quality}.mat")


def make(*, initializer="paper", dtype="float32", convolution="direct"):
    return ARCNN(initializer=initializer, dtype=dtype, convolution=convolution)


def initial_parameters(**options):
    return make(**options).init(jax.random.key(0), jnp.zeros((1, 4, 4, 1)))["params"]


def test_has_the_published_number_of_parameters():
    sizes = jax.tree.map(lambda x: x.size, jax.eval_shape(initial_parameters))
    assert {name: layer["kernel"] for name, layer in sizes.items()} == {
        "conv1": 9 * 9 * 64,
        "conv2": 7 * 7 * 64 * 32,
        "conv3": 32 * 16,
        "conv4": 5 * 5 * 16,
    }
    assert sum(jax.tree.leaves(sizes)) == 106_561


def test_initial_weights_are_small_and_normal():
    parameters = initial_parameters()
    kernel = np.asarray(parameters["conv2"]["kernel"])
    assert np.std(kernel) == pytest.approx(0.001, rel=0.02)
    assert np.mean(kernel) == pytest.approx(0, abs=2e-5)
    assert not np.any(parameters["conv2"]["bias"])


def test_image_carrying_start_is_close_to_the_input():
    degraded = jax.random.uniform(jax.random.key(1), (1, 12, 12, 1))
    parameters = initial_parameters(initializer="image_carrying")
    (carried,) = make().apply({"params": parameters}, degraded)
    np.testing.assert_allclose(carried, degraded, atol=0.05)


def test_released_weights_compute_what_scipy_does_with_them(arcnn_weights_dir):
    arrays = released(arcnn_weights_dir)
    degraded = np.random.default_rng(0).random((24, 17))

    # The authors' own steps: per layer, correlate with the border repeated, add, rectify.
    maps = [degraded]
    for layer, size in {"conv1": 9, "conv2": 7, "conv22": 1, "conv3": 5}.items():
        weights = arrays[f"weights_{layer}"].reshape(len(maps), size * size, -1)
        maps = [
            sum(
                scipy.ndimage.correlate(x, w[:, channel].reshape(size, size).T, mode="nearest")
                for x, w in zip(maps, weights, strict=True)
            )
            + bias
            for channel, bias in enumerate(arrays[f"biases_{layer}"].ravel())
        ]
        if layer != "conv3":
            maps = [np.maximum(x, 0) for x in maps]
    [expected] = maps

    variables = {"params": parameters_from_matlab(arrays)}
    (restored,) = make().apply(variables, jnp.float32(degraded[None, :, :, None]))
    # Sums of thousands of float32 products: how they round depends on the processor.
    np.testing.assert_allclose(restored[0, ..., 0], expected, atol=1e-5)


def test_missing_arrays_are_named(arcnn_weights_dir):
    arrays = released(arcnn_weights_dir)
    del arrays["weights_conv22"]
    with pytest.raises(ValueError, match="no array weights_conv22"):
        parameters_from_matlab(arrays)


def test_bfloat16_computes_the_same_picture(arcnn_weights_dir):
    parameters = parameters_from_matlab(released(arcnn_weights_dir))
    degraded = jnp.float32(np.random.default_rng(0).random((1, 16, 16, 1)))
    (exact,) = make().apply({"params": parameters}, degraded)
    (rounded,) = make(dtype="bfloat16").apply({"params": parameters}, degraded)
    assert rounded.dtype == jnp.float32
    np.testing.assert_allclose(rounded, exact, atol=0.03)
    shapes = jax.eval_shape(lambda: initial_parameters(dtype="bfloat16"))
    assert all(x.dtype == jnp.float32 for x in jax.tree.leaves(shapes))


def test_halo_is_exact():
    shapes = jax.eval_shape(initial_parameters)
    parameters = jax.tree.map(lambda x: jnp.ones(x.shape), shapes)  # nothing cancels or dies
    size = 2 * ARCNN.halo + 5
    middle = size // 2

    def of_middle(degraded):
        return make().apply({"params": parameters}, degraded)[0][0, middle, middle, 0]

    influence = np.asarray(jax.grad(of_middle)(jnp.ones((1, size, size, 1))))[0, ..., 0]
    rows, columns = np.nonzero(influence)
    for places in (rows, columns):
        assert abs(places - middle).max() == ARCNN.halo
