"""CAS-CNN for quality factor 80, started from the network for 20 as in Section III-D.

Needs a finished ``python -m casjax.main --config=configs/qf20.py --workdir=runs/qf20``.
The paper's result on LIVE1: 38.55 dB PSNR, 37.73 dB PSNR-B, SSIM 0.973.
"""

from ml_collections import ConfigDict

from configs import base


def get_config() -> ConfigDict:
    config = base.get_config()
    config.quality = 80
    config.initial_weights = "runs/qf20"
    return config
