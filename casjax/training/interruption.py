"""Stopping on request: SIGTERM, which schedulers send before they take a machine, and Ctrl-C.

So does SIGHUP during the training, which the end of a connection sends, unless it is ignored.
"""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any, Self

from casjax.training import processes
from casjax.training.interrupted import InterruptedRunError

HANGUP = getattr(signal, "SIGHUP", None)  # Windows has none


@contextlib.contextmanager
def sigterm_stops(task: str, *, training_follows: bool) -> Iterator[None]:
    """Raise InterruptedRunError if SIGTERM comes in the block, which does a ``task``.

    With several processes that still have to train, jax must receive the signal, and this does
    nothing: they stop after their first step.
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
    """Notes the first SIGTERM, SIGINT or SIGHUP while entered; a second one has its usual effect.

    Python receives signals only in its main thread; entered in another one, it notes nothing.
    """

    def __init__(self) -> None:
        self._signal: signal.Signals | None = None
        self._usual: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._usual[signal.SIGINT] = signal.signal(signal.SIGINT, self._note)
            if HANGUP and signal.getsignal(HANGUP) == signal.SIG_DFL:  # nohup ignores it
                self._usual[HANGUP] = signal.signal(HANGUP, self._note)
            if not processes.several():
                self._usual[signal.SIGTERM] = signal.signal(signal.SIGTERM, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._usual.items():
            signal.signal(number, handler)

    def after(self, step: int) -> signal.Signals | None:
        """Return the signal to stop after ``step`` steps, if there was one.

        With several processes any of them may receive it, and all stop after the same step.
        """
        if processes.several():
            return signal.SIGTERM if processes.told_to_stop(step) else None
        return self._signal

    def _note(self, number: int, _: FrameType | None) -> None:
        self._signal = signal.Signals(number)
        self.__exit__()
        if processes.several():
            signal.raise_signal(signal.SIGTERM)  # which jax passes on to the other processes
