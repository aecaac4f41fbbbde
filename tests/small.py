"""A network of a few weights, its config, and the main job with it: ``python tests/small.py``.

For tests of what surrounds the network; as a command it takes the flags of ``casjax.main``. Also a
config of AR-CNN, the smallest of the real networks, and pictures of noise.
"""

import sys

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from absl import app
from ml_collections import ConfigDict

from casjax import models
from configs import base

ARCNN = {
    "name": "arcnn",
    "initializer": "image_carrying",
    "dtype": "float32",
    "convolution": "auto",
}


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)


class SmallNetwork(nn.Module):
    """Two outputs at two scales."""

    alignment = 8
    halo = 2

    @nn.compact
    def __call__(self, degraded):
        finest = degraded + nn.Conv(1, (3, 3), kernel_init=nn.initializers.normal(0.1))(degraded)
        return finest, nn.avg_pool(finest, (2, 2), (2, 2))


class SmallColourNetwork(nn.Module):
    """The same for the three planes of colour."""

    channels: int = 3
    condition: int = 2
    alignment = 8
    halo = 2

    @nn.compact
    def __call__(self, degraded, condition):
        told = jnp.broadcast_to(condition[:, None, None], (*degraded.shape[:3], self.condition))
        seen = jnp.concatenate([degraded, told], axis=-1)
        kernel = nn.initializers.normal(0.01)
        finest = degraded + nn.Conv(self.channels, (3, 3), kernel_init=kernel)(seen)
        return finest, nn.avg_pool(finest, (2, 2), (2, 2))


def get_config():
    """Ten steps, five in each phase."""
    config = base.get_config()
    config.model = ConfigDict({"name": "small"})
    config.batch_size = 4
    config.data.sources = ("synthetic:2",)
    config.data.validation_sources = ("skimage",)
    config.data.validation_cutouts = 8
    config.data.cutout_size = 32
    config.degradation.augment = True
    config.degradation.lowest_quality = 10
    for phase, weights in ((config.multiscale, (0.5, 0.5)), (config.finetune, (1.0, 0.0))):
        phase.cutouts = 20
        phase.epochs = 1.0
        phase.learning_rate = 1e-3
        phase.loss_weights = weights
    config.loop.log_every = 2
    config.loop.validate_every = 4
    config.loop.checkpoint_every = 3
    config.evaluation.datasets = ()
    return config


if __name__ == "__main__":
    from casjax import main

    models.MODELS["small"] = SmallNetwork
    app.run(
        main.main,
        argv=[sys.argv[0], f"--config={__file__}", *sys.argv[1:]],
        flags_parser=main.parse_flags,
    )
