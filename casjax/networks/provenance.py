"""How a run's network came about, in the words of the manifest of those that ship."""

from collections.abc import Mapping
from typing import Any

PHASES = ("multiscale", "finetune")


def of_run(config: Mapping[str, Any], *, last_phase: str = PHASES[-1]) -> dict[str, Any]:
    """Describe the network that a finished run has after a phase.

    Args:
      config: of the run, as `configs/base.py` describes it.
      last_phase: whose weights are meant.

    Returns:
      `model` (as in the config), `codec` and `qualities` (lowest and highest) trained for,
      `data` (the sources of images), `steps` and `cutouts` (how many were seen), `loss` ("output"
      or, where the last steps minimised that of several outputs, "multi-scale"), and
      `initial_weights` (the network it began from, or "").
    """
    batch_size = config["batch_size"]
    phases = [config[name] for name in PHASES[: PHASES.index(last_phase) + 1]]
    steps = [round(phase["epochs"] * phase["cutouts"] / batch_size) for phase in phases]
    loss_weights = [phase["loss_weights"] for phase, n in zip(phases, steps, strict=True) if n]
    outputs = sum(weight > 0 for weight in loss_weights[-1]) if loss_weights else 1
    degradation = config["degradation"]
    return {
        "model": dict(config["model"]),
        "codec": degradation.get("codec", "jpeg"),  # configs of old do not name it
        "qualities": [degradation["lowest_quality"], degradation["highest_quality"]],
        "data": ", ".join(config["data"]["sources"]),
        "steps": sum(steps),
        "cutouts": sum(steps) * batch_size,
        "loss": "multi-scale" if outputs > 1 else "output",
        "initial_weights": config["initial_weights"],
    }
