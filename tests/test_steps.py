"""One step by hand: which layers learn how fast, and what the loss is made of."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from casjax import jpeg
from casjax.images.codecs import compress
from casjax.models import create_model
from casjax.training import examples, steps
from casjax.training.batches import augment
from casjax.training.losses import edge_error
from casjax.training.optimizer import make_optimizer
from casjax.training.phases import plan_phases
from configs import base

PARAMS = {"conv1": {"kernel": jnp.ones(3)}, "conv2": {"kernel": jnp.ones(2), "bias": jnp.ones(1)}}


def phases_of(config):
    config.multiscale.epochs = 0.0
    config.multiscale.loss_weights = config.finetune.loss_weights = (1.0,)
    sections = {"multiscale": config.multiscale, "finetune": config.finetune}
    return plan_phases(sections, batch_size=config.batch_size)


def optimizer_of(dtype="float32", **options):
    config = base.get_config()
    return make_optimizer(phases_of(config), dtype, **config.optimizer.to_dict() | options)


def test_slow_layers_learn_at_their_rate():
    optimizer = optimizer_of(slow_layers=("conv2",), slow_rate=0.1, gradient_clip_norm=1.0)
    changes, _ = optimizer.update(jax.tree.map(jnp.ones_like, PARAMS), optimizer.init(PARAMS))
    np.testing.assert_allclose(changes["conv1"]["kernel"], -1e-4, rtol=1e-4)
    for change in changes["conv2"].values():
        np.testing.assert_allclose(change, -1e-5, rtol=1e-4)


def test_a_slow_layer_that_is_not_there_is_named():
    with pytest.raises(ValueError, match=r"slow_layers: the network has no conv9, .* conv1, conv2"):
        optimizer_of(slow_layers=("conv2", "conv9")).init(PARAMS)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("kernel", [(3, 3, 8, 16), (1, 1, 8, 72)])
def test_muon_takes_steps_of_one_length_in_all_directions(kernel, dtype):
    shapes = {"kernel": kernel, "of_the_image": (3, 3, 1, 16), "to_one": (3, 3, 16, 1)}
    keys = jax.random.split(jax.random.key(0), len(shapes))
    gradients = {
        name: 1e-3 * jax.random.normal(key, shape)
        for (name, shape), key in zip(shapes.items(), keys, strict=True)
    }
    gradients["bias"] = jnp.full(16, 1e-3)
    optimizer = optimizer_of(dtype, name="muon")
    changes, _ = optimizer.update(gradients, optimizer.init(gradients), gradients)
    rate = 1e-4
    lengths = jnp.linalg.svd(changes["kernel"].reshape(-1, kernel[-1]), compute_uv=False)
    # Newton and Schulz's five steps bring singular values near 1, not to it.
    np.testing.assert_allclose(lengths, 0.2 * np.sqrt(72) * rate, rtol=0.35)
    assert (changes["kernel"] * gradients["kernel"]).sum() < 0
    for name in ("of_the_image", "to_one", "bias"):
        # Adam's first step is as long for every parameter; with Nesterov's momentum that is 1.47.
        expected = -1.47 * rate * np.sign(gradients[name])
        np.testing.assert_allclose(changes[name], expected, rtol=1e-2, err_msg=name)


def test_muon_leaves_a_kernel_without_gradient_as_it_is():
    params = {"kernel": jnp.zeros((2, 2, 8, 8))}
    optimizer = optimizer_of(name="muon")
    changes, _ = optimizer.update(params, optimizer.init(params), params)
    assert not changes["kernel"].any()


def test_the_edge_error_is_a_weighted_term_of_the_loss():
    config = base.get_config()
    phases = phases_of(config)
    model = create_model(name="l4", dtype="float32", convolution="direct")
    optimizer = make_optimizer(phases, "float32", **config.optimizer)
    clean = np.random.default_rng(0).integers(0, 256, (1, 2, 8, 8, 1)).astype(np.uint8)
    batch = {"clean": clean, "turn": np.zeros((1, 2), np.uint8), "quality": np.full((1, 2), 20)}
    variables = model.init(jax.random.key(0), jnp.zeros((1, 8, 8, 1)))
    state = steps.TrainState(jnp.int32(0), variables, optimizer.init(variables["params"]))
    found = {}
    for weight in (0.0, 0.5):
        train_step = steps.make_train_step(
            model, optimizer, phases, measure="mse", edge_weight=weight
        )
        _, metrics = jax.pmap(train_step, axis_name="batch", in_axes=(None, 0))(state, batch)
        found[weight] = {name: float(value[0]) for name, value in metrics.items()}
    truth, degraded, _ = examples.in_luma({name: x[0] for name, x in batch.items()})
    error = float(edge_error(model.apply(variables, degraded)[0], truth))
    assert found[0.0]["loss"] == found[0.0]["mse"]
    assert found[0.5]["mse"] == pytest.approx(found[0.0]["mse"], rel=1e-5)
    assert found[0.5]["loss"] == pytest.approx(found[0.0]["mse"] + 0.5 * error, rel=1e-4)


def test_pictures_that_come_degraded_are_taken_as_they_are():
    clean = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 1)).astype(np.uint8)
    batch = {"clean": clean, "turn": np.array([0, 3], np.uint8), "quality": np.full(2, 20)}
    truth, degraded, _ = examples.in_luma(batch)
    turned = augment(clean, batch["turn"])
    np.testing.assert_allclose(truth * 255, turned, rtol=1e-6)
    np.testing.assert_allclose(degraded * 255, jpeg.degrade(turned, 20), rtol=1e-6)
    batch |= {"degraded": 255 - clean, "turn": np.zeros(2, np.uint8)}
    truth, degraded, _ = examples.in_luma(batch)
    np.testing.assert_allclose(truth + degraded, 1, rtol=1e-6)


def test_pictures_saved_before_are_found_as_crops_of_a_jpeg():
    clean = np.random.default_rng(0).integers(0, 256, (3, 24, 24, 1)).astype(np.uint8)
    batch = {"clean": clean, "turn": np.zeros(3, np.uint8), "quality": np.array([50, 40, 60])}
    _, once, _ = examples.in_luma(batch)
    first = {"first_quality": np.array([0, 10, 30]), "shift": np.array([[1, 2], [4, 4], [7, 0]])}
    _, twice, _ = jax.jit(examples.in_luma)(batch | first)
    np.testing.assert_array_equal(twice[0], once[0])
    for i in (1, 2):
        top, left = first["shift"][i]
        larger = np.pad(clean[i, ..., 0], ((top, 8 - top), (left, 8 - left)), mode="edge")
        saved = compress(larger, int(first["first_quality"][i]), codec="jpeg")
        crop = np.ascontiguousarray(saved[top : top + 24, left : left + 24])
        again = compress(crop, int(batch["quality"][i]), codec="jpeg")
        np.testing.assert_allclose(twice[i, ..., 0] * 255, again, rtol=1e-6)
