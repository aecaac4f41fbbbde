"""The folder of a run: what its files are called, by whom ever they are written and read."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from casjax.files import replacing

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "weights.safetensors"


def save_config(path: Path, config: Mapping[str, Any]) -> None:
    """Write a config as JSON, atomically."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
