"""Codecs other than JPEG, since nothing in the networks depends on it: ``--config=codec:webp``.

    casjax train --config=codec:webp --workdir=runs/webp

Fine-tunes the shipped L4 for JPEG at quality 20 to ``webp``, ``jpeg2000`` or ``avif``. The quality
is the codec's own: the quality factor of WebP and AVIF, or for JPEG 2000 the PSNR in dB that the
encoder aims at. JPEG 2000 distributes errors within an image to save most bits, so cut-outs of it
are better or worse than the whole; hence the range of qualities to train for.

On LIVE1, 320 steps, 7 minutes on a busy CPU core, improved WebP at 20 from 31.17 dB PSNR to 31.53,
and from 30.49 dB PSNR-B to 31.20; JPEG 2000 at 30 dB improved from 29.74 dB PSNR to 29.82, and in
other runs to 29.76 and 29.87.
"""

from ml_collections import ConfigDict

from configs import l4

# To score at, and the range to train for.
QUALITIES = {"webp": (20, 20, 20), "jpeg2000": (30, 26, 34), "avif": (30, 30, 30)}


def get_config(argument: str = "webp") -> ConfigDict:
    if argument not in QUALITIES:
        raise ValueError(f"codec:{argument}: expected one of {', '.join(QUALITIES)}")
    config = l4.get_config()
    config.initial_weights = "l4-qf20"
    config.quality, lowest, highest = QUALITIES[argument]
    config.degradation.codec = argument
    config.degradation.lowest_quality = lowest
    config.degradation.highest_quality = highest
    config.data.validation_cutouts = 160
    config.finetune.epochs = 0.2
    config.finetune.warmup_steps = 20
    config.loop.validate_every = 160
    return config
