"""The record of a run: what TensorBoard reads is what the lines say, and nothing twice."""

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from tensorboardX.proto.event_pb2 import Event

from casjax.training.metric_writer import MetricWriter, is_tracker


def events(folder):
    """The events in a folder's files: each has its length, two checksums, and itself."""
    for path in sorted(folder.iterdir()):
        data, place = path.read_bytes(), 0
        while place < len(data):
            (length,) = struct.unpack_from("<Q", data, place)
            yield Event.FromString(data[place + 12 : place + 12 + length])
            place += length + 16


def test_both_records_agree_and_a_resumed_run_forgets_what_it_repeats(tmp_path):
    writer = MetricWriter(tmp_path, first_step=0)
    writer.write(10, "train", {"phase": "multiscale", "loss": 0.5, "psnr": 30.0})
    writer.write(20, "train", {"phase": "multiscale", "loss": 0.25, "psnr": 31.0})
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["loss"] for line in lines] == [0.5, 0.25]
    scalars = [
        (event.step, value.tag, value.simple_value)
        for event in events(tmp_path / "tensorboard")
        for value in event.summary.value
    ]
    assert scalars == [
        (10, "train/loss", 0.5),
        (10, "train/psnr", 30.0),
        (20, "train/loss", 0.25),
        (20, "train/psnr", 31.0),
    ]
    writer.close()

    MetricWriter(tmp_path, first_step=10).close()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [10]
    # TensorBoard hides what earlier files have from this step on.
    *_, start = events(tmp_path / "tensorboard")
    assert start.HasField("session_log")
    assert start.step == 11


def test_a_metric_that_is_no_number_is_not_written(tmp_path):
    writer = MetricWriter(tmp_path, first_step=0)
    with pytest.raises(ValueError, match="JSON"):
        writer.write(1, "train", {"loss": float("nan")})
    writer.close()
    assert (tmp_path / "metrics.jsonl").read_text() == ""


TRACKED = """
import json, socket, sys
from pathlib import Path

def refuse(*_, **__):
    raise OSError("the network is off")
socket.socket.connect = socket.getaddrinfo = refuse  # nothing may leave the machine
from casjax.training.metric_writer import MetricWriter
workdir = Path(sys.argv[1])
for first_step in (0, 10):
    config = {"quality": 20, "optimizer": {"name": "adam"}}
    writer = MetricWriter(workdir, first_step=first_step, tracker="trackio", config=config)
    writer.write(first_step + 10, "train", {"phase": "finetune", "loss": 0.5, "psnr": 30.0})
    writer.close()
from trackio.sqlite_storage import SQLiteStorage
names = [f"run from step {step}" for step in (0, 10)]
logs = [SQLiteStorage.get_logs("casjax", name) for name in names]
(workdir / "logs.json").write_text(json.dumps(logs))
"""


def test_trackio_keeps_the_numbers_on_this_machine(tmp_path):
    pytest.importorskip("trackio")
    workdir = tmp_path / "run"
    workdir.mkdir()
    subprocess.run(
        [sys.executable, "-c", TRACKED, workdir],
        env=os.environ | {"TRACKIO_DIR": str(tmp_path / "trackio"), "HF_HUB_OFFLINE": "1"},
        cwd=Path(__file__).parent.parent,
        check=True,
        timeout=120,
    )
    logs = json.loads((workdir / "logs.json").read_text())
    numbers = [
        [{k: r[k] for k in ("step", "train/loss", "train/psnr")} for r in log] for log in logs
    ]
    expected = {"train/loss": 0.5, "train/psnr": 30.0}
    assert numbers == [[{"step": 10} | expected], [{"step": 20} | expected]]
    assert len((workdir / "metrics.jsonl").read_text().splitlines()) == 2


def test_a_tracker_counts_where_it_is_installed(monkeypatch):
    assert is_tracker("")
    assert not is_tracker("wandb")
    monkeypatch.setitem(sys.modules, "trackio", None)
    assert not is_tracker("trackio")
