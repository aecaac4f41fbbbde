"""AR-CNN by Dong et al. for quality factor 20, the network that the paper compares with most.

    casjax train --config=arcnn --workdir=runs/arcnn

From its recipe come the last layer's learning rate, a tenth of the others', and the transfer from
easier to harder images: for other qualities add ``--config.quality=10
--config.initial_weights=runs/arcnn``. Adam and the start from the identity are ours
(``--config.model.initializer=paper`` is theirs), and need far fewer cut-outs.

The paper's Table II has 31.40 dB PSNR, 30.69 dB PSNR-B, SSIM 0.890 for it on LIVE1; its authors'
released weights reach 31.29 / 30.76 / 0.887. This training is short: 1,400 steps, half an hour on
less than one CPU core, gave 30.98 / 30.46 / 0.882. More ``--config.finetune.epochs`` give more.
"""

from ml_collections import ConfigDict

from configs import l4

MODEL = {
    "name": "arcnn",
    "initializer": "image_carrying",
    "dtype": "float32",
    "convolution": "auto",
}


def get_config() -> ConfigDict:
    config = l4.get_config()
    config.model = ConfigDict(MODEL)
    config.data.cutout_size = 40
    config.finetune.cutouts = 11_200
    config.optimizer.slow_layers = ("conv4",)
    return config
