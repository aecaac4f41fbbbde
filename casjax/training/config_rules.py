"""The valid values of each config key, checked before any work is done."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, get_args

from flax.traverse_util import flatten_dict

from casjax.images.codecs import CODECS
from casjax.jpeg import SAMPLINGS
from casjax.networks import colour
from casjax.networks.inference import ImageModel, require_tile
from casjax.networks.provenance import PHASES
from casjax.training.losses import Measure
from casjax.training.metric_writer import is_tracker
from casjax.training.optimizer import Name
from casjax.training.phases import Decay
from casjax.training.steps import PARALLELISMS


def require_valid(config: Mapping[str, Any]) -> None:
    """Check every value of a config except the network's, which `models.create_model` checks.

    Args:
      config: nested, as described in `configs/base.py`.

    Raises:
      ValueError: a key is missing or unknown, or a value is invalid; the message names the key, its
        value and what is expected.
    """
    flat = flatten_dict(config, sep=".")
    values = {key: value for key, value in flat.items() if not key.startswith("model.")}
    for key in sorted(RULES.keys() | values.keys()):
        if key not in values:
            raise ValueError(f"config.{key} is missing: configs/base.py has all keys")
        if key not in RULES:
            raise ValueError(f"config.{key}: there is no such key, see configs/base.py")
        if not RULES[key].holds(values[key]):
            raise ValueError(f"config.{key}={values[key]!r}: expected {RULES[key].expected}")
    for kind in ("", "recompress_"):
        lowest, highest = (
            values[f"degradation.{kind}{end}_quality"] for end in ("lowest", "highest")
        )
        if lowest > highest:
            raise ValueError(
                f"config.degradation.{kind}lowest_quality={lowest}: expected at most "
                f"{kind}highest_quality, {highest}"
            )
    recompress, codec = values["degradation.recompress"], values["degradation.codec"]
    if recompress and codec != "jpeg":
        raise ValueError(
            f"config.degradation.recompress={recompress}: expected 0 for the codec {codec}, "
            "only JPEG is compressed twice"
        )
    count, batch_size = values["data.validation_cutouts"], values["batch_size"]
    if count < batch_size:
        raise ValueError(
            f"config.data.validation_cutouts={count}: expected at least a batch, "
            f"batch_size={batch_size}"
        )


def require_fit(config: Mapping[str, Any], model: ImageModel, *, outputs: int) -> None:
    """Check the values of a valid config that depend on the network and its number of outputs.

    Raises:
      ValueError: a value does not fit; the message names the key.
    """
    size = config["data"]["cutout_size"]
    if size % model.alignment:
        raise ValueError(
            f"config.data.cutout_size={size}: expected a multiple of {model.alignment}, the "
            "network's grid"
        )
    for phase in PHASES:
        if len(weights := config[phase]["loss_weights"]) != outputs:
            raise ValueError(
                f"config.{phase}.loss_weights={tuple(weights)}: expected one for each output of "
                f"the network, of which there are {outputs}"
            )
    channels, told = getattr(model, "channels", 1), getattr(model, "condition", 0)
    if channels not in (1, 3):
        raise ValueError(f"config.model.channels={channels}: expected 1, luma, or 3, colour")
    if not colour.is_for_colour(model):
        if told:
            raise ValueError(f"config.model.condition={told}: expected 0 in luma")
    else:
        if told != colour.CONDITION:
            raise ValueError(
                f"config.model.condition={told}: expected {colour.CONDITION} in colour, for the "
                "numbers that describe the quantisation tables"
            )
        if (codec := config["degradation"]["codec"]) != "jpeg":
            raise ValueError(f"config.degradation.codec={codec!r}: expected 'jpeg' in colour")
    try:
        require_tile(model, config["evaluation"]["tile"])
    except ValueError as error:
        raise ValueError(f"config.evaluation.{error}") from error


class Rule(NamedTuple):
    """The valid values of a key, in words and as a test."""

    expected: str
    holds: Callable[[Any], bool]


def _integer(lowest: int, highest: float = math.inf) -> Rule:
    return Rule(
        f"a whole number of at least {lowest}"
        if highest == math.inf
        else f"a whole number from {lowest} to {highest}",
        lambda x: isinstance(x, int) and not isinstance(x, bool) and lowest <= x <= highest,
    )


def _is_number(x: Any) -> bool:
    return isinstance(x, int | float) and not isinstance(x, bool) and math.isfinite(x)


def _one_of(*choices: str) -> Rule:
    return Rule(f"one of {', '.join(choices)}", lambda x: isinstance(x, str) and x in choices)


def _many(of: Rule, what: str, *, least: int = 0, distinct: bool = False) -> Rule:
    """Accept a tuple or list of at least this many values."""

    def holds(x: Any) -> bool:
        if not isinstance(x, tuple | list) or not all(of.holds(value) for value in x):
            return False
        return len(x) >= least and not (distinct and len(set(x)) < len(x))

    number = "one or more" if least else "none or more"
    return Rule(f"a tuple of {number} {'different ' if distinct else ''}{what}", holds)


_FLAG = Rule("True or False", lambda x: isinstance(x, bool))
_TEXT = Rule("a text", lambda x: isinstance(x, str))
_NAME = Rule("a name", lambda x: isinstance(x, str) and bool(x))
_POSITIVE = Rule("a number above 0", lambda x: _is_number(x) and x > 0)
_NOT_NEGATIVE = Rule("0 or a number above it", lambda x: _is_number(x) and x >= 0)
_SHARE = Rule("0 or a share below 1", lambda x: _is_number(x) and 0 <= x < 1)
_PART = Rule("a share from 0 to 1", lambda x: _is_number(x) and 0 <= x <= 1)
_QUALITY = _integer(1, 100)
_WEIGHTS = Rule(
    "a tuple of numbers, none negative and not all of them 0",
    lambda x: isinstance(x, tuple | list) and all(map(_NOT_NEGATIVE.holds, x)) and sum(x) > 0,
)
_PHASE = {
    "epochs": _NOT_NEGATIVE,
    "cutouts": _integer(1),
    "loss_weights": _WEIGHTS,
    "learning_rate": _POSITIVE,
    "warmup_steps": _integer(0),
    "decay": _one_of(*get_args(Decay)),
}
RULES: dict[str, Rule] = {
    "seed": _integer(0, 2**32 - 1),
    "quality": _QUALITY,
    "initial_weights": _TEXT,
    "devices": _integer(0),
    "parallelism": _one_of(*PARALLELISMS),
    "tracker": Rule("'' or, after pip install 'casjax[trackio]', 'trackio'", is_tracker),
    "batch_size": _integer(1),
    "data.sources": _many(_NAME, "names of image sources", least=1),
    "data.validation_sources": _many(_NAME, "names of image sources", least=1),
    "data.validation_cutouts": _integer(1),
    "data.images_dir": _TEXT,
    "data.cutouts_dir": _NAME,
    "data.cutout_size": _integer(1),
    "degradation.codec": _one_of(*CODECS),
    "degradation.augment": _FLAG,
    "degradation.lowest_quality": _QUALITY,
    "degradation.highest_quality": _QUALITY,
    "degradation.recompress": _PART,
    "degradation.recompress_lowest_quality": _QUALITY,
    "degradation.recompress_highest_quality": _QUALITY,
    "colour.sampling_shares": Rule(
        "three shares, none negative and not all of them 0, of 4:4:4, 4:2:2 and 4:2:0",
        lambda x: _WEIGHTS.holds(x) and len(x) == len(SAMPLINGS),
    ),
    "colour.quality_exponent": _POSITIVE,
    "colour.foreign_share": _PART,
    "colour.grey_share": _PART,
    "optimizer.name": _one_of(*get_args(Name)),
    "optimizer.beta1": _SHARE,
    "optimizer.beta2": _SHARE,
    "optimizer.epsilon": _POSITIVE,
    "optimizer.gradient_clip_norm": _NOT_NEGATIVE,
    "optimizer.slow_layers": _many(_NAME, "names of layers"),
    "optimizer.slow_rate": _NOT_NEGATIVE,
    "loss.measure": _one_of(*get_args(Measure)),
    "loss.edge_weight": _NOT_NEGATIVE,
    **{f"{phase}.{key}": rule for phase in PHASES for key, rule in _PHASE.items()},
    "loop.log_every": _integer(1),
    "loop.validate_every": _integer(1),
    "loop.checkpoint_every": _integer(1),
    "checkpoints.newest_kept": _integer(1),
    "evaluation.datasets": _many(_NAME, "names of image sources", distinct=True),
    "evaluation.qualities": _many(_QUALITY, "whole numbers from 1 to 100", distinct=True),
    "evaluation.tile": _integer(1),
}
