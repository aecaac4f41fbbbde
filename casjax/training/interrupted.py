"""What is raised where a run stops on request."""

import signal


class InterruptedRunError(BaseException):
    """A run has stopped on request, and nothing is lost.

    Like KeyboardInterrupt not an Exception: it can come anywhere, even where Exceptions, of reading
    a bad image, say, are handled.

    Attributes:
      signal: that was received.
    """

    def __init__(self, when: str, told_by: signal.Signals) -> None:
        super().__init__(f"{told_by.name}: stopped {when}")
        self.signal = told_by


class InterruptedTrainingError(InterruptedRunError):
    """The same during training, whose state is saved.

    Attributes:
      step: the number of steps taken and saved.
    """

    def __init__(self, step: int, told_by: signal.Signals) -> None:
        super().__init__(f"after step {step}, which is saved", told_by)
        self.step = step
