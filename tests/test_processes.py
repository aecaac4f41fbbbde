"""Training over several processes of this machine: what one process gives, and what faults do."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import small

from casjax import models
from casjax.training import processes, train

ROOT = Path(__file__).parent.parent
LONG = ("--config.multiscale.epochs=4000", "--config.loop.log_every=1")  # 20,000 steps


def start(workdir, *options, slurm=False, each=((), ())):
    """Start the run of `small` in two processes of two devices, told by flags or as by SLURM.

    Both get the `options`, and each its own.
    """
    with socket.socket() as free:
        free.bind(("localhost", 0))
        coordinator = f"localhost:{free.getsockname()[1]}"
    command = [sys.executable, "tests/small.py", f"--workdir={workdir}"]
    command += [f"--config.data.cutouts_dir={workdir}", *options]
    environment = os.environ | {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": str(ROOT),
    }
    if slurm:
        environment |= {"SLURM_JOB_ID": str(os.getpid()), "SLURM_STEP_NODELIST": "localhost"}
        environment |= {"SLURM_NTASKS": "2"}
    else:
        command += [f"--coordinator={coordinator}", "--processes=2"]
    children = []
    for i in range(2):
        child = environment | {"SLURM_PROCID": str(i), "SLURM_LOCALID": str(i)}
        arguments = command if slurm else [*command, f"--process={i}", *each[i]]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        children.append(subprocess.Popen(arguments, cwd=ROOT, env=child, text=True, **pipes))
    return children


def finish(children):
    """Exit status and both outputs of each."""
    outputs = [child.communicate(timeout=120) for child in children]
    return [(child.returncode, *output) for child, output in zip(children, outputs, strict=True)]


def train_on(workdir, children):
    """Wait until the run is twenty steps beyond where the record in the workdir ends."""
    step = last_step(workdir) + 20
    while last_step(workdir) < step:
        assert all(child.poll() is None for child in children), finish(children)
        time.sleep(0.1)


def last_step(workdir):
    path = Path(workdir, "metrics.jsonl")
    steps = re.findall(r'^{"step": (\d+),.*}$', path.read_text() if path.exists() else "", re.M)
    return int(steps[-1]) if steps else 0


@pytest.mark.parametrize(
    ("told", "message"),
    [
        (("host:1", 2, None), "each needs the coordinator .* got 'host:1', 2 and None"),
        (("", 2, 0), "each needs the coordinator"),
        (("host", 2, 0), r"the coordinator \(host:port\)"),
        (("host:1", 2, 2), "process 2 of 2: expected an index from 0 to 1"),
    ],
)
def test_what_is_missing_to_connect_is_named(told, message):
    with pytest.raises(ValueError, match=message):
        processes.join(*told)


def test_processes_that_were_told_different_things_stop(tmp_path):
    children = start(tmp_path, each=[["--config.seed=1"], ["--config.seed=2"]])
    for status, _, errors in finish(children):
        assert status == 2
        assert "process 0 has" in errors
        assert "start all with the same options" in errors


@pytest.mark.parametrize("parallelism", ["pmap", "shard_map"])
def test_two_processes_do_as_one(parallelism, tmp_path, monkeypatch):
    children = start(tmp_path / "two", f"--config.parallelism={parallelism}")
    monkeypatch.setitem(models.MODELS, "small", small.SmallNetwork)
    config = small.get_config()
    config.data.cutouts_dir = str(tmp_path)
    train.train_and_evaluate(config, tmp_path / "one")
    (status, output, errors), (other_status, other_output, _) = finish(children)
    assert status == other_status == 0, errors
    assert "parameters sha256" in output
    assert "parameters sha256" not in other_output
    expected, found = (
        safetensors.numpy.load_file(tmp_path / name / "weights.safetensors")
        for name in ("one", "two")
    )
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=0, atol=1e-6)
    expected, found = (
        [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    )
    assert [record["step"] for record in found] == [record["step"] for record in expected]
    for record, other in zip(found, expected, strict=True):
        assert numbers(record) == pytest.approx(numbers(other), rel=1e-5)


def numbers(record):
    return {key: value for key, value in record.items() if not isinstance(value, str)}


@pytest.mark.slow
def test_a_preempted_process_stops_all_and_the_run_goes_on(tmp_path):
    children = start(tmp_path, *LONG)
    train_on(tmp_path, children)
    children[1].send_signal(signal.SIGTERM)
    for status, _, errors in finish(children):
        assert status == os.EX_TEMPFAIL
        assert "SIGTERM: stopped after step" in errors
    saved = max(int(path.name) for path in (tmp_path / "checkpoints").iterdir())
    assert f"after step {saved}" in errors
    assert "stopped: SIGTERM" in (tmp_path / "status.txt").read_text()

    children = start(tmp_path, *LONG, slurm=True)
    train_on(tmp_path, children)
    children[0].send_signal(signal.SIGTERM)
    for status, _, errors in finish(children):
        assert status == os.EX_TEMPFAIL
        assert f"Resuming after step {saved}" in errors


@pytest.mark.slow
def test_a_preempted_evaluation_stops_all(tmp_path):
    children = start(tmp_path, "--config.evaluation.datasets=('skimage',)")
    status = tmp_path / "status.txt"
    while not (status.exists() and "evaluating" in status.read_text()):
        assert all(child.poll() is None for child in children), finish(children)
        time.sleep(0.05)
    children[0].send_signal(signal.SIGTERM)
    (first, _, errors), (second, _, others_errors) = finish(children)
    assert (first, second) == (os.EX_TEMPFAIL, os.EX_TEMPFAIL)
    assert "SIGTERM: stopped during the evaluation; the same command resumes from there" in errors
    assert "SIGTERM: stopped with the first process" in others_errors


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=lambda n: n.name)
def test_a_lost_process_stops_the_others_within_a_minute(tmp_path, victim, number):
    children = start(tmp_path, *LONG)
    train_on(tmp_path, children)
    children[victim].send_signal(number)
    lost = time.monotonic()
    other = children[1 - victim]
    _, errors = other.communicate(timeout=60)
    seconds = time.monotonic() - lost
    print(f"{number.name} of process {victim}: the other ended after {seconds:.0f} s")
    children[victim].kill()
    children[victim].communicate()
    assert other.returncode != 0
    assert "another process of the run was lost" in errors or "another task died" in errors

    children = start(tmp_path, *LONG)
    train_on(tmp_path, children)
    for child in children:
        child.send_signal(signal.SIGTERM)
    for status, _, errors in finish(children):
        assert status == os.EX_TEMPFAIL
        assert "Resuming after step" in errors
