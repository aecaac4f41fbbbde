"""The record of a run: what TensorBoard reads is what the lines say, and nothing twice."""

import json
import struct

import pytest
from tensorboardX.proto.event_pb2 import Event

from casjax.training.metric_writer import MetricWriter


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
