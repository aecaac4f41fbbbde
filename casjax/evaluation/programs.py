"""Other programs as methods: ``command:jpegqs -q 6 {jpeg} {out.jpg}``.

A command is split into arguments as by a shell, but started without one. In it, ``{jpeg}`` stands
for the degraded picture's file, ``{out}`` for the file to write, which ends in ``.png``, or in
``.jpg`` with ``{out.jpg}``, and optionally ``{quality}`` for the JPEG quality factor. The format of
its result is recognised by content: PNG, PNM, JPEG or TIFF.
"""

import contextlib
import dataclasses
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from casjax.evaluation import PAPERS_QUALITIES
from casjax.evaluation.restorers import FileRestorer, Method
from casjax.files import file_sha256
from casjax.images.returned import read_returned

OUT = re.compile(r"\{out(\.[A-Za-z0-9]+)?\}")
PLACES = re.compile(r"\{(jpeg|quality|out(\.[A-Za-z0-9]+)?)\}")


def find_command(text: str, *, timeout: float, jobs: int) -> Method:
    """Make a method from a command.

    Args:
      text: the command as above, without ``command:``.
      timeout: seconds that a picture may take.
      jobs: how many pictures to restore at once, each in its own process.

    Returns:
      The method. Its name is the command without folders and placeholders; its facts are the
      command, and the SHA-256 of the program and of all files that the command names.

    Raises:
      ValueError: the command cannot be split, or lacks a placeholder.
      FileNotFoundError: there is no such program.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ValueError(f"command:{text}: {error}") from error
    if "{jpeg}" not in text or len({match[0] for match in OUT.finditer(text)}) != 1:
        raise ValueError(
            f"command:{text}: expected {{jpeg}} for the degraded picture's file, and one of "
            "{out} (a .png file) and {out.jpg} for the restored one's"
        )
    program = shutil.which(words[0])
    if program is None:
        raise FileNotFoundError(f"command:{text}: there is no program {words[0]!r}")
    files = {words[0]: Path(program)}
    files |= {word: Path(word) for word in words[1:] if Path(word).is_file()}
    name = " ".join([Path(words[0]).name, *(w for w in words[1:] if not PLACES.search(w))])
    facts = {
        "command": shlex.join(words),
        "files_sha256": {word: file_sha256(path) for word, path in files.items()},
    }

    def restorer(quality: int) -> FileRestorer:
        command = Command([program, *words[1:]], timeout=timeout, quality=quality)
        return FileRestorer(command.restore, jobs, command.stop)

    return Method(name, restorer, PAPERS_QUALITIES, facts)


@dataclasses.dataclass
class Command:
    """A command that restores files; its methods may be called from several threads.

    Attributes:
      words: the program and its arguments, with placeholders.
      timeout: seconds that a picture may take.
      quality: JPEG quality factor of the pictures.
    """

    words: Sequence[str]
    timeout: float
    quality: int
    _running: set[int] = dataclasses.field(default_factory=set, init=False)
    _stopped: bool = dataclasses.field(default=False, init=False)
    _lock: threading.Lock = dataclasses.field(default_factory=threading.Lock, init=False)

    def restore(self, file: bytes) -> npt.NDArray[np.uint8]:
        """Give a JPEG file to the program, and read its result.

        Returns:
          uint8 [h, w] or RGB [h, w, 3].

        Raises:
          ValueError: it failed, took too long, or wrote no picture; the message quotes it.
        """
        with tempfile.TemporaryDirectory(prefix="casjax-") as folder:
            jpeg, out = Path(folder, "degraded.jpg"), Path(folder, "restored.png")
            jpeg.write_bytes(file)
            words = []
            for word in self.words:
                if match := OUT.search(word):
                    out = out.with_suffix(match[1] or ".png")
                word = OUT.sub(lambda _, path=out: str(path), word)  # type: ignore[misc]
                word = word.replace("{jpeg}", str(jpeg)).replace("{quality}", str(self.quality))
                words.append(word)
            self._run(words, log=Path(folder, "log"))
            if not out.is_file():
                raise ValueError(f"{self.words[0]} wrote no {out.name}")
            try:
                return read_returned(out.read_bytes())
            except ValueError as error:
                raise ValueError(f"{self.words[0]} wrote an unsupported file: {error}") from None

    def stop(self) -> None:
        """End the running processes, and start no more."""
        with self._lock:
            self._stopped = True
            for group in self._running:
                _end(group)

    def _run(self, words: Sequence[str], *, log: Path) -> None:
        """Run the program to its end, in its own process group so that its children end with it."""
        with log.open("wb") as output:
            with self._lock:
                if self._stopped:
                    raise ValueError("it was stopped")
                process = subprocess.Popen(
                    words,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    process_group=0,
                )
                self._running.add(process.pid)
            # A timer, because Popen.wait(timeout) polls only every 50 ms, too coarse for our clock.
            late = threading.Event()

            def end_late() -> None:
                late.set()
                _end(process.pid)

            timer = threading.Timer(self.timeout, end_late)
            timer.start()
            try:
                status = process.wait()
            except BaseException:
                _end(process.pid)
                process.wait()
                raise
            finally:
                timer.cancel()
                with self._lock:
                    self._running.discard(process.pid)
        if late.is_set():
            raise ValueError(f"{words[0]} took more than {self.timeout:g} seconds (--timeout)")
        if status:
            said = log.read_text(encoding="utf-8", errors="replace").split("\n")
            last = next((line.strip() for line in reversed(said) if line.strip()), "nothing")
            raise ValueError(f"{words[0]} ended with status {status}, saying: {last[:200]}")


def _end(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
