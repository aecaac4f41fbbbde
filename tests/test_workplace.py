"""The workdir of a run: what is another's work is not overwritten."""

import json

import pytest
import small

from casjax.training import workplace

CONFIG = small.get_config().to_dict()


def enter(workdir, config=CONFIG):
    with workplace.enter(workdir, config=config, pictures=["live1.png"]):
        pass


def files_of(folder):
    return {p.name: p.read_text() for p in folder.iterdir() if not p.name.startswith(".")}


@pytest.mark.parametrize(
    "names",
    [
        ["results.json"],  # of casjax.evaluate, say
        ["config.json"],  # of another program
        ["metrics.jsonl"],
        ["live1.png"],
        ["weights.safetensors", "photo.jpg"],
        ["multiscale.safetensors"],
        ["run.json"],
    ],
)
def test_anothers_files_are_not_overwritten(tmp_path, names):
    for name in names:
        (tmp_path / name).write_text("{}")
    before = files_of(tmp_path)
    with pytest.raises(ValueError, match=f"it holds {names[0]}.*choose another --workdir"):
        enter(tmp_path)
    assert files_of(tmp_path) == before


@pytest.mark.parametrize("result", ["weights.safetensors", "results.json", "live1.png"])
def test_results_of_a_run_without_its_checkpoints_stay(tmp_path, result):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / result).write_text("hours of work")
    with pytest.raises(ValueError, match=rf"{result}.*--config\.initial_weights={tmp_path}"):
        enter(tmp_path, CONFIG | {"quality": 40})
    for same in (CONFIG, CONFIG | {"devices": 1}):
        if result == "weights.safetensors":  # of a finished run, whose records would be lost
            with pytest.raises(ValueError, match=f"{result}.*and no checkpoint of it"):
                enter(tmp_path, same)
        else:
            enter(tmp_path, same)  # the very same run makes the very same


def test_a_run_may_begin_in_its_own_leavings_and_beside_other_files(tmp_path):
    enter(tmp_path / "new")
    (tmp_path / "log.txt").write_text("of a scheduler")
    (tmp_path / "status.txt").write_text("failed: a mistake in the config")
    enter(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(CONFIG | {"quality": 40}))
    (tmp_path / "metrics.jsonl").write_text("")  # stopped before its first checkpoint
    enter(tmp_path)
    (tmp_path / "weights.safetensors").write_text("")
    (tmp_path / "checkpoints/10").mkdir(parents=True)
    enter(tmp_path)  # it is for `resume` to compare configs


def test_a_workdir_that_is_a_file_is_named(tmp_path):
    (tmp_path / "file").write_text("precious")
    with pytest.raises(ValueError, match="file: --workdir is a file, expected a folder"):
        enter(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "precious"
