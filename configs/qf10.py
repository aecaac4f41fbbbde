"""CAS-CNN for quality factor 10, started from the network for 20 as in Section III-D.

Needs a finished ``python -m casjax.main --config=configs/qf20.py --workdir=runs/qf20``.
The paper's result on LIVE1: 29.44 dB PSNR, 29.19 dB PSNR-B, SSIM 0.833.
"""

from ml_collections import ConfigDict

from configs import base


def get_config() -> ConfigDict:
    config = base.get_config()
    config.quality = 10
    config.initial_weights = "runs/qf20"
    return config
