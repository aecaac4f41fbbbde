"""CAS-CNN for quality factor 40 as the paper trained it, from a finished run of ``qf20``.

    casjax train --config=qf40

The paper's result on LIVE1: 34.10 dB PSNR, 33.68 dB PSNR-B, SSIM 0.937.
"""

from ml_collections import ConfigDict

from configs import paper


def get_config() -> ConfigDict:
    return paper.get_config("qf=40")
