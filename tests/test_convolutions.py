"""The direct formulations against JAX's own convolutions."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from convolving import LAYOUT, NEEDS_ITS_BFLOAT16, NEEDS_ONEDNN
from jax import lax

from casjax.models import convolutions
from casjax.models.convolutions import probe
from casjax.models.convolutions.activation import Activation

FORMULATIONS, IN_BFLOAT16 = (
    ["direct", "winograd", pytest.param("onednn", marks=mark)]
    for mark in (NEEDS_ONEDNN, NEEDS_ITS_BFLOAT16)
)


def normal(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


@pytest.mark.parametrize("size", [1, 3, 5, 7])
@pytest.mark.parametrize("formulation", FORMULATIONS)
def test_convolution_of_any_size(size, formulation):
    x, kernel, weights = normal(0, 2, 9, 12, 6), normal(1, size, size, 6, 3), normal(2, 2, 9, 12, 3)
    weights = weights[:, : 10 - size, : 13 - size]

    def output_and_gradients(convolve):
        y, pull_back = jax.vjp(convolve, x, kernel)
        return y, *pull_back(weights)

    expected = output_and_gradients(
        lambda x, kernel: lax.conv(
            x.transpose(0, 3, 1, 2), kernel.transpose(3, 2, 0, 1), (1, 1), "VALID"
        ).transpose(0, 2, 3, 1)
    )
    found = output_and_gradients(partial(convolutions.conv, formulation=formulation))
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * np.abs(b).max())


@pytest.mark.parametrize("formulation", FORMULATIONS)
@pytest.mark.parametrize(("h", "w"), [(1, 1), (5, 8)])
def test_full_convolution_is_a_transposed_convolution(h, w, formulation):
    x, kernel = normal(0, 2, h, w, 6), normal(1, 4, 4, 6, 3)
    expected = lax.conv_transpose(x, kernel, (2, 2), "SAME")
    found = convolutions.full_conv4x4([x], kernel, formulation)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("formulation", FORMULATIONS)
def test_gradients_of_a_full_convolution(formulation):
    x, kernel, weights = normal(0, 2, 5, 6, 4), normal(1, 4, 4, 4, 3), normal(2, 2, 10, 12, 3)

    def gradients(full_conv):
        return jax.grad(lambda x, kernel: (weights * full_conv(x, kernel)).sum(), (0, 1))(x, kernel)

    expected = gradients(lambda x, kernel: lax.conv_transpose(x, kernel, (2, 2), "SAME"))
    found = gradients(lambda x, kernel: convolutions.full_conv4x4([x], kernel, formulation))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * np.abs(b).max())


@pytest.mark.parametrize("channels", [[1], [3, 2, 1]])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("formulation", FORMULATIONS)
def test_all_convolve_the_concatenation_and_activate(formulation, shared, channels):
    parts = [normal(i, 2, 5, 7, c) for i, c in enumerate(channels)]
    full_kernel, kernel = (normal(k, k, k, sum(channels), 6) for k in (4, 3))
    slope = jnp.float32(0.3) if shared else jnp.linspace(-0.2, 1.2, 6)
    activation = Activation(normal(5, 6), slope)

    def found(parts, kernel, full_kernel, activation):
        return (
            convolutions.conv3x3(parts, kernel, formulation, activation),
            convolutions.full_conv4x4(parts, full_kernel, formulation, activation),
        )

    def expected(parts, kernel, full_kernel, activation):
        x = jnp.concatenate(parts, axis=-1)
        results = (
            lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=LAYOUT),
            lax.conv_transpose(x, full_kernel, (2, 2), "SAME"),
        )
        return tuple(
            jnp.where(z >= 0, z, activation.slope * z)
            for z in (y + activation.bias for y in results)
        )

    @partial(jax.jit, static_argnums=0)
    def with_gradients(function):
        y, pull_back = jax.vjp(function, parts, kernel, full_kernel, activation)
        return jax.tree.leaves((y, pull_back(jax.tree.map(jnp.cos, y))))

    for a, b in zip(with_gradients(found), with_gradients(expected), strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-5 * np.abs(b).max())


@pytest.mark.parametrize("formulation", FORMULATIONS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [3, 5])
def test_to_few_channels_is_the_convolution_of_the_concatenation(size, channels, formulation):
    parts = [normal(0, 2, 5, 7, 4), normal(1, 2, 5, 7, 1)]
    kernel = normal(2, size, size, 5, channels)
    joined = jnp.concatenate(parts, axis=-1)
    expected = lax.conv_general_dilated(joined, kernel, (1, 1), "SAME", dimension_numbers=LAYOUT)
    found = convolutions.conv_to_few(parts, kernel, formulation)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("formulation", IN_BFLOAT16)
def test_to_few_channels_sums_in_float32(formulation):
    parts, kernel = [normal(0, 1, 4, 4, 300)], normal(1, 3, 3, 300, 1)
    exact = convolutions.conv_to_few(parts, kernel, formulation)
    rounded = convolutions.conv_to_few(
        [part.astype(jnp.bfloat16) for part in parts], kernel.astype(jnp.bfloat16), formulation
    )
    assert rounded.dtype == jnp.float32
    assert len(np.unique(rounded.astype(jnp.bfloat16).astype(jnp.float32) - rounded)) > 1
    np.testing.assert_allclose(rounded, exact, rtol=0, atol=0.02 * np.abs(exact).max())


@pytest.mark.parametrize("formulation", IN_BFLOAT16)
def test_gradients_in_bfloat16_of_a_convolution_to_few_channels(formulation):
    x, kernel, weights = normal(0, 2, 6, 8, 64), normal(1, 3, 3, 64, 1), normal(2, 2, 6, 8, 1)

    def gradients(x, kernel):
        def product(x, kernel):
            return (weights * convolutions.conv_to_few([x], kernel, formulation)).sum()

        return jax.jit(jax.grad(product, (0, 1)))(x, kernel)

    exact = gradients(x, kernel)
    for a, b in zip(gradients(*map(jnp.bfloat16, (x, kernel))), exact, strict=True):
        assert a.dtype == jnp.bfloat16
        np.testing.assert_allclose(a.astype(jnp.float32), b, rtol=0, atol=0.02 * np.abs(b).max())


WIDE, ODD, FROM_ONE = (3, 3, 128, 128), (5, 5, 128, 128), (3, 3, 1, 128)


@pytest.mark.parametrize("works", [True, False])
def test_the_choice_of_formulation(works, monkeypatch):
    monkeypatch.setattr(probe, "onednn_works", lambda _: works)
    choices = [
        convolutions.resolve("auto", dtype, kernel)
        for dtype in ("float32", "bfloat16")
        for kernel in (WIDE, ODD, FROM_ONE)
    ]
    if jax.default_backend() != "cpu":
        assert choices == ["direct"] * 6
    elif works:
        assert choices == ["winograd", *["onednn"] * 5]
    else:
        assert choices == ["winograd", "direct", "direct"] * 2


@pytest.mark.parametrize(("gain", "chosen"), [(0.0, "winograd"), (1.2, "winograd"), (3.0, "auto")])
def test_the_form_in_which_pictures_are_restored(gain, chosen, monkeypatch):
    monkeypatch.setattr(probe, "verdict", lambda: probe.Verdict(fault="", bfloat16_gain=gain))
    form = convolutions.for_inference
    small, large = 448**2, 512**2
    assert form("float32", small) == form("mixed", small) == ("float32", "direct")
    if jax.default_backend() == "cpu":
        assert form("float32", large) == ("float32", "winograd")
        assert form("mixed", large) == ("mixed" if gain == 3 else "float32", chosen)
    else:
        assert form("mixed", large) == ("float32", "direct")


def test_what_is_asked_for_by_name(monkeypatch):
    assert convolutions.resolve("winograd", "bfloat16", WIDE) == "winograd"
    assert convolutions.resolve("winograd", "float32", FROM_ONE) == "direct"
    assert convolutions.resolve("direct", "float32", WIDE) == "direct"
    with pytest.raises(ValueError, match="expected one of 'auto', 'direct', 'winograd', 'onednn'"):
        convolutions.resolve("fft", "float32", WIDE)
    monkeypatch.setattr(probe, "fault_in", lambda _: "it is wrong")
    with pytest.raises(ValueError, match=r"onednn': not used here \(it is wrong\); use 'auto'"):
        convolutions.resolve("onednn", "float32", WIDE)
