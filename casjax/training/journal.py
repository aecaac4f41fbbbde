"""The output of a run: `Journal` for metrics and progress, `status_file` for its current state.

In a run with several processes only the first one writes.
"""

import contextlib
import datetime
import math
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from casjax.files import write_text
from casjax.networks.workdir import STATUS_FILE
from casjax.training import processes
from casjax.training.interrupted import InterruptedRunError
from casjax.training.metric_writer import MetricWriter
from casjax.training.run_record import RunRecord

Say = Callable[[str], None]


@contextlib.contextmanager
def status_file(workdir: Path) -> Iterator[Say]:
    """Provide a function that writes what the run is doing, in a few words, to ``status.txt``.

    The file holds only the last line, with the time, the host and the process; when the block
    ends, that is ``finished``, or why it ended early. A killed run leaves what it was doing: the
    time shows it.
    """

    def say(message: str) -> None:
        if not processes.is_first():
            return
        now = datetime.datetime.now().astimezone().isoformat(" ", "seconds")
        who = f"{socket.gethostname()}, process {os.getpid()}"
        line = f"{now} on {who}: {' '.join(message.split())}"
        # The status is no reason to stop; whatever really needs the disk will fail.
        with contextlib.suppress(OSError):
            write_text(workdir / STATUS_FILE, line + "\n")

    try:
        yield say
    except BaseException as error:
        told = isinstance(error, InterruptedRunError | KeyboardInterrupt)
        say(f"{'stopped' if told else 'failed'}: {str(error) or type(error).__name__}")
        raise
    say("finished")


def read_status(workdir: Path) -> str:
    """Return the last status line of the run in a workdir."""
    try:
        return (workdir / STATUS_FILE).read_text(encoding="utf-8").strip()
    except OSError:
        return "it has no status yet"


class Journal:
    """The output of training: metrics and times in files, a progress bar, and the status."""

    def __init__(
        self,
        workdir: Path,
        say: Say,
        record: RunRecord,
        *,
        first_step: int,
        last_step: int,
        **tracking: Any,
    ) -> None:
        """Continue the metrics in ``workdir`` after ``first_step`` of ``last_step`` steps.

        ``tracking`` holds the other arguments of `MetricWriter`.
        """
        self._say, self._record, self._last_step = say, record, last_step
        tells = processes.is_first()
        self._writer = MetricWriter(workdir, first_step=first_step, **tracking) if tells else None
        self._bar = tqdm(
            initial=first_step,
            total=last_step,
            unit=" steps",
            dynamic_ncols=True,
            disable=not tells,
        )

    def count_step(self) -> None:
        """Note that a step was taken."""
        self._bar.update()

    def train(
        self, step: int, phase: str, means: Mapping[str, float], *, cutouts: int, next_save: int
    ) -> None:
        """Record the metrics of the steps up to ``step``, and report the progress.

        A step uses ``cutouts``; ``next_save`` is the step of the next checkpoint.
        """
        if not self._writer:
            return
        self._writer.write(step, "train", {"phase": phase, **means})
        self._record.update(step)
        rate = self._bar.format_dict["rate"] or float("nan")  # none before the second step
        now = (
            f"{cutouts * rate:.1f} cut-outs/s, {phase} loss {means['loss']:.3g}, "
            f"{means['psnr']:.2f} dB (degraded {means['jpeg_psnr']:.2f})"
        )
        then = f"next checkpoint at {next_save}, in {_duration((next_save - step) / rate)}"
        self._bar.set_postfix_str(f"{now}, {then}")
        left = _duration((self._last_step - step) / rate)
        self._say(f"training: step {step} of {self._last_step}, {left} left; {now}; {then}")

    def validate(self, step: int, phase: str, scores: Mapping[str, float]) -> None:
        """Record the metrics of a validation after ``step`` steps."""
        if self._writer:
            self._writer.write(step, "validation", {"phase": phase, **scores})

    def close(self) -> None:
        """Close the files."""
        self._bar.close()
        if self._writer:
            self._writer.close()


def _duration(seconds: float) -> str:
    return "?" if math.isnan(seconds) else str(datetime.timedelta(seconds=round(seconds)))
