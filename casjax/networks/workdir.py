"""The names of the files in a run's folder."""

CONFIG_FILE = "config.json"
RUN_FILE = "run.json"  # the code, machine and time of the run; see `training.run_record`
METRICS_FILE = "metrics.jsonl"
STATUS_FILE = "status.txt"
WEIGHTS_FILE = "weights.safetensors"  # of the finished network
RESULTS_FILE = "results.json"
CHECKPOINTS_FOLDER = "checkpoints"
TENSORBOARD_FOLDER = "tensorboard"
PROFILE_FOLDER = "profile"


def phase_weights_file(phase: str) -> str:
    """Return the name of the file with the weights at the end of a phase."""
    return f"{phase}.safetensors"
