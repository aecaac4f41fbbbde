"""L4 by Svoboda et al. for quality factor 20, the smaller of the two residual networks.

    casjax train --config=l4 --workdir=runs/l4

The paper's Table II has 31.42 dB PSNR, 30.83 dB PSNR-B, SSIM 0.890 for it on LIVE1. This training
is short: 1,600 steps, 20 minutes on less than one CPU core, gave 31.10 / 30.62 / 0.884. More
``--config.finetune.epochs`` give more.
For other qualities add ``--config.quality=10 --config.initial_weights=runs/l4``.
Their loss has an edge-emphasising term: ``--config.loss.edge_weight``, 0 here as in the paper. A
pair of these trainings with Muon, on BSDS500 and one seed, gave 31.21 / 30.81 / 0.8858 without it
and 31.21 / 30.80 / 0.8860 with a weight of 1.
"""

from ml_collections import ConfigDict

from configs import base


def get_config() -> ConfigDict:
    config = base.get_config()
    config.model = ConfigDict({"name": "l4", "dtype": "float32", "convolution": "auto"})
    config.batch_size = 8
    config.data.cutout_size = 48
    config.data.validation_cutouts = 320
    config.degradation.augment = True
    config.optimizer.gradient_clip_norm = 0.1
    config.multiscale.epochs = 0.0  # there is one output only
    config.multiscale.loss_weights = config.finetune.loss_weights = (1.0,)
    config.finetune.cutouts = 12_800
    config.finetune.epochs = 1.0
    config.finetune.learning_rate = 1e-3
    config.finetune.warmup_steps = 100
    config.finetune.decay = "cosine"
    config.loop.log_every = 20
    config.loop.validate_every = 500
    config.loop.checkpoint_every = 200
    return config
