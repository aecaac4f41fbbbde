"""The record of how a run was made, against git, the system and the clock."""

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from casjax.networks import circumstances, provenance
from casjax.training import run_record
from casjax.training.run_record import RunRecord, read_parts

ROOT = Path(__file__).parent.parent
IMAGES = [{"name": "folder:a", "images": 2, "files_sha256": "0a"}]


def test_parts_are_kept_and_their_times_are_summed(tmp_path):
    first = RunRecord(tmp_path, IMAGES, first_step=0)
    time.sleep(0.3)
    first.update(7)  # killed after it
    second = RunRecord(tmp_path, IMAGES, first_step=5)
    time.sleep(0.2)
    second.update(10)
    parts = read_parts(tmp_path / "run.json")
    assert [(p["first_step"], p["last_step"]) for p in parts] == [(0, 7), (5, 10)]
    assert 0.5 <= sum(part["seconds"] for part in parts) < 10
    whole = provenance.of_parts([part | {"seconds": 30.4} for part in parts])
    assert whole["wall_time"] == 61
    assert whole["revision"] == circumstances.revision()
    assert whole["versions"]["jax"] == __import__("jax").__version__
    assert f"{len(os.sched_getaffinity(0))} cores" in whole["machine"]
    assert "; then" not in whole["machine"]


def test_several_machines_are_all_named():
    one = {"processor": "A", "cores": 2, "system": "Linux", "accelerators": ""}
    two = {"processor": "B", "cores": 16, "system": "Linux", "accelerators": "1 H100"}
    parts = [
        {"machine": machine, "processes": count, "command": "python x", "seconds": 1.0}
        | {"revision": "c0ffee", "versions": {}}
        for machine, count in ((one, 1), (two, 4), (one, 1))
    ]
    assert provenance.of_parts(parts)["machine"] == "A, 2 cores; then 4 times B, 16 cores, 1 H100"


def test_a_run_that_begins_anew_forgets_the_one_before(tmp_path):
    RunRecord(tmp_path, IMAGES, first_step=0).update(3)
    RunRecord(tmp_path, IMAGES, first_step=0).update(4)
    [part] = read_parts(tmp_path / "run.json")
    assert part["last_step"] == 4


def test_other_images_than_those_the_run_was_begun_with_are_refused(tmp_path):
    RunRecord(tmp_path, IMAGES, first_step=0).update(3)
    others = [IMAGES[0] | {"files_sha256": "0b"}]
    with pytest.raises(ValueError, match=r"the images of folder:a are not those that"):
        RunRecord(tmp_path, others, first_step=3)
    (tmp_path / "run.json").write_text('{"parts"')
    with pytest.raises(ValueError, match=r"run\.json: damaged"):
        RunRecord(tmp_path, IMAGES, first_step=3)


def test_the_command_is_what_was_typed(tmp_path, monkeypatch):
    typed = ["/usr/bin/python3", "-m", "casjax.main", "--config=a b.py"]
    monkeypatch.setattr(run_record.sys, "orig_argv", typed)
    RunRecord(tmp_path, IMAGES, first_step=0)
    [part] = json.loads((tmp_path / "run.json").read_text())["parts"]
    assert part["command"] == "python3 -m casjax.main '--config=a b.py'"


def test_the_revision_is_gits(tmp_path, monkeypatch):
    package = tmp_path / "casjax"
    package.mkdir()
    (package / "__init__.py").write_text("")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    monkeypatch.setattr(circumstances, "PACKAGE", package)

    def revision():
        circumstances.revision.cache_clear()
        return circumstances.revision()

    try:
        subprocess.run([*git, "init", "-q"], check=True)
        assert revision() == ""  # in another's folder, say
        subprocess.run([*git, "add", "."], check=True)
        subprocess.run([*git, "commit", "-qm", "one"], check=True)
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True).stdout
        assert revision() == head.strip()
        (package / "__init__.py").write_text("changed")
        assert revision() == f"{head.strip()}-dirty"
    finally:
        circumstances.revision.cache_clear()


def test_learning_curves_are_thinned_with_both_ends(tmp_path):
    metrics = tmp_path / "metrics.jsonl"
    lines = [{"step": 1, "kind": "train", "psnr": 1.0, "jpeg_psnr": 0.0}]
    for i in range(1, 101):
        gain = {"psnr": 30 + i / 100, "jpeg_psnr": 30.0}
        lines.append({"step": 10 * i, "kind": "validation", **gain})
    metrics.write_text("".join(json.dumps(line) + "\n" for line in lines))
    curve = provenance.learning_curve(metrics, batch_size=8)
    assert len(curve) == provenance.CURVE_POINTS
    assert (curve[0], curve[-1]) == ([80, 0.01], [8000, 1.0])
    for cutouts, gain in curve:
        assert gain == pytest.approx(cutouts / 8000)
    metrics.write_text("".join(json.dumps(line) + "\n" for line in lines[:2]))
    with metrics.open("a") as file:
        file.write('{"step": 2')  # by a process that was killed
    assert provenance.learning_curve(metrics, batch_size=8) == [[80, 0.01]]
