"""How a run's network was trained, in the terms of the manifest of shipped networks."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

Point = TypeVar("Point")

PHASES = ("multiscale", "finetune")
CURVE_POINTS = 40  # of a learning curve in the manifest, at most


def of_run(config: Mapping[str, Any], *, last_phase: str = PHASES[-1]) -> dict[str, Any]:
    """Describe the network of a finished run after a phase.

    Args:
      config: of the run, as `configs/base.py` describes it.
      last_phase: the phase whose weights are meant.

    Returns:
      `model` (as in the config), `codec` and `qualities` (lowest and highest) trained for,
      `data` (the sources of images), `steps` and `cutouts` (how many were seen), `loss` ("output"
      or, if the last steps minimised that of several outputs, "multi-scale"), its `measure` ("mse"
      or "psnr"), and `initial_weights` (the network it started from, or "").
    """
    batch_size = config["batch_size"]
    phases = [config[name] for name in PHASES[: PHASES.index(last_phase) + 1]]
    steps = [round(phase["epochs"] * phase["cutouts"] / batch_size) for phase in phases]
    loss_weights = [phase["loss_weights"] for phase, n in zip(phases, steps, strict=True) if n]
    outputs = sum(weight > 0 for weight in loss_weights[-1]) if loss_weights else 1
    degradation = config["degradation"]
    return {
        "model": dict(config["model"]),
        "codec": degradation["codec"],
        "qualities": [degradation["lowest_quality"], degradation["highest_quality"]],
        "data": ", ".join(config["data"]["sources"]),
        "steps": sum(steps),
        "cutouts": sum(steps) * batch_size,
        "loss": "multi-scale" if outputs > 1 else "output",
        "measure": measure_of(config),
        "initial_weights": config["initial_weights"],
    }


def measure_of(config: Mapping[str, Any]) -> str:
    """Return `loss.measure` of a run: "mse" also where there was no choice yet."""
    return str(config.get("loss", {}).get("measure", "mse"))


def of_parts(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Summarise how a run was made.

    Args:
      parts: of the run's record, see `training.run_record.RunRecord`; one or more.

    Returns:
      The `command`, code `revision` and library `versions` of the last part, the `machine` in
      words, or all machines if there were several, and `wall_time` in seconds over all parts.
    """
    last = parts[-1]
    machines = dict.fromkeys(_in_words(part["machine"], part["processes"]) for part in parts)
    return {
        "command": last["command"],
        "revision": last["revision"],
        "versions": dict(last["versions"]),
        "machine": "; then ".join(machines),
        "wall_time": round(sum(part["seconds"] for part in parts)),
    }


def _in_words(machine: Mapping[str, Any], processes: int) -> str:
    words = [f"{machine['processor']}, {machine['cores']} cores", machine["accelerators"]]
    share = f"{processes} times " if processes > 1 else ""
    return share + ", ".join(filter(None, words))


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Read a run's metrics, except for a last line that is still being written.

    Raises:
      ValueError: other lines are damaged.
    """
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    try:
        return [json.loads(line) for line in lines if line.endswith("\n")]
    except ValueError as error:
        raise ValueError(f"{path}: not lines of JSON: {error}") from error


def learning_curve(metrics: Path, *, batch_size: int) -> list[list[float]]:
    """Thin the validations of a run to a curve: the first, the last, and some evenly in between.

    Args:
      metrics: the file of the run's metrics, see `training.metric_writer.MetricWriter`.
      batch_size: cut-outs per step.

    Returns:
      `[cutouts seen, gain over the degraded cut-outs in dB]` for each, in order.
    """
    records = [record for record in read_metrics(metrics) if record["kind"] == "validation"]
    return [
        [record["step"] * batch_size, round(record["psnr"] - record["jpeg_psnr"], 4)]
        for record in thinned(records, CURVE_POINTS)
    ]


def thinned(points: Sequence[Point], most: int) -> list[Point]:
    """Return the first, the last and some evenly in between, if there are more than ``most``."""
    last = len(points) - 1
    count = min(len(points), most)
    return [points[round(i * last / max(1, count - 1))] for i in range(count)]
