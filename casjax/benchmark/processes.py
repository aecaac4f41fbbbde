"""Measurements in separate processes: start-up, peak memory, and growth with sizes and devices.

`python -m casjax.benchmark.processes TASK` runs one task, with JSON as input and output.
"""

import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import jax

from casjax.benchmark import networks
from casjax.benchmark.parts import PAPERS_BATCH, Settings
from casjax.benchmark.timing import Call, Record, interleave
from casjax.images import write_png
from casjax.networks import compilation, inference, pretrained
from casjax.restoration.loading import BUCKET

SIDES = (64, 128, 256, 512, 1024, 2048, 4096, 10_000)  # pixels: up to 100 megapixels
BATCHES = (1, 2, 4, 8, 16, 32)
DEVICES = (1, 2, 4)
MEBIBYTE = 2**20


def start_up(settings: Settings) -> Iterator[Record]:
    """Yield the time to restore a first picture from the command line, for each shipped network.

    Once with an empty compilation cache, and again with what that run left there.
    """
    with tempfile.TemporaryDirectory() as folder:
        photograph, result = Path(folder, "photograph.png"), Path(folder, "restored.png")
        write_png(photograph, networks.pictures(256, 256))
        for name, entry in pretrained.manifest().items():
            if entry["model"]["name"] not in settings.models:
                continue
            command = ["casjax.restore", str(photograph), "-o", str(result), "--overwrite"]
            command += ["--quiet", "--qf", str(networks.QUALITY), "--model", name]
            for detail in ("empty cache", "warm cache"):
                start = time.perf_counter()
                _run(command, {compilation.CACHE_VARIABLE: str(Path(folder, name))})
                seconds = time.perf_counter() - start
                task = _task("restore", entry["model"]["name"], "float32", (1, 256, 256, 1))
                yield _record("start_up", f"{name}, {detail}", task, "s", [seconds])


def peak_memory(settings: Settings) -> Iterator[Record]:
    """Yield the peak host and device memory of restoring a photograph and of training."""
    for name in settings.models:
        for dtype in settings.dtypes:
            tasks = [
                _task("restore", name, dtype, (1, *size, 1))
                for size in ((512, 768), (3000, 4000))
                if size[0] * size[1] <= settings.max_megapixels * 1e6
            ]
            tasks.append(_task("train_step", name, dtype, networks.cutouts(PAPERS_BATCH)))
            for task in tasks:
                answer = _answer(task, calls=1)
                for place, peak in answer["peaks"].items():
                    figures = [peak / MEBIBYTE]
                    yield _record("memory", f"{task['kind']}, {place}", task, "MiB", figures)


def growth(settings: Settings) -> Iterator[Record]:
    """Yield time and memory by the size of a picture, of a batch, and the number of CPU devices.

    Records also have `peaks` in bytes, for `host` and `device`.
    """
    for name in settings.models:
        dtype = settings.dtypes[0]
        sizes = [side for side in SIDES if side**2 <= settings.max_megapixels * 1e6]
        tasks = [("size", _task("restore", name, dtype, (1, side, side, 1))) for side in sizes]
        for count in BATCHES:
            tasks.append(("batch", _task("restore", name, dtype, (count, 256, 256, 1))))
        if jax.default_backend() == "cpu":
            for count in DEVICES:
                task = _task("train_step", name, dtype, networks.cutouts(8), devices=count)
                tasks.append(("devices", task))
        for detail, task in tasks:
            answer = _answer(task, calls=3)
            record = _record("growth", detail, task, "s", answer["seconds"])
            yield record | {"peaks": answer["peaks"], "devices": task["devices"]}


IN_PROCESSES: Mapping[str, Callable[[Settings], Iterator[Record]]] = {
    "start_up": start_up,
    "memory": peak_memory,
    "growth": growth,
}


def _task(
    kind: str, model: str, dtype: str, shape: tuple[int, ...], devices: int = 1
) -> dict[str, Any]:
    return {"kind": kind, "model": model, "dtype": dtype, "shape": shape, "devices": devices}


def _record(
    name: str, detail: str, task: Mapping[str, Any], unit: str, figures: list[float]
) -> Record:
    return {
        "name": name,
        "detail": detail,
        "library": "casjax",
        "model": task["model"],
        "dtype": task["dtype"],
        "shape": list(task["shape"]),
        "unit": unit,
        "calls": len(figures),
        "min": min(figures),
        "median": median(figures),
        "max": max(figures),
        "limit": None,
        "ratio_to_limit": None,
        "ratio_to_torch": None,
    }


def _answer(task: Mapping[str, Any], *, calls: int) -> dict[str, Any]:
    environment = {}
    if task["devices"] > 1:
        count = f"--xla_force_host_platform_device_count={task['devices']}"
        # More threads than cores: with too few, CPU devices that wait for each other can hang.
        environment = {
            "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {count}",
            "PJRT_NPROC": "16",
        }
    command = ["casjax.benchmark.processes", json.dumps({**task, "calls": calls})]
    return json.loads(_run(command, environment))


def _run(command: list[str], environment: Mapping[str, str]) -> str:
    """Run a module with its arguments; return the last line of its output.

    Raises:
      RuntimeError: it failed.
    """
    done = subprocess.run(
        [sys.executable, "-m", *command],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        reason = (done.stderr.strip() or "no message").splitlines()[-1]
        raise RuntimeError(f"python -m {' '.join(command)}: {reason}")
    return (done.stdout.strip().splitlines() or [""])[-1]


def run_task(
    *, kind: str, model: str, dtype: str, shape: tuple[int, ...], devices: int, calls: int
) -> dict[str, Any]:
    """Run a task several times; return `seconds` of each call and `peaks` of memory in bytes."""
    tasks = {"restore": _restoring, "train_step": _training}
    call = tasks[kind](model, dtype, shape, devices)
    [seconds] = interleave([call], calls=calls, seconds=60)
    return {"seconds": seconds, "peaks": _peaks()}


def _restoring(name: str, dtype: str, shape: tuple[int, ...], _: int) -> Call:
    model, variables = networks.make_network(name, dtype)
    tile = networks.tile(model, variables)
    restorer = inference.make_restorer(model, variables, tile=tile, bucket=BUCKET)
    degraded = networks.pictures(*shape)
    return lambda: restorer(degraded)


def _training(name: str, dtype: str, shape: tuple[int, ...], devices: int) -> Call:
    training = networks.Training(name, dtype, batch_size=shape[0], devices=devices)
    return partial(training.run, training.resident_batch, 1)


def _peaks() -> dict[str, int]:
    """Return the peaks of this process: of the host, and of the device if it has memory."""
    peaks = {"host": _peak_of_host()}
    statistics = jax.local_devices()[0].memory_stats() or {}
    if "peak_bytes_in_use" in statistics:
        peaks["device"] = statistics["peak_bytes_in_use"]
    return peaks


def _peak_of_host() -> int:
    # getrusage includes the peak of the parent process.
    status = Path("/proc/self/status")
    if status.exists() and (match := re.search(r"VmHWM:\s*(\d+) kB", status.read_text())):
        return int(match[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    compilation.cache_compilations()
    print(json.dumps(run_task(**json.loads(sys.argv[1]))))
