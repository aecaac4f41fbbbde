"""What the evaluator can score: functions of pixels or of files, timed, one or several at once."""

import dataclasses
import math
import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from casjax.color import rgb_to_ycbcr
from casjax.evaluation.degraded import Degraded
from casjax.networks.inference import Restorer

Picture = TypeVar("Picture")
Outcome = TypeVar("Outcome")


@dataclasses.dataclass(frozen=True)
class FileRestorer:
    """A restorer that is given the compressed file in place of its pixels.

    Attributes:
      restore: of the bytes of a file to uint8 [h, w] or, in RGB, [h, w, 3] in 0..255; raises
        ValueError for a picture that it fails at.
      jobs: how many pictures to give it at once, from as many threads.
      stop: ends, from another thread, the calls that are under way.
    """

    restore: Callable[[bytes], npt.NDArray[np.uint8]]
    jobs: int = 1
    stop: Callable[[], None] = lambda: None


class Method(NamedTuple):
    """What is to be scored.

    Attributes:
      name: in the records.
      restorer: for a JPEG quality factor, or None to score JPEG alone.
      qualities: those it is scored at by default.
      facts: what the results say of it, besides its scores; but for `network`, a description,
        results of other facts are results of another method.
      in_colour: whether a restorer of pixels takes RGB, [n, h, w, 3], too.
    """

    name: str
    restorer: Callable[[int], Restorer | FileRestorer | None]
    qualities: Sequence[int]
    facts: Mapping[str, Any]
    in_colour: bool = False


class Restored(NamedTuple):
    """What was made of a picture, and in what time.

    Attributes:
      pixels: uint8 [h, w].
      seconds: wall-clock, from host to host; where other programs share the processors, theirs too.
      cpu_seconds: of this process, all its threads, and of the programs it ran; NaN where several
        pictures were restored at once.
    """

    pixels: npt.NDArray[np.uint8]
    seconds: float
    cpu_seconds: float


def timed(restorer: Restorer | FileRestorer) -> Callable[[Degraded], Restored]:
    """Return a function of a picture to the restored one, with its times.

    A restorer of pixels runs each new shape once before, to compile: the shapes of a data set are
    few, and where they are not a compilation is the longer wait. That of a file is timed as it is,
    which for a program includes its start.
    """
    if isinstance(restorer, FileRestorer):
        of_file, alone = restorer.restore, restorer.jobs == 1

        def restore_file(picture: Degraded) -> Restored:
            restored, seconds, cpu_seconds = _clocked(of_file, picture.file)
            if picture.pixels.ndim == 2:
                restored = _luma(restored)
            pixels = _of_the_shape(restored, picture.pixels)
            return Restored(pixels, seconds, cpu_seconds if alone else math.nan)

        return restore_file

    of_pixels = restorer
    seen: set[tuple[int, ...]] = set()

    def restore_pixels(picture: Degraded) -> Restored:
        degraded = picture.pixels[None]
        if degraded.ndim == 3:
            degraded = degraded[..., None]
        if degraded.shape not in seen:
            seen.add(degraded.shape)
            of_pixels(degraded)
        restored, *times = _clocked(of_pixels, degraded)
        if picture.pixels.ndim == 2:
            restored = restored[..., 0]
        return Restored(_of_the_shape(restored[0], picture.pixels), *times)

    return restore_pixels


def _clocked(function: Callable[[Any], Any], given: Any) -> tuple[np.ndarray, float, float]:
    """Call a function: its result as an array, its wall-clock seconds and its processor's."""
    cpu_start, start = _cpu_seconds(), time.perf_counter()
    result = np.asarray(function(given))
    return result, time.perf_counter() - start, _cpu_seconds() - cpu_start


def _cpu_seconds() -> float:
    """Of this process so far, and of the programs that it has run to their end."""
    times = os.times()  # in hundredths for programs, none of which is lost in a sum
    return time.process_time() + times.children_user + times.children_system


def _luma(restored: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The grey that a program meant: it may know colour only, and tint what was grey a little."""
    if restored.ndim == 2:
        return restored
    if (restored == restored[..., :1]).all():
        return restored[..., 0]
    return np.rint(rgb_to_ycbcr(restored)[..., 0]).clip(0, 255).astype(np.uint8)


def _of_the_shape(
    restored: npt.NDArray[np.uint8], degraded: npt.NDArray[np.uint8]
) -> npt.NDArray[np.uint8]:
    if (restored.dtype, restored.shape) != (degraded.dtype, degraded.shape):
        raise ValueError(
            f"expected uint8 {list(degraded.shape)} as it was given, "
            f"got {restored.dtype} {list(restored.shape)}"
        )
    return restored


def ahead(
    restore: Callable[[Picture], Outcome],
    pictures: Iterable[Picture],
    *,
    jobs: int,
    stop: Callable[[], None],
) -> Generator[tuple[Picture, Callable[[], Outcome]], None, None]:
    """Restore pictures in their order, some of them ahead of the one that is asked for.

    Args:
      restore: called from `jobs` threads, or, for one job, by the function that is yielded.
      pictures: taken as they are needed, so that few are in memory.
      jobs: how many to restore at once.
      stop: called when the caller ends early, on Ctrl-C say, to end what is under way.

    Yields:
      Each picture, and the function that gives what was made of it, or raises what that raised.
    """
    if jobs == 1:
        for picture in pictures:
            yield picture, lambda picture=picture: restore(picture)  # type: ignore[misc]
        return
    with ThreadPoolExecutor(jobs) as pool:
        waiting: deque[Any] = deque()
        try:
            for picture in pictures:
                waiting.append((picture, pool.submit(restore, picture).result))
                if len(waiting) == 2 * jobs:
                    yield waiting.popleft()
            while waiting:
                yield waiting.popleft()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            stop()
            raise
