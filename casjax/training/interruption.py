"""Being told to stop: SIGTERM, as schedulers send it before they take a machine, and Ctrl-C."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any, Self

from casjax.training import processes


class InterruptedRunError(BaseException):
    """A run that was told to stop has stopped, and nothing it had is lost.

    No Exception, as little as KeyboardInterrupt: it can come anywhere, also where Exceptions of
    reading a bad image, say, are dealt with.

    Attributes:
      signal: what told it.
    """

    def __init__(self, when: str, told_by: signal.Signals) -> None:
        super().__init__(f"{told_by.name}: stopped {when}")
        self.signal = told_by


class InterruptedTrainingError(InterruptedRunError):
    """The same during a training, whose state is saved.

    Attributes:
      step: the number of steps taken and saved.
    """

    def __init__(self, step: int, told_by: signal.Signals) -> None:
        super().__init__(f"after step {step}, which is saved", told_by)
        self.step = step


@contextlib.contextmanager
def sigterm_stops(task: str, *, training_follows: bool) -> Iterator[None]:
    """Raise InterruptedRunError where SIGTERM comes in the block, which does a ``task``.

    Of several processes with their training ahead jax must hear the signal, and nothing changes
    here: they stop after their first step.
    """

    def stop(*_: object) -> None:
        raise InterruptedRunError(f"during the {task}", signal.SIGTERM)

    if threading.current_thread() is not threading.main_thread() or (
        training_follows and processes.several()
    ):
        yield
        return
    usual = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, usual)


class StopRequest:
    """Notes the first SIGTERM or SIGINT while it is entered; a second one has its usual effect.

    Python hears signals in its main thread alone; entered in another one, it notes nothing.
    """

    def __init__(self) -> None:
        self._signal: signal.Signals | None = None
        self._usual: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._usual[signal.SIGINT] = signal.signal(signal.SIGINT, self._note)
            if not processes.several():
                self._usual[signal.SIGTERM] = signal.signal(signal.SIGTERM, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._usual.items():
            signal.signal(number, handler)

    def after(self, step: int) -> signal.Signals | None:
        """What told the run to stop after ``step`` steps, if anything did.

        Of several processes any may be told, and all stop after the same step.
        """
        if processes.several():
            return signal.SIGTERM if processes.told_to_stop(step) else None
        return self._signal

    def _note(self, number: int, _: FrameType | None) -> None:
        self._signal = signal.Signals(number)
        self.__exit__()
        if processes.several():
            signal.raise_signal(signal.SIGTERM)  # to where the other processes hear of it
