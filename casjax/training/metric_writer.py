"""Metrics of a run: JSON lines for programs, and event files or a tracker for people."""

import contextlib
import importlib.util
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from tensorboardX import summary
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog

from casjax.files import write_text
from casjax.networks.workdir import METRICS_FILE, TENSORBOARD_FOLDER

Values = Mapping[str, float | str]


def is_tracker(name: Any) -> bool:
    """Return whether a config may name this tracker: none, or an installed one."""
    return name == "" or (name == "trackio" and importlib.util.find_spec("trackio") is not None)


class Writer(Protocol):
    """Stores metrics by step."""

    def write(self, step: int, kind: str, values: Values) -> None:
        """Record ``values`` after ``step`` steps; ``kind`` is ``"train"`` or ``"validation"``.

        Raises:
          OSError: the disk is full, say; the message names the file.
        """

    def close(self) -> None:
        """Write everything that is left, and close."""


class MetricWriter:
    """Writes metrics to ``metrics.jsonl``, to TensorBoard, and to a tracker if there is one."""

    def __init__(
        self,
        workdir: Path,
        *,
        first_step: int,
        tracker: str = "",
        config: Mapping[str, Any] | None = None,
    ) -> None:
        """Continue the record in ``workdir``, dropping what is newer than ``first_step``.

        A resumed run repeats the steps since its checkpoint: each must appear only once.

        Args:
          workdir: an existing folder.
          first_step: the step after which the run continues.
          tracker: "trackio", or "" for none; see `is_tracker`.
          config: of the run, for the tracker.
        """
        writers: list[Writer] = [
            JsonLines(workdir, first_step=first_step),
            TensorBoard(workdir, first_step=first_step),
        ]
        if tracker == "trackio":
            writers.append(Trackio(workdir, first_step=first_step, config=config or {}))
        self._writers: Sequence[Writer] = writers

    def write(self, step: int, kind: str, values: Values) -> None:
        """Record ``values`` everywhere; see `Writer.write`."""
        for writer in self._writers:
            writer.write(step, kind, values)

    def close(self) -> None:
        """Close all."""
        for writer in self._writers:
            writer.close()


class JsonLines:
    """``metrics.jsonl``: the record from which everything else can be made."""

    def __init__(self, workdir: Path, *, first_step: int) -> None:
        self._path = workdir / METRICS_FILE
        if self._path.exists():
            self._forget_after(first_step)
        self._lines = self._path.open("ab", buffering=0)  # a failed write is not kept

    def write(self, step: int, kind: str, values: Values) -> None:
        """Add a line; see `Writer.write`."""
        record = {"step": step, "kind": kind, **values}
        with _naming(self._path):
            self._lines.write(json.dumps(record, allow_nan=False).encode() + b"\n")

    def close(self) -> None:
        """Close the file."""
        self._lines.close()

    def _forget_after(self, step: int) -> None:
        kept = []
        for line in self._path.read_text(encoding="utf-8").splitlines():
            try:
                record = json.loads(line)
            except json.JSONDecodeError:  # a line cut short by a kill: newer than any checkpoint
                continue
            if record["step"] <= step:
                kept.append(line + "\n")
        write_text(self._path, "".join(kept))


class TensorBoard:
    """Event files in ``tensorboard/``, with scalars only."""

    def __init__(self, workdir: Path, *, first_step: int) -> None:
        self._folder = workdir / TENSORBOARD_FOLDER
        self._folder.mkdir(exist_ok=True)
        # Not SummaryWriter, whose thread dies on a full disk, so that it waits forever.
        self._events = EventsWriter(str(self._folder / "events"))
        # TensorBoard then hides what earlier files contain from this step on.
        self._add(first_step + 1, session_log=SessionLog(status=SessionLog.START))

    def write(self, step: int, kind: str, values: Values) -> None:
        """Add an event for each number; see `Writer.write`."""
        with _naming(self._folder):
            for name, value in _numbers(kind, values).items():
                self._add(step, summary=summary.scalar(name, value))
            self._events.flush()

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(OSError):  # a full disk; the JSON lines contain the same
            self._events.close()

    def _add(self, step: int, **content: Any) -> None:
        self._events.write_event(Event(wall_time=time.time(), step=step, **content))


class Trackio:
    """Trackio's database on this machine, shown by ``trackio show --project casjax``.

    The environment variable TRACKIO_DIR sets its folder. Nothing leaves the machine unless
    Trackio's own variables name a server. Each part of a resumed run is a separate run in the
    workdir's group, because records cannot be removed.
    """

    def __init__(self, workdir: Path, *, first_step: int, config: Mapping[str, Any]) -> None:
        import trackio  # optional, and slow to import

        group = workdir.resolve().name
        self._run = trackio.init(
            project="casjax",
            name=f"{group} from step {first_step}",
            group=group,
            config=dict(config),
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )

    def write(self, step: int, kind: str, values: Values) -> None:
        """Log the numbers; see `Writer.write`."""
        self._run.log(_numbers(kind, values), step=step)

    def close(self) -> None:
        """Wait until everything is in the database."""
        self._run.finish()


def _numbers(kind: str, values: Values) -> dict[str, float]:
    """Return the numbers by ``kind/name``, as trackers group them."""
    return {f"{kind}/{k}": value for k, value in values.items() if not isinstance(value, str)}


@contextlib.contextmanager
def _naming(path: Path) -> Any:
    """Add the name of a file to errors that lack it."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        raise
