"""L8 by Svoboda et al. for quality factor 20, the larger of the two residual networks.

    casjax train --config=l8 --workdir=runs/l8

The paper's Table II has 31.51 dB PSNR, 30.92 dB PSNR-B, SSIM 0.891 for it on LIVE1. Trained like
``configs/l4.py``, at three times the cost: 1,600 steps, 12 minutes on two busy CPU cores, gave
31.13 / 30.67 / 0.885. More ``--config.finetune.epochs`` give more.
For other qualities add ``--config.quality=10 --config.initial_weights=runs/l8``.
"""

from ml_collections import ConfigDict

from configs import l4


def get_config() -> ConfigDict:
    config = l4.get_config()
    config.model.name = "l8"
    return config
