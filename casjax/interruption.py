"""Being told to stop: SIGTERM, as schedulers send it before they take a machine, and Ctrl-C."""

import signal
import threading
from types import FrameType
from typing import Any, Self


class InterruptedTrainingError(Exception):
    """A training that was told to stop has saved its state and stopped.

    Attributes:
      step: the number of steps taken and saved.
      signal: what told it.
    """

    def __init__(self, step: int, told_by: signal.Signals) -> None:
        super().__init__(f"{told_by.name}: stopped after step {step}, which is saved")
        self.step = step
        self.signal = told_by


class StopRequest:
    """Notes the first SIGTERM or SIGINT while it is entered; a second one has its usual effect.

    Python hears signals in its main thread alone; entered in another one, it notes nothing.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._usual: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._usual[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._usual.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        self.signal = signal.Signals(number)
        self.__exit__()
