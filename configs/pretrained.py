"""Score a network that ships with the package: ``--config=pretrained:qf=20``.

``qf=QUALITY`` selects a CAS-CNN; others are given by full name: ``pretrained:l4-qf20``.
Trains nothing: scores again on LIVE1 what ``casjax/networks/shipped/manifest.json`` says.
"""

from ml_collections import ConfigDict

from casjax.networks.manifest import manifest
from configs import base


def get_config(argument: str = "qf=20") -> ConfigDict:
    name = argument if argument in manifest() else f"cascnn-{argument.replace('=', '')}"
    if name not in manifest():
        raise ValueError(
            f"pretrained:{argument}: expected one of {', '.join(manifest())}, or "
            "qf=QUALITY for cascnn-qfQUALITY"
        )
    entry = manifest()[name]
    config = base.get_config()
    config.model = ConfigDict(entry["model"])
    config.degradation.lowest_quality, config.degradation.highest_quality = entry["qualities"]
    config.quality = entry["qualities"][0]
    config.evaluation.qualities = tuple(sorted({row["qf"] for row in entry["scores"]}))
    config.initial_weights = name
    config.multiscale.epochs = config.finetune.epochs = 0.0
    if entry["model"]["name"] != "cascnn":  # the others have one output
        config.multiscale.loss_weights = config.finetune.loss_weights = (1.0,)
    return config
