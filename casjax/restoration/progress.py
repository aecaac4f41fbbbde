"""Progress of a command over many files: one changing line on a terminal, plain lines elsewhere."""

import contextlib
import os
import time
from typing import TextIO

ERASE_LINE = "\r\x1b[K"


def say(text: str, stream: TextIO, *, end: str = "\n") -> None:
    """Print to a stream; if nobody reads it any more, or its disk is full, drop all further output.

    Characters that its encoding lacks are escaped, such as bytes of a file's name that are no text.
    """
    encoding = stream.encoding or "utf-8"
    printable = text.encode(encoding, "backslashreplace").decode(encoding)
    try:
        print(printable, file=stream, end=end, flush=True)
    except OSError:
        mute(stream)


def mute(stream: TextIO) -> None:
    """Discard everything that is still written to a stream, including by Python at exit."""
    with contextlib.suppress(OSError, ValueError), open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())


class Progress:
    """Counts finished files and reports them on a stream.

    Attributes:
      restored: number of files.
      skipped: number of files that were finished before.
      failed: number of files.
    """

    def __init__(self, stream: TextIO, *, sizes: list[int], quiet: bool) -> None:
        """Start; the `sizes` in bytes of all files show how much is left."""
        self.restored = self.skipped = self.failed = 0
        self._stream, self._quiet, self._sizes = stream, quiet, sizes
        self._is_terminal = stream.isatty()
        self._pixels = 0
        self._restored_bytes = 0
        self._start = time.monotonic()

    @property
    def done(self) -> int:
        """How many files were processed."""
        return self.restored + self.skipped + self.failed

    def begin(self, name: str) -> None:
        """Show on a terminal what is being worked on."""
        if self._is_terminal and not self._quiet:
            state = [f"{self.done + 1}/{len(self._sizes)}", name]
            if self._pixels:
                state.insert(1, f"{self._speed()}, {_duration(self._seconds_left())} left")
            say(f"{ERASE_LINE}{'  '.join(state)}"[:200], self._stream, end="")

    def restore(self, message: str, *, pixels: int) -> None:
        """Count a restored picture and report it."""
        self._restored_bytes += self._sizes[self.done]
        self.restored += 1
        self._pixels += pixels
        self._say(f"[{self.done}/{len(self._sizes)}] {message}")

    def skip(self, message: str) -> None:
        """Count a picture that was finished before."""
        self.skipped += 1
        self._say(f"[{self.done}/{len(self._sizes)}] {message}")

    def fail(self, message: str) -> None:
        """Count a failure and report it, even if the command is quiet."""
        self.failed += 1
        self._write(f"error: {message}")

    def summarise(self) -> None:
        """Report the counts, the pixels and the speed."""
        counts = [f"{self.restored} restored"]
        counts += [f"{self.skipped} skipped"] if self.skipped else []
        counts += [f"{self.failed} failed"] if self.failed else []
        self._say(f"{', '.join(counts)}: {self._speed()}, {_duration(self._elapsed())} in all")

    def _say(self, message: str) -> None:
        if not self._quiet:
            self._write(message)

    def _write(self, message: str) -> None:
        say(f"{ERASE_LINE if self._is_terminal else ''}{message}", self._stream)

    def _elapsed(self) -> float:
        return time.monotonic() - self._start

    def _speed(self) -> str:
        megapixels = self._pixels / 1e6
        return f"{megapixels:.2f} Mpixel, {megapixels / max(self._elapsed(), 1e-3):.2f} Mpixel/s"

    def _seconds_left(self) -> float:
        """Estimate by bytes, which are known without opening the files."""
        return self._elapsed() * sum(self._sizes[self.done :]) / max(self._restored_bytes, 1)


def _duration(seconds: float) -> str:
    minutes, hours = seconds / 60, seconds / 3600
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes:.0f} min" if minutes < 90 else f"{hours:.1f} h"
