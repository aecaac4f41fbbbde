"""The paper's choices, each undone at equal budget: ``--config=ablation:without=multiscale``.

    for change in paper with=residual with=batch_norm without=multiscale without=skip_connections
    do casjax train --config=ablation:$change --workdir=runs/ablation/$change
    done

``paper`` is the network of Table I, trained with the multi-scale loss and then that of the output,
by the recipe of `configs/efficient.py`. Every run sees the same 17,640 cut-outs of 64x64, as many
pixels as 5,000 of the paper's; ``ablation:paper,cutouts=1400`` takes fewer.
"""

from ml_collections import ConfigDict

from casjax.training.configs import read_argument
from configs import efficient

CHANGES = (
    "paper",
    "without=multiscale",
    "without=skip_connections",
    "with=residual",
    "with=batch_norm",
)
DEFAULTS = {"cutouts": "17640"}


def get_config(argument: str = "paper") -> ConfigDict:
    change, *budget = argument.split(",")
    if change not in CHANGES:
        raise ValueError(f"ablation:{argument}: expected one of {', '.join(CHANGES)}")
    settings = read_argument("ablation", ",".join(budget), DEFAULTS) if budget else DEFAULTS
    # As many pixels as in a batch of eight of 120x120
    config = efficient.get_config(f"qf=20,cutouts={settings['cutouts']},batch=28")
    config.model.dtype = "float32"
    config.data.cutout_size = 64
    config.data.validation_cutouts = 560
    for phase in (config.multiscale, config.finetune):  # no more are cut out than are seen
        phase.epochs *= phase.cutouts / int(settings["cutouts"])
        phase.cutouts = int(settings["cutouts"])
    config.loop.log_every = 10
    config.loop.validate_every = 126
    config.loop.checkpoint_every = 126

    match change.split("="):
        case ["without", "multiscale"]:
            config.multiscale.loss_weights = config.finetune.loss_weights
        case ["without", feature]:
            config.model[feature] = False
        case ["with", feature]:
            config.model[feature] = True
    return config
