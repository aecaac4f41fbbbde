"""CAS-CNN for quality factor 80 as the paper trained it, from a finished run of ``qf20``.

    casjax train --config=qf80

The paper's result on LIVE1: 38.55 dB PSNR, 37.73 dB PSNR-B, SSIM 0.973.
"""

from ml_collections import ConfigDict

from configs import paper


def get_config() -> ConfigDict:
    return paper.get_config("qf=80")
