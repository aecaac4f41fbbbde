"""The paper's choices, each undone at equal budget: ``--config=ablation:without=multiscale``.

    for change in paper with=residual with=batch_norm without=multiscale without=skip_connections
    do casjax train --config=ablation:$change --workdir=runs/ablation/$change
    done

``paper`` is the network of Table I, trained with the multi-scale loss and then that of the output,
from the paper's initial weights. Every run sees the same 2,400 small cut-outs: far from
convergence.

PSNR in dB on LIVE1 at quality 20 after 300 steps, where JPEG has 30.07:

                              float32  bfloat16
    with=residual             29.88    30.04       the paper, of converged networks: no gain
    paper                     29.17    28.18
    without=multiscale        28.99    29.39
    with=batch_norm           21.83    22.84       the paper: never as accurate
    without=skip_connections  21.46    22.48

The dtype alone makes a difference of up to one decibel. So few steps show the effects of skip
connections, residuals and batch normalisation, but not whether the multi-scale loss helps.
"""

from ml_collections import ConfigDict

from configs import base

CHANGES = (
    "paper",
    "without=multiscale",
    "without=skip_connections",
    "with=residual",
    "with=batch_norm",
)
STEPS = {"multiscale": 240, "finetune": 60}


def get_config(argument: str = "paper") -> ConfigDict:
    if argument not in CHANGES:
        raise ValueError(f"ablation:{argument}: expected one of {', '.join(CHANGES)}")
    config = base.get_config()
    config.batch_size = 8
    config.data.cutout_size = 48
    config.data.validation_cutouts = 160
    config.degradation.augment = True
    config.optimizer.gradient_clip_norm = 0.1
    for name, steps in STEPS.items():
        config[name].cutouts = sum(STEPS.values()) * config.batch_size
        config[name].epochs = steps * config.batch_size / config[name].cutouts
        config[name].learning_rate = 5e-4
        config[name].warmup_steps = steps // 10
        config[name].decay = "cosine"
    config.loop.log_every = 10
    config.loop.validate_every = 60
    config.loop.checkpoint_every = 60

    match argument.split("="):
        case ["without", "multiscale"]:
            config.multiscale.loss_weights = config.finetune.loss_weights
        case ["without", feature]:
            config.model[feature] = False
        case ["with", feature]:
            config.model[feature] = True
    return config
