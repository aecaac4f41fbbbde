"""Every config has the keys of the base, and every section fits the function it is for."""

import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from casjax.evaluation import PAPERS_QUALITIES
from casjax.images.codecs import CODECS
from casjax.models import count_outputs, create_model, variable_shapes
from casjax.report.layout import published
from casjax.training import checkpoints, compression, feed, loop, optimizer, phases, resuming, steps
from casjax.training.config_rules import require_fit, require_valid
from casjax.training.train import with_dtype
from configs import ablation, base, codec, efficient, paper, pretrained

CONFIGS = sorted(path.stem for path in (Path(base.__file__).parent).glob("*.py"))

# Section: the function whose keywords it gives, and those that come from elsewhere.
SECTIONS = {
    "multiscale": (phases.plan_phase, {"first_step", "batch_size"}),
    "finetune": (phases.plan_phase, {"first_step", "batch_size"}),
    "optimizer": (optimizer.make_optimizer, set()),
    "loss": (steps.make_train_step, set()),
    "checkpoints": (checkpoints.Checkpoints, {"config"}),
    "data": (feed.open_feed, None),
    "degradation": (feed.open_feed, None),
    "loop": (loop.Intervals, set()),
    "colour": (compression.Compression, set()),
}


def keywords(function):
    """The keyword-only parameters of a function, which have no defaults."""
    parameters = inspect.signature(function).parameters.values()
    only = [p for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]
    assert all(p.default is inspect.Parameter.empty for p in only), (
        "defaults live in configs/base.py"
    )
    return {p.name for p in only}


def load(name):
    return importlib.import_module(f"configs.{name}").get_config()


@pytest.mark.parametrize("name", CONFIGS)
def test_sections_fit_their_functions(name, tmp_path):
    config = load(name)
    for section, (function, given) in SECTIONS.items():
        keys = set(config[section])
        assert keys <= keywords(function), section
        if given is not None:
            assert keys == keywords(function) - given, section
    sections = {"multiscale": config.multiscale, "finetune": config.finetune}
    phases.plan_phases(sections, batch_size=config.batch_size)
    model = create_model(**with_dtype(config, tmp_path).model)
    require_valid(config.to_dict())
    require_fit(config.to_dict(), model, outputs=count_outputs(model, variable_shapes(model)))


@pytest.mark.parametrize("name", ["arcnn-qf20", "cascnn-colour", "l4-qf20", "l8-qf20"])
def test_every_kind_of_network_that_ships_can_be_scored(name):
    config = pretrained.get_config(name).to_dict()
    model = create_model(**config["model"])
    require_fit(config, model, outputs=count_outputs(model, variable_shapes(model)))


def test_sections_are_complete():
    """What train_and_evaluate passes on its own, plus the sections, is all that is asked for."""
    config = base.get_config()
    own = {"device_count", "batch_size", "seed", "compression"}
    assert keywords(feed.open_feed) == own | {*config.data, *config.degradation}
    assert set(config.evaluation) == {"datasets", "qualities", "tile"}


@pytest.mark.parametrize("name", CONFIGS)
def test_configs_have_the_keys_of_the_base(name):
    """Except those of the model, which are its own: `create_model` is exact about them."""

    def keys(config, prefix=""):
        for key, value in config.items():
            yield prefix + key
            if hasattr(value, "items") and key != "model":
                yield from keys(value, f"{prefix}{key}.")

    assert set(keys(load(name))) == set(keys(base.get_config()))


def test_the_papers_config_takes_any_quality():
    qualities = range(1, 101)
    made = [paper.get_config(f"qf={quality}") for quality in qualities]
    assert [config.quality for config in made] == [*qualities]
    assert [config.degradation.lowest_quality for config in made] == [*qualities]
    assert [c.quality for c in made if c.initial_weights != "runs/qf20"] == [20]


@pytest.mark.parametrize("quality", PAPERS_QUALITIES)
def test_each_quality_of_the_paper_has_a_config_that_promises_its_score(quality):
    module = importlib.import_module(f"configs.qf{quality}")
    assert module.get_config().to_dict() == paper.get_config(f"qf={quality}").to_dict()
    rows = {(int(row["qf"]), row["algorithm"]): row for row in published("table2.tsv")}
    row = rows[quality, "CAS-CNN FT"]
    promise = f"{row['psnr']} dB PSNR, {row['psnrb']} dB PSNR-B, SSIM {row['ssim']}"
    assert promise in " ".join(module.__doc__.split())


def test_the_papers_qualities_are_those_of_its_table():
    assert {int(row["qf"]) for row in published("table2.tsv")} == {*PAPERS_QUALITIES}


def test_configs_are_made_without_jax():
    program = (
        "import sys; from casjax.training import configs; "
        "[configs.load_config(name) for name in configs.shipped()]; print('jax' in sys.modules)"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert found.stdout == "False\n"


@pytest.mark.parametrize(("quality", "steps"), [(20, (300, 375)), (40, (0, 375))])
def test_the_efficient_config_sees_the_cutouts_asked_for(quality, steps):
    config = efficient.get_config(f"qf={quality},cutouts=6000,batch=16")
    sections = {"multiscale": config.multiscale, "finetune": config.finetune}
    plan = phases.plan_phases(sections, batch_size=config.batch_size)
    assert tuple(phase.end_step for phase in plan) == steps
    assert config.degradation.highest_quality == quality


def test_the_efficient_config_takes_a_range_of_qualities():
    config = efficient.get_config("qf=5-95,cutouts=8000")
    assert (config.degradation.lowest_quality, config.degradation.highest_quality) == (5, 95)
    assert config.evaluation.qualities == (10, 20, 40, 60, 80)
    assert (config.initial_weights, config.multiscale.epochs) == ("cascnn-qf20", 0)


@pytest.mark.parametrize(
    "argument", ["qf", "quality=20", "qf=20;batch=8", "qf=high", "qf=5-", "cutouts=5-95"]
)
def test_the_efficient_config_says_what_it_takes(argument):
    with pytest.raises(ValueError, match="qf=20, cutouts=24000, batch=8"):
        efficient.get_config(argument)


@pytest.mark.parametrize("name", sorted(CODECS.keys() - {"jpeg"}))
def test_every_other_codec_has_a_config(name):
    config = codec.get_config(name)
    assert config.degradation.codec == name
    lowest, highest = config.degradation.lowest_quality, config.degradation.highest_quality
    assert lowest <= config.quality <= highest


def test_each_ablation_changes_one_thing_alone():
    paper = ablation.get_config("paper").to_dict()
    expected = {
        "without=multiscale": f"loss_weights was {[0.25] * 4} and is {[1.0, 0.0, 0.0, 0.0]}",
        "without=skip_connections": "skip_connections was True and is False",
        "with=residual": "residual was False and is True",
        "with=batch_norm": "batch_norm was False and is True",
    }
    assert {"paper", *expected} == set(ablation.CHANGES)
    for argument, change in expected.items():
        other = ablation.get_config(argument).to_dict()
        [(_, sentence)] = resuming.config_differences(paper, other)
        assert sentence.partition(".")[2] == change


def test_an_ablation_can_see_fewer_cutouts():
    config = ablation.get_config("with=residual,cutouts=1400")
    epochs = config.multiscale.epochs, config.finetune.epochs
    assert [share * config.multiscale.cutouts / config.batch_size for share in epochs] == [40, 10]
    assert config.model.residual


@pytest.mark.parametrize(
    ("config", "argument"),
    [
        (codec, "gif"),
        (ablation, "without=residual"),
        (ablation, "cutouts=x"),
        (paper, "qf=0"),
        (paper, "qf=101"),
        (paper, "20"),
        (pretrained, "qf=35"),
    ],
)
def test_arguments_that_there_are_not_are_refused(config, argument):
    with pytest.raises(ValueError, match=f"{argument}: expected "):
        config.get_config(argument)


def test_the_quality_range_follows_the_quality_until_it_is_set():
    config = base.get_config()
    config.quality = 35
    assert config.degradation.lowest_quality == config.degradation.highest_quality == 35
    config.degradation.lowest_quality = 5
    assert (config.quality, config.degradation.highest_quality) == (35, 35)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recompress": 1.5}, "recompress=1.5: expected a share from 0 to 1"),
        (
            {"recompress_lowest_quality": 96},
            "recompress_lowest_quality=96: expected at most recompress_highest_quality, 95",
        ),
        ({"recompress": 0.1, "codec": "webp"}, "recompress=0.1: expected 0 for the codec webp"),
    ],
)
def test_recompression_that_cannot_be_is_refused(changes, message):
    config = base.get_config()
    config.degradation.update(changes)
    with pytest.raises(ValueError, match=f"config.degradation.{message}"):
        require_valid(config.to_dict())
