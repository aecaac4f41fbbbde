"""CAS-CNN for quality factor 10 as the paper trained it, from a finished run of ``qf20``.

    casjax train --config=qf10

The paper's result on LIVE1: 29.44 dB PSNR, 29.19 dB PSNR-B, SSIM 0.833.
"""

from ml_collections import ConfigDict

from configs import paper


def get_config() -> ConfigDict:
    return paper.get_config("qf=10")
