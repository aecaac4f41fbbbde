"""How a run was made: the command, code, machines and time."""

import datetime
import json
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from casjax.files import write_json
from casjax.networks.circumstances import circumstances
from casjax.networks.workdir import RUN_FILE
from casjax.training import processes


class RunRecord:
    """Writes ``run.json``: ``parts``, one for each time that the run was started or resumed.

    A part has ``begun`` (when), the ``command``, the ``first_step`` (taken before it) and
    ``last_step``, the ``seconds`` of training between them, the number of ``processes`` and
    ``devices``, the ``images`` of its sources, and `circumstances`. What a killed part did after
    its last checkpoint is repeated by the next one; the seconds of both count.
    """

    def __init__(
        self, workdir: Path, images: Sequence[Mapping[str, Any]], *, first_step: int
    ) -> None:
        """Start a part after ``first_step`` steps; a run that starts over drops earlier parts.

        Raises:
          ValueError: its ``images`` differ from those of the previous part, or the file is damaged.
        """
        self._path = workdir / RUN_FILE
        self._parts = read_parts(self._path) if first_step else []
        for now in images if self._parts else []:
            if now not in self._parts[-1]["images"]:
                raise ValueError(
                    f"the images of {now['name']} are not those that {workdir} was started with: "
                    "restore them, or choose another --workdir"
                )
        self._begun = time.monotonic()
        self._part: dict[str, Any] = {
            "begun": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "command": shlex.join([Path(sys.orig_argv[0]).name, *sys.orig_argv[1:]]),
            "processes": jax.process_count(),
            "devices": jax.device_count(),
            "first_step": first_step,
            "images": list(images),
            **circumstances(),
        }
        self.update(first_step)

    def update(self, step: int) -> None:
        """Record that ``step`` steps have been taken.

        Raises:
          OSError: the disk is full, say; the message names the file.
        """
        if not processes.is_first():
            return
        self._part |= {"last_step": step, "seconds": round(time.monotonic() - self._begun, 1)}
        write_json(self._path, {"parts": [*self._parts, self._part]})


def read_parts(path: Path) -> list[dict[str, Any]]:
    """Read the parts of a run; none if there is no file.

    Raises:
      ValueError: the file is damaged.
    """
    if not path.is_file():
        return []
    try:
        return json.loads(path.read_text(encoding="utf-8"))["parts"]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: damaged ({error!r}): move it out of the workdir") from error
