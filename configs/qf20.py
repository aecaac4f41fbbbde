"""CAS-CNN for quality factor 20 as the paper trained it: its main training run.

    casjax train --config=qf20

The paper's result on LIVE1: 31.70 dB PSNR, 30.88 dB PSNR-B, SSIM 0.895. The paper does not say
how many epochs it took: "until convergence", then "several"; 32 and 4 are our reading of that.
"""

from ml_collections import ConfigDict

from configs import paper


def get_config() -> ConfigDict:
    return paper.get_config("qf=20")
