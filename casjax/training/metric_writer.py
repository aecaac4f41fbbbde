"""Metrics of a run: JSON lines for programs, TensorBoard event files for people."""

import contextlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorboardX import summary
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog

from casjax.files import replacing
from casjax.networks.workdir import METRICS_FILE, TENSORBOARD_FOLDER


class MetricWriter:
    """Writes scalars by step to ``metrics.jsonl`` and to TensorBoard."""

    def __init__(self, workdir: Path, *, first_step: int) -> None:
        """Continue the record in ``workdir``, forgetting what is newer than ``first_step``.

        A resumed run repeats the steps since its checkpoint: each must appear once.
        """
        self._path = workdir / METRICS_FILE
        if self._path.exists():
            self._forget_after(first_step)
        self._lines = self._path.open("ab", buffering=0)  # what fails to be written is not kept
        folder = workdir / TENSORBOARD_FOLDER
        folder.mkdir(exist_ok=True)
        # Not SummaryWriter, whose thread dies on a full disk, whereupon it waits forever.
        self._events = EventsWriter(str(folder / "events"))
        self._add(first_step + 1, session_log=SessionLog(status=SessionLog.START))

    def write(self, step: int, kind: str, values: Mapping[str, float | str]) -> None:
        """Record ``values`` after ``step`` steps; ``kind`` is ``"train"`` or ``"validation"``.

        Raises:
          OSError: the disk is full, say; the message names the file.
        """
        record = {"step": step, "kind": kind, **values}
        try:
            self._lines.write(json.dumps(record, allow_nan=False).encode() + b"\n")
            for name, value in values.items():
                if not isinstance(value, str):
                    self._add(step, summary=summary.scalar(f"{kind}/{name}", value))
            self._events.flush()
        except OSError as error:
            error.filename = str(self._path)
            raise

    def close(self) -> None:
        """Flush and close both files."""
        self._lines.close()
        with contextlib.suppress(OSError):  # a full disk; the lines hold all that the events do
            self._events.close()

    def _add(self, step: int, **content: Any) -> None:
        self._events.write_event(Event(wall_time=time.time(), step=step, **content))

    def _forget_after(self, step: int) -> None:
        kept = []
        for line in self._path.read_text(encoding="utf-8").splitlines():
            try:
                record = json.loads(line)
            except json.JSONDecodeError:  # a line torn by a kill: newer than any checkpoint
                continue
            if record["step"] <= step:
                kept.append(line + "\n")
        with replacing(self._path) as temporary:
            temporary.write_text("".join(kept), encoding="utf-8")
