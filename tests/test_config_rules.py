"""Every value of a config is checked before any work, by its key."""

import pytest
import small

from casjax.models import create_model
from casjax.training import config_rules
from casjax.training.config_rules import require_fit, require_valid
from configs import base


def with_value(config, key, value):
    """A config as nested dicts with one value changed."""
    nested = config.to_dict()
    section = nested
    *path, name = key.split(".")
    for part in path:
        section = section[part]
    section[name] = value
    return nested


def test_every_key_has_a_rule_and_the_papers_values_hold():
    require_valid(base.get_config().to_dict())
    for key, rule in config_rules.RULES.items():
        assert not rule.holds(None), key
        assert not rule.holds({}), key


NAN, INFINITE = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("seed", [-1, 0.5, "0", True, 2**32]),
        ("quality", [0, 101, 20.0, "20"]),
        ("devices", [-1, 1.5]),
        ("degradation.highest_quality", [101]),
        ("degradation.recompress_lowest_quality", [0]),
        ("degradation.recompress_highest_quality", [101]),
        ("batch_size", [0, -4, 4.0, True]),
        ("loop.log_every", [0, -1, 2.5]),
        ("loop.validate_every", [0, 2.5]),
        ("loop.checkpoint_every", [0, INFINITE]),
        ("checkpoints.newest_kept", [0, 1.5]),
        ("multiscale.epochs", [-1.0, NAN, INFINITE, "1"]),
        ("multiscale.cutouts", [0, 100.5]),
        ("multiscale.loss_weights", [1.0, (), (0.0, 0.0), (-1.0, 2.0), ("1", "0"), (NAN, 1.0)]),
        ("finetune.learning_rate", [0.0, -1e-4, NAN, "1e-4"]),
        ("finetune.warmup_steps", [-1, 0.5]),
        ("finetune.decay", ["linear", None]),
        ("optimizer.name", ["sgd"]),
        ("optimizer.beta1", [1.0, -0.1, NAN]),
        ("optimizer.epsilon", [0.0, -1.0]),
        ("optimizer.gradient_clip_norm", [-0.1, NAN]),
        ("optimizer.slow_layers", ["conv4", (4,)]),
        ("loss.measure", ["l1", 1]),
        ("loss.edge_weight", [-1.0, NAN]),
        ("data.sources", ["bsds500/train", (), (3,), ("",)]),
        ("data.validation_cutouts", [0, 8.5]),
        ("data.cutout_size", [0, 48.0]),
        ("data.cutouts_dir", ["", 3]),
        ("data.images_dir", [None]),
        ("degradation.codec", ["gif"]),
        ("degradation.augment", [1, "yes"]),
        ("degradation.lowest_quality", [0, 10.5]),
        ("evaluation.datasets", ["live1", ("live1", "live1"), (1,)]),
        ("evaluation.qualities", [20, (0,), (101,), (20.5,), (20, 20)]),
        ("evaluation.tile", [0, 512.0]),
    ],
)
def test_what_a_value_cannot_be_is_said_by_its_key(key, values):
    for value in values:
        with pytest.raises(ValueError, match=rf"^config\.{key}=.*: expected ") as error:
            require_valid(with_value(base.get_config(), key, value))
        assert "\n" not in str(error.value)


def test_values_are_checked_against_each_other():
    config = base.get_config()
    config.degradation.lowest_quality = 30
    with pytest.raises(ValueError, match=r"lowest_quality=30: expected at most .*, 20$"):
        require_valid(config.to_dict())
    config = base.get_config()
    for batch_size, count in ((512, 320), (2, 1)):
        config.batch_size, config.data.validation_cutouts = batch_size, count
        with pytest.raises(
            ValueError, match=f"validation_cutouts={count}.*batch_size={batch_size}"
        ):
            require_valid(config.to_dict())


def test_keys_that_are_missing_or_unknown_are_named():
    nested = base.get_config().to_dict()
    del nested["loop"]["log_every"]
    with pytest.raises(ValueError, match=r"config\.loop\.log_every is missing"):
        require_valid(nested)
    with pytest.raises(ValueError, match=r"config\.loop\.log_evry: there is no such key"):
        require_valid(with_value(base.get_config(), "loop.log_evry", 3))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("data.cutout_size", 36, r"cutout_size=36: expected a multiple of 8"),
        ("multiscale.loss_weights", (1.0,), r"multiscale\.loss_weights=\(1\.0,\): .* 2$"),
        ("finetune.loss_weights", (1.0, 0.0, 0.0), r"finetune\.loss_weights=.* 2$"),
        ("evaluation.tile", 100, r"config\.evaluation\.tile=100: expected a multiple of 8"),
        ("evaluation.tile", 16, r"tile=16: expected .* above 16"),
    ],
)
def test_what_does_not_fit_the_network_is_said_by_its_key(key, value, message):
    with pytest.raises(ValueError, match=message):
        require_fit(with_value(small.get_config(), key, value), small.SmallNetwork(), outputs=2)


@pytest.mark.parametrize(
    ("option", "value"),
    [("prelu", "sharde"), ("padding", "egde"), ("residual", "yes"), ("dtype", "float16")],
)
def test_values_of_a_networks_options_are_checked(option, value):
    options = base.get_config().model.to_dict() | {option: value}
    with pytest.raises(ValueError, match=rf"config\.model\.{option}='{value}': expected one of"):
        create_model(**options)
