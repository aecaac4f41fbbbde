"""One network for every JPEG in colour: ``--config=colour:cutouts=100000,batch=8``.

The network takes all three planes and numbers that describe the quantisation tables; it is trained
for qualities 5 to 100 with the tables of libjpeg, mozjpeg and others, mostly 4:2:0, partly grey and
partly compressed twice (see section ``colour`` of configs/base.py). It starts from the shipped luma
network for quality 20, so that at first it restores luma like that one and leaves chroma unchanged.
The coarse outputs of that network are no longer pictures, so training uses only the full
resolution, as in configs/efficient.py.

Needs RGB photographs without JPEG artifacts, some of them set aside for validation:
``--config.data.sources='("folder:photographs/train",)'`` and ``--config.data.validation_sources``.
Those of BSDS500 are JPEGs themselves, with subsampled chroma: suitable only for qualities up to 60.

After 40,000 cut-outs, LIVE1 in RGB at 10, 20, 30 and 40: 26.95, 29.32, 30.60 and 31.48 dB (JPEG:
25.69, 28.06, 29.37 and 30.28 dB). After 40,000 more in mixed precision, with
``loss.measure="psnr"`` and ``colour.quality_exponent=1.5``: 26.99, 29.37, 30.66 and 31.55 dB.
"""

from ml_collections import ConfigDict

from casjax.training.configs import read_argument
from configs import base

CUTOUTS_IN_FILE = 48_000
DEFAULTS = {"cutouts": "100000", "batch": "8"}


def get_config(argument: str = "cutouts=100000") -> ConfigDict:
    settings = read_argument("colour", argument, DEFAULTS)
    cutouts, batch_size = int(settings["cutouts"]), int(settings["batch"])
    config = base.get_config()
    config.initial_weights = "cascnn-qf20"
    config.batch_size = batch_size
    config.model.channels = 3
    config.model.condition = 2
    config.model.initializer = "image_carrying"
    config.data.sources = ("folder:photographs/train",)
    config.data.validation_sources = ("folder:photographs/validation",)
    config.data.validation_cutouts = 160
    config.degradation.augment = True
    config.degradation.lowest_quality = 5
    config.degradation.highest_quality = 100
    config.degradation.recompress = 0.15
    config.optimizer.name = "muon"
    config.optimizer.gradient_clip_norm = 0.1
    config.multiscale.epochs = 0.0
    config.finetune.cutouts = CUTOUTS_IN_FILE
    config.finetune.epochs = cutouts / CUTOUTS_IN_FILE
    config.finetune.learning_rate = 1e-3
    config.finetune.warmup_steps = round(cutouts / batch_size / 20)
    config.finetune.decay = "cosine"
    config.loop.log_every = 20
    config.loop.validate_every = 500
    config.loop.checkpoint_every = 100
    config.evaluation.qualities = (10, 20, 30, 40)
    return config
