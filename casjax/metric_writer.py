"""Metrics of a run: JSON lines for programs, TensorBoard event files for people."""

import json
from collections.abc import Mapping
from pathlib import Path

from tensorboardX import SummaryWriter

from casjax.files import replacing


class MetricWriter:
    """Writes scalars by step to ``metrics.jsonl`` and to TensorBoard."""

    def __init__(self, workdir: Path, *, first_step: int) -> None:
        """Continue the record in ``workdir``, forgetting what is newer than ``first_step``.

        A resumed run repeats the steps since its checkpoint: each must appear once.
        """
        self._path = workdir / "metrics.jsonl"
        if self._path.exists():
            self._forget_after(first_step)
        self._lines = self._path.open("ab", buffering=0)  # what fails to be written is not kept
        self._events = SummaryWriter(str(workdir / "tensorboard"), purge_step=first_step)

    def write(self, step: int, kind: str, values: Mapping[str, float | str]) -> None:
        """Record ``values`` after ``step`` steps; ``kind`` is ``"train"`` or ``"validation"``.

        Raises:
          OSError: the disk is full, say; the message names the file.
        """
        record = {"step": step, "kind": kind, **values}
        try:
            self._lines.write(json.dumps(record, allow_nan=False).encode() + b"\n")
        except OSError as error:
            error.filename = str(self._path)
            raise
        for name, value in values.items():
            if not isinstance(value, str):
                self._events.add_scalar(f"{kind}/{name}", value, step)

    def close(self) -> None:
        """Flush and close both files."""
        self._lines.close()
        try:
            self._events.close()
        except OSError:  # a full disk; the lines hold all that the events do
            # At exit it would try again, and fail again.
            self._events.file_writer.event_writer._closed = True

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
