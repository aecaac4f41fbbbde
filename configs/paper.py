"""CAS-CNN as the paper trained it, for any quality factor: ``casjax train --config=paper:qf=35``.

The network for 20 is the main training run (Sections III-C and III-D). All others start from it,
and so need a finished ``casjax train --config=qf20``, whose workdir is ``runs/qf20``;
``--config.initial_weights`` sets another start, such as the shipped ``cascnn-qf20``.

Each quality in the paper has its own config, ``qf10`` to ``qf80``, with the paper's score.
"""

import re

from ml_collections import ConfigDict

from configs import base


def get_config(argument: str = "qf=20") -> ConfigDict:
    match = re.fullmatch(r"qf=(\d+)", argument)
    if not match or not 1 <= int(match[1]) <= 100:
        raise ValueError(f"paper:{argument}: expected qf=QUALITY, from 1 to 100")
    config = base.get_config()
    config.quality = int(match[1])
    if config.quality != 20:
        config.initial_weights = "runs/qf20"
    return config
