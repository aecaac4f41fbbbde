"""Restoration by a cluster whose workers die: every picture is done, and done once."""

import collections
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
import skimage.data
from PIL import Image
from small import ARCNN

from casjax.files import write_json
from casjax.models import create_model, initial_variables
from casjax.networks.weights import save_weights
from casjax.restore import main
from configs import base

ROOT = Path(__file__).parent.parent
COUNT = 24
# The command with workers that keep a log, and die by SIGKILL where the test wants it.
PROGRAM = """
import os, signal, sys
from pathlib import Path
from casjax import restore
from casjax.restoration import cluster

class Mortal(cluster.Worker):
    def run(self, job):
        self.die("before", job)
        outcome = super().run(job)
        with open(LOG, "a") as log:
            print(os.getpid(), outcome.kind, job.source.name, file=log)
        self.die("after", job)
        return outcome

    def die(self, when, job):
        flag = Path(f"{LOG}-{when}-{job.source.name}")
        if flag.exists():
            if flag.read_text() == "once":
                flag.unlink()
            os.kill(os.getpid(), signal.SIGKILL)

LOG = sys.argv[1]
cluster.Worker = Mortal
sys.exit(restore.main(sys.argv[2:]))
"""


@pytest.fixture
def folder(tmp_path):
    """Photographs, a damaged file, and the workdir of an untrained network."""
    photograph = skimage.data.astronaut()
    (tmp_path / "in").mkdir()
    for i in range(COUNT):
        part = Image.fromarray(photograph[8 * i : 8 * i + 40, 200:264])
        part.save(tmp_path / "in" / f"photo{i:02}.jpg", quality=20)
    (tmp_path / "in" / "damaged.jpg").write_bytes(b"no picture")
    (tmp_path / "run").mkdir()
    config = base.get_config().to_dict() | {"model": ARCNN, "quality": 20}
    write_json(tmp_path / "run" / "config.json", config)
    variables = jax.device_get(initial_variables(create_model(**ARCNN), seed=3))
    save_weights(tmp_path / "run" / "weights.safetensors", variables)
    return tmp_path


def restore_by_cluster(folder):
    options = ["--model=run", "--memory=100MB", "--failures=failures.jsonl"]
    arguments = ["in", "-o", "out/", *options, "--ray=local", "--workers=2"]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder / "log"), *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "XLA_FLAGS": ""},
        capture_output=True,
        text=True,
    )
    assert "Traceback" not in done.stderr, done.stderr
    lines = (folder / "failures.jsonl").read_text().splitlines()
    failed = {Path(failure["source"]).name: failure["error"] for failure in map(json.loads, lines)}
    return done.returncode, done.stderr, failed


def restored_by(folder):
    """The processes that restored each picture, and all processes at work."""
    processes, pids = collections.defaultdict(list), set()
    for line in (folder / "log").read_text().splitlines():
        pid, kind, name = line.split(maxsplit=2)
        pids.add(pid)
        if kind == "restored":
            processes[name].append(pid)
    return processes, pids


@pytest.mark.slow
def test_workers_die_and_every_picture_is_done_once(folder, monkeypatch):
    pytest.importorskip("ray")
    (folder / "log-before-photo05.jpg").write_text("once")
    (folder / "log-after-photo20.jpg").write_text("once")
    status, errors, failed = restore_by_cluster(folder)
    assert status == 1
    assert failed.keys() == {"damaged.jpg"}
    assert "not an image in a known format" in failed["damaged.jpg"]
    processes, pids = restored_by(folder)
    assert {name: len(by) for name, by in processes.items()} == {
        f"photo{i:02}.jpg": 1 for i in range(COUNT)
    }
    assert len(pids) >= 3, "two workers, and another one at least for those that died"
    assert "1 failed" in errors.splitlines()[-1]

    monkeypatch.chdir(folder)
    assert main(["in", "-o", "here/", "--model=run", "--memory=100MB", "-q"]) == 1
    for path in sorted((folder / "here").iterdir()):
        assert (folder / "out" / path.name).read_bytes() == path.read_bytes()

    (folder / "in" / "damaged.jpg").unlink()
    (folder / "out" / "photo11.png").unlink()
    status, errors, failed = restore_by_cluster(folder)
    assert (status, failed) == (0, {})
    assert f"1 restored, {COUNT - 1} skipped" in errors.splitlines()[-1]


@pytest.mark.slow
def test_a_picture_that_kills_every_worker_stops_no_other(folder):
    pytest.importorskip("ray")
    (folder / "log-before-photo05.jpg").write_text("always")
    status, _, failed = restore_by_cluster(folder)
    assert status == 1
    assert failed.keys() == {"damaged.jpg", "photo05.jpg"}
    assert failed["photo05.jpg"].endswith("photo05.jpg: its worker died 3 times")
    expected = [f"photo{i:02}.png" for i in range(COUNT) if i != 5]
    assert sorted(path.name for path in (folder / "out").iterdir()) == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--ray=local", "--overwrite"], "--overwrite and --explain are for one machine"),
        (["--ray=local", "-o", "-"], "standard input and output are for one machine"),
        (["--failures=nowhere/list"], "No such file or directory"),
    ],
)
def test_wrong_usage(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save("photo.jpg")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    with pytest.raises(SystemExit) as leaving:
        main(["photo.jpg", *arguments])
    assert leaving.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_ray_is_asked_for_by_name_where_it_is_missing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save("photo.jpg")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SystemExit):
        main(["photo.jpg", "--ray=auto"])
    assert "pip install 'casjax[ray]'" in capsys.readouterr().err.splitlines()[-1]
