"""All keys, with the paper's values: all other configs state differences from this one."""

import os

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """Return the paper's training for quality factor 20 (Sections III-C and III-D)."""
    config = ConfigDict()
    config.seed = 0
    config.quality = 20  # JPEG quality factor to train for, 1..100; or that of another codec
    config.initial_weights = ""  # to start from: a finished workdir, a .safetensors file, or
    # the name of a network that ships, such as "cascnn-qf20"
    config.devices = 0  # to train on, in each process; 0: all
    config.parallelism = "pmap"  # or "shard_map", its successor in JAX: the same bits
    config.tracker = ""  # or "trackio", besides metrics.jsonl and TensorBoard: pip install trackio
    config.batch_size = 20  # cut-outs per step, over all devices of all processes

    config.model = ConfigDict()
    config.model.name = "cascnn"
    config.model.prelu = "shared"  # or "channel". Not in the paper; the default of its framework
    config.model.activate_outputs = True  # "all these layers are followed by a PReLU"
    config.model.padding = "zero"  # or "edge". Not in the paper; the default of its framework
    config.model.skip_connections = True
    config.model.residual = False  # the paper saw no gain
    config.model.batch_norm = False  # the paper saw a loss
    config.model.initializer = "paper"  # or "image_carrying": far better after few steps
    # or "bfloat16": on accelerators, and on CPUs with units for it; "mixed": that, but float32 at
    # full resolution; "auto": float32, or if that is faster mixed (other networks: bfloat16), as
    # found where a run starts, which keeps it wherever it resumes. Scores are those of float32.
    config.model.dtype = "float32"
    # "direct", "winograd", "onednn"; auto: what the backend runs fastest in this dtype
    config.model.convolution = "auto"
    config.model.channels = 1  # or 3 for colour: Y, Cb and Cr; see configs/colour.py
    config.model.condition = 0  # 2 for colour: numbers that describe the quantisation tables

    config.data = ConfigDict()
    # Names for `casjax.datasets.open_source`. The paper used ImageNet 2013 DET: the nearest is
    # ("tfds:imagenet2012/train",), whose files must be present.
    config.data.sources = ("bsds500/train+test",)
    config.data.validation_sources = ("bsds500/val",)
    config.data.validation_cutouts = 10_000
    config.data.images_dir = os.environ.get("CASJAX_DATA", "")  # local files; "": download
    config.data.cutouts_dir = "runs/cutouts"  # where cut-outs are kept between runs
    config.data.cutout_size = 120  # pixels

    # The degradation of a cut-out before the network sees it.
    config.degradation = ConfigDict()
    config.degradation.codec = "jpeg"  # or "webp", "jpeg2000" (quality: PSNR in dB), "avif"
    config.degradation.augment = False  # random flips and quarter turns
    config.degradation.lowest_quality = config.get_oneway_ref("quality")  # drawn uniformly
    config.degradation.highest_quality = config.get_oneway_ref("quality")  # up to this one
    # Share of the cut-outs that were JPEGs before, on another block grid
    config.degradation.recompress = 0.0
    config.degradation.recompress_lowest_quality = 10  # of that first JPEG, drawn uniformly
    config.degradation.recompress_highest_quality = 95

    # JPEG compression in colour; unused with model.channels = 1.
    config.colour = ConfigDict()
    config.colour.sampling_shares = (0.15, 0.15, 0.7)  # of 4:4:4, 4:2:2 and 4:2:0
    config.colour.quality_exponent = 1.0  # 1: qualities are drawn uniformly; above: more low ones
    config.colour.foreign_share = 0.2  # with tables other than libjpeg's
    config.colour.grey_share = 0.05

    config.optimizer = ConfigDict()
    config.optimizer.name = "adam"  # or "muon": better after few steps
    config.optimizer.beta1 = 0.9
    config.optimizer.beta2 = 0.999
    config.optimizer.epsilon = 1e-8
    config.optimizer.gradient_clip_norm = 0.0  # of all gradients together; 0: never
    config.optimizer.slow_layers = ()  # in AR-CNN's recipe ("conv4",), the last
    config.optimizer.slow_rate = 0.1  # their share of the learning rate

    config.loss = ConfigDict()
    config.loss.measure = "mse"  # or "psnr": all cut-outs count alike, whatever their errors
    config.loss.edge_weight = 0.0  # of the error of Sobel's derivatives, as for L4 and L8

    # First all four outputs, then only the full-resolution one.
    config.multiscale = _phase(epochs=32.0, cutouts=50_000, loss_weights=(0.25, 0.25, 0.25, 0.25))
    config.finetune = _phase(epochs=4.0, cutouts=150_000, loss_weights=(1.0, 0.0, 0.0, 0.0))

    config.loop = ConfigDict()  # all in steps
    config.loop.log_every = 50  # metrics.jsonl and TensorBoard
    config.loop.validate_every = 2_500  # one of the paper's epochs
    config.loop.checkpoint_every = 500  # the most that a failure can cost

    config.checkpoints = ConfigDict()
    config.checkpoints.newest_kept = 2  # the best by validation PSNR is also kept

    config.evaluation = ConfigDict()
    config.evaluation.datasets = ("live1",)
    config.evaluation.qualities = ()  # (): the quality trained for
    config.evaluation.tile = 1024  # pixels: larger images are restored in tiles of this side
    return config


def _phase(*, epochs: float, cutouts: int, loss_weights: tuple[float, ...]) -> ConfigDict:
    phase = ConfigDict()
    phase.epochs = epochs  # over its cut-outs; 0 leaves the phase out
    phase.cutouts = cutouts
    phase.loss_weights = loss_weights  # of the outputs, finest first
    phase.learning_rate = 1e-4  # of the optimizer
    phase.warmup_steps = 0  # from zero, linearly
    phase.decay = "constant"  # or "cosine", to zero at the end of the phase
    return phase
