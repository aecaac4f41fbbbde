"""oneDNN's convolutions against XLA's direct ones in float64, and the probe that lets them in."""

import json
import math
import platform
import sys
from functools import partial

import jax
import jax.numpy as jnp
import jaxlib
import numpy as np
import pytest
from convolving import (
    LAYOUT,
    NEEDS_ITS_BFLOAT16,
    NEEDS_ONEDNN,
    assert_close,
    in_float64,
    output_and_gradients,
)
from jax import lax

from casjax.models import convolutions
from casjax.models.convolutions import onednn, probe

# Of the largest magnitude of a result: float32 as everywhere, bfloat16 to its 8 bits.
TOLERANCE = {"float32": 1e-5, "bfloat16": 2**-7}

DTYPES = pytest.mark.parametrize(
    "dtype", ["float32", pytest.param("bfloat16", marks=NEEDS_ITS_BFLOAT16)]
)


def draw(shape, size, co, padding, dtype):
    """x, kernel and output gradient of a dtype."""
    rng = np.random.default_rng(0)
    n, h, w, ci = shape
    out = (n, h + 1 - size + 2 * padding, w + 1 - size + 2 * padding, co)
    shapes = shape, (size, size, ci, co), out
    return [jnp.asarray(rng.normal(size=shape), dtype) for shape in shapes]


def direct(padding, x, kernel):
    around = (padding, padding)
    return lax.conv_general_dilated(x, kernel, (1, 1), (around, around), dimension_numbers=LAYOUT)


def convolve(padding, x, kernel):
    return onednn.convolve((x,), kernel, padding, x.dtype)


@pytest.mark.skipif(
    (sys.platform, platform.machine(), jax.default_backend()) != ("linux", "x86_64", "cpu")
    or not jaxlib.__version__.startswith("0.10."),
    reason="where it works is known of Linux on x86-64 with jaxlib 0.10",
)
def test_it_works_where_it_is_known_to():
    """Otherwise all tests below are skipped, whatever is wrong with it."""
    assert probe.fault_in("float32") == ""


@NEEDS_ONEDNN
@DTYPES
@pytest.mark.parametrize(
    ("shape", "size", "co", "padding"),
    [
        ((1, 1, 1, 1), 1, 1, 0),  # a single pixel
        ((3, 2, 3, 5), 2, 3, 0),  # one output pixel in a column
        ((2, 9, 40, 6), 3, 7, 1),  # several strips
        ((2, 9, 40, 7), 3, 6, 1),  # the gradient's channels are copied, not the input's
        ((1, 10, 14, 3), 2, 2, 1),
        ((3, 6, 7, 4), 3, 3, 2),
        ((5, 12, 13, 2), 7, 3, 0),  # a strip over several images
        ((2, 12, 13, 1), 11, 5, 0),  # from one channel
        ((2, 12, 14, 5), 5, 1, 2),  # to one channel
        ((2, 5, 8, 64), 3, 96, 1),  # few columns in the gradient, which AMX gets wrong
        ((1, 4, 5, 257), 2, 300, 1),
    ],
)
def test_equals_direct_form(shape, size, co, padding, dtype, monkeypatch):
    monkeypatch.setattr(onednn, "PIXELS_PER_STRIP", 70)
    arrays = draw(shape, size, co, padding, dtype)
    found = jax.jit(partial(output_and_gradients, partial(convolve, padding)))(*arrays)
    assert {array.dtype for array in found} == {jnp.dtype(dtype)}
    assert_close(found, in_float64(partial(direct, padding), arrays), TOLERANCE[dtype])


@NEEDS_ONEDNN
@DTYPES
@pytest.mark.parametrize("co", [2, 9, 20])  # few; parts with more channels; with fewer
def test_parts_are_convolved_as_their_concatenation(co, dtype, monkeypatch):
    monkeypatch.setattr(onednn, "PIXELS_PER_STRIP", 70)
    x, kernel, dy = draw((2, 9, 12, 15), 3, co, 1, dtype)
    parts = tuple(jnp.split(x, [1, 6, 12, 14], axis=-1))  # 1, 5, 6, 2 and 1 channels

    def convolve(*parts_and_kernel):
        *parts, kernel = parts_and_kernel
        return onednn.convolve(tuple(parts), kernel, 1, kernel.dtype)

    y, *dparts, dkernel = jax.jit(partial(output_and_gradients, convolve))(*parts, kernel, dy)
    found = y, jnp.concatenate(dparts, axis=-1), dkernel
    assert_close(found, in_float64(partial(direct, 1), (x, kernel, dy)), TOLERANCE[dtype])


@NEEDS_ITS_BFLOAT16
def test_sums_are_rounded_once():
    """9 * 300 terms: sums in bfloat16 would be wrong by several times its last bit."""
    x, kernel, _ = draw((1, 3, 3, 300), 3, 16, 0, "bfloat16")
    y = convolve(0, x, kernel)
    exact = direct(0, x.astype(jnp.float32), kernel.astype(jnp.float32))
    assert jnp.all(jnp.abs(y - exact) <= jnp.abs(exact) * 2**-8 + 1e-4)


@NEEDS_ONEDNN
@DTYPES
@pytest.mark.parametrize("transpose_a", [False, True])
def test_multiplies_as_xla_does(transpose_a, dtype, monkeypatch):
    a, b = (jnp.asarray(np.random.default_rng(0).normal(size=(37, 37)), dtype) for _ in range(2))
    a, b = a[:, :21] if transpose_a else a[:21], b[:, :19]
    found = convolutions.matmul(a, b, jnp.float32, transpose_a=transpose_a)
    monkeypatch.setattr(probe, "onednn_works", lambda _: False)
    expected = convolutions.matmul(a, b, jnp.float32, transpose_a=transpose_a)
    assert found.shape == expected.shape == (21, 19)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    with pytest.raises(TypeError, match="two matrices of one dtype: float16"):
        onednn.matmul(a.astype(jnp.float16), b, jnp.float32)


@NEEDS_ONEDNN
def test_two_dtypes_are_refused_before_the_process_would_abort():
    x, kernel = jnp.zeros((1, 4, 4, 2), jnp.float32), jnp.zeros((3, 3, 2, 3), jnp.bfloat16)
    with pytest.raises(TypeError, match="of one dtype: float32, bfloat16"):
        onednn.convolve((x,), kernel, 1, jnp.bfloat16)


@NEEDS_ONEDNN
def test_equals_direct_form_over_two_devices():
    arrays = draw((4, 6, 7, 5), 3, 3, 0, "float32")
    x, kernel, dy = arrays

    @partial(jax.pmap, axis_name="devices", devices=jax.devices("cpu")[:2], in_axes=(0, None, 0))
    def shard(x, kernel, dy):
        y, dx, dkernel = output_and_gradients(partial(convolve, 0), x, kernel, dy)
        return y, dx, lax.psum(dkernel, "devices")

    y, dx, dkernel = shard(x.reshape(2, 2, *x.shape[1:]), kernel, dy.reshape(2, 2, *dy.shape[1:]))
    found = y.reshape(dy.shape), dx.reshape(x.shape), dkernel[0]
    assert_close(found, in_float64(partial(direct, 0), arrays))


@NEEDS_ONEDNN
@DTYPES
def test_invalid_values_stay_visible(dtype):
    x = jnp.full((1, 8, 8, 2), jnp.nan, dtype)
    assert jnp.isnan(convolve(1, x, jnp.ones((3, 3, 2, 2), dtype))).all()


@NEEDS_ONEDNN
def test_the_gradient_of_a_picture_is_not_computed():
    """Of a first layer there are the convolution and the kernel's gradient, a matrix product."""
    x, kernel, _ = draw((1, 8, 9, 1), 3, 5, 1, "float32")

    def loss(kernel):
        return jnp.square(convolutions.conv3x3([x], kernel, "onednn")).sum()

    program = jax.jit(jax.grad(loss)).lower(kernel).compile().as_text()
    for target in onednn.TARGETS:
        assert program.count(f'custom_call_target="{target}"') == 1


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """No compilations kept, so that the verdict goes to the user's cache folder: an empty one."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", None)
    monkeypatch.setattr(probe.platform, "machine", lambda: "x86_64")
    probe.verdict.cache_clear()
    yield tmp_path / "casjax"
    jax.config.update("jax_compilation_cache_dir", before)
    probe.verdict.cache_clear()


def test_a_verdict_is_found_out_once(cache, monkeypatch):
    found = probe.Verdict(fault="", bfloat16_gain=2.0)
    asked = []
    monkeypatch.setattr(probe, "_ask_child", lambda: asked.append(1) or found)
    for _ in range(2):
        assert probe.verdict() == found
        probe.verdict.cache_clear()  # as in another process
    assert len(asked) == 1
    [kept] = cache.iterdir()
    kept.write_text('{"fault":')  # damaged
    assert probe.verdict() == found
    assert json.loads(kept.read_text()) == found


def test_a_verdict_without_a_folder_is_found_out_each_time(cache, monkeypatch):
    found = probe.Verdict(fault="", bfloat16_gain=2.0)
    monkeypatch.setattr(probe, "user_cache_folder", lambda: None)
    monkeypatch.setattr(probe, "_ask_child", lambda: found)
    assert probe.verdict() == found
    assert not cache.exists()


def test_a_trial_that_aborts_leaves_the_other_forms(cache, monkeypatch, caplog):
    monkeypatch.setattr(probe, "_TRIAL", "import os; os.abort()")
    assert not probe.onednn_works("float32")
    assert "oneDNN is not used" in caplog.text
    x, kernel, _ = draw((1, 8, 8, 2), 5, 3, 0, "bfloat16")
    assert convolutions.conv(x, kernel, "auto").shape == (1, 4, 4, 3)


@pytest.mark.parametrize("ending", ["import os; os.kill(os.getpid(), 9)", "no.such(thing)"])
def test_a_trial_that_lacked_memory_is_tried_again(cache, monkeypatch, ending):
    monkeypatch.setattr(probe, "_TRIAL", ending)
    assert not probe.onednn_works("float32")
    is_final = ending.startswith("no")
    assert cache.exists() == is_final
    probe.verdict.cache_clear()
    monkeypatch.setattr(probe, "_ask_child", lambda: probe.Verdict(fault="", bfloat16_gain=2.0))
    assert probe.onednn_works("float32") != is_final


@pytest.mark.parametrize("errors", [(1e-9, math.nan), (math.nan, 1e-9), (1e-9, 1.0)])
def test_results_that_are_no_numbers_are_wrong(errors, monkeypatch, capsys):
    monkeypatch.setattr(probe, "_error", lambda *_: errors[0])
    monkeypatch.setattr(probe, "_error_of_product", lambda _: errors[1])
    probe._try()
    assert json.loads(capsys.readouterr().out)["fault"] == "its float32 is wrong"


def test_bfloat16_is_not_tried_without_units_for_it(cache, monkeypatch, capsys):
    monkeypatch.setattr(probe, "processor", lambda: "flags : fma avx2 avx512f avx512_vnni")
    monkeypatch.setattr(probe, "_error", lambda x, *_: 1.0 if x.dtype == "bfloat16" else 0.0)
    monkeypatch.setattr(probe, "_error_of_product", lambda _: 0.0)
    probe._try()
    found = json.loads(capsys.readouterr().out)
    assert found == {"fault": "", "bfloat16_gain": 0.0}
    monkeypatch.setattr(probe, "_ask_child", lambda: probe.Verdict(**found))
    assert probe.onednn_works("float32")
    assert not probe.onednn_works("bfloat16")
    with pytest.raises(ValueError, match=r"not used here \(.* no units for bfloat16\); use"):
        convolutions.resolve("onednn", "bfloat16", (5, 5, 8, 8))


def test_other_processors_are_not_tried(cache, monkeypatch):
    monkeypatch.setattr(probe.platform, "machine", lambda: "aarch64")
    monkeypatch.setattr(probe, "_ask_child", lambda: pytest.fail("tried"))
    assert "x86-64" in probe.verdict()["fault"]
