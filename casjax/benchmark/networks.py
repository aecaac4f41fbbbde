"""The subjects of the benchmark: networks as made by a config, and their training."""

import itertools
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from casjax.models import count_outputs, create_model, initial_variables, variable_shapes, vary
from casjax.networks import memory
from casjax.restoration.loading import BUCKET
from casjax.training import phases, steps
from casjax.training.batches import Batches
from casjax.training.configs import load_config
from casjax.training.feed import Batch, split
from casjax.training.optimizer import make_optimizer

CUTOUT = 120  # pixels
QUALITY = 20
EXAMPLES = 512  # cut-outs to draw from


def make_network(name: str, dtype: str) -> tuple[Any, dict[str, Any]]:
    """Make a network in its fastest form here, with initial variables on the device."""
    model = make_model(name, dtype=dtype, convolution="auto")
    return model, initial_variables(model, seed=0)


def make_model(name: str, **options: str) -> Any:
    """Make a network as in the config of its name, or CAS-CNN as in the paper."""
    config = load_config("base" if name == "cascnn" else name)
    return vary(create_model(**config.model), **options)


def default_dtypes() -> list[str]:
    """Return the dtypes measured by default: bfloat16 only on accelerators."""
    return ["float32"] if jax.default_backend() == "cpu" else ["float32", "bfloat16"]


def cutouts(count: int) -> tuple[int, int, int, int]:
    """Return the shape of a batch of cut-outs."""
    return count, CUTOUT, CUTOUT, 1


def tile(model: Any, variables: Mapping[str, Any]) -> int:
    """Return the side of the tiles in which photographs are restored."""
    return memory.largest_tile(model, variables, memory=memory.default_memory(), multiple=BUCKET)


def pictures(*shape: int) -> np.ndarray:
    """Draw noise, uint8 of a shape: no time here depends on the content of pictures."""
    return np.random.default_rng(0).integers(256, size=shape, dtype=np.uint8)


def forward_flops(name: str, shape: tuple[int, ...]) -> float:
    """Count the arithmetic of a network in its plain formulation, as XLA does."""
    return _flops(lambda model, variables, x: model.apply(variables, x), name, shape)


def training_flops(name: str, shape: tuple[int, ...]) -> float:
    """Count the arithmetic of a network and of the gradient of its parameters."""

    def gradient(model: Any, variables: Any, x: jax.Array) -> Any:
        def total(variables: Any) -> jax.Array:
            return sum(output.sum() for output in model.apply(variables, x))

        return jax.grad(total)(variables)

    return _flops(gradient, name, shape)


def _flops(function: Callable[..., Any], name: str, shape: tuple[int, ...]) -> float:
    model = make_model(name, dtype="float32", convolution="direct")
    variables = variable_shapes(model)
    image = jax.ShapeDtypeStruct(shape, jnp.float32)
    cost = jax.jit(partial(function, model)).lower(variables, image).cost_analysis()
    assert cost is not None
    return cost["flops"]


def make_batches(batch_size: int) -> Batches:
    """Make batches of noise."""
    return Batches(
        cutouts=pictures(EXAMPLES, CUTOUT, CUTOUT),
        batch_size=batch_size,
        seed=0,
        stream=0,
        augment=True,
        codec="jpeg",
        qualities=(QUALITY, QUALITY),
        recompress=0.0,
        recompress_qualities=(QUALITY, QUALITY),
    )


class Training:
    """Training of a network as in `train.train_and_evaluate`, step by step."""

    def __init__(self, name: str, dtype: str, *, batch_size: int, devices: int = 1) -> None:
        """Make the initial state; ``batch_size`` is over all of the first ``devices`` devices."""
        model, variables = make_network(name, dtype)
        outputs = count_outputs(model, variables)
        plan = phases.plan_phase(
            "benchmark",
            first_step=0,
            batch_size=batch_size,
            epochs=1.0,
            cutouts=10**9,
            loss_weights=(1 / outputs,) * outputs,
            learning_rate=1e-4,
            warmup_steps=0,
            decay="constant",
        )
        optimizer = make_optimizer(
            [plan],
            dtype,
            name="adam",
            beta1=0.9,
            beta2=0.999,
            epsilon=1e-8,
            gradient_clip_norm=0.0,
            slow_layers=(),
            slow_rate=1.0,
        )
        on = jax.local_devices()[:devices]
        self._step = steps.on_devices(
            steps.make_train_step(model, optimizer, [plan], measure="mse", edge_weight=0.0),
            on,
            donate_argnums=0,
        )
        state = steps.TrainState(jnp.int32(0), variables, optimizer.init(variables["params"]))
        self._state = steps.everywhere(state, on)
        self._devices = devices
        self._batches = make_batches(batch_size)
        self._numbers = itertools.count()
        self._resident = jax.device_put(self.next_batch())

    def resident_batch(self) -> Any:
        """Return the same batch every time, which is on the device."""
        return self._resident

    def next_batch(self) -> Batch:
        """Return the next batch in host memory, split over the devices."""
        return split(self._batches.at(next(self._numbers), count=EXAMPLES), self._devices)

    def run(self, batches: Callable[[], Any], count: int) -> None:
        """Take ``count`` steps, each on a batch from ``batches``, and wait for the last."""
        for _ in range(count):
            self._state, metrics = self._step(self._state, batches())
        jax.block_until_ready((self._state, metrics))
