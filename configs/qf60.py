"""CAS-CNN for quality factor 60 as the paper trained it, from a finished run of ``qf20``.

    casjax train --config=qf60

The paper's result on LIVE1: 35.78 dB PSNR, 35.10 dB PSNR-B, SSIM 0.954.
"""

from ml_collections import ConfigDict

from configs import paper


def get_config() -> ConfigDict:
    return paper.get_config("qf=60")
