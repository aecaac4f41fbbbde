"""Restorers for the evaluator: functions of pixels or files, timed, run one or several at once."""

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

from casjax.color import is_grey, rgb_to_ycbcr, rounded
from casjax.evaluation.degraded import Degraded
from casjax.networks.inference import Restorer

Picture = TypeVar("Picture")
Outcome = TypeVar("Outcome")


@dataclasses.dataclass(frozen=True)
class FileRestorer:
    """A restorer that takes the compressed file instead of its pixels.

    Attributes:
      restore: maps the bytes of a file to uint8 [h, w] or, in RGB, [h, w, 3] in 0..255; raises
        ValueError for a picture that it fails on.
      jobs: how many pictures to give it at once, from as many threads.
      stop: ends the running calls from another thread.
      compiles: whether the first picture of a shape takes longer.
    """

    restore: Callable[[bytes], npt.NDArray[np.uint8]]
    jobs: int = 1
    stop: Callable[[], None] = lambda: None
    compiles: bool = False


class Method(NamedTuple):
    """A method to be scored.

    Attributes:
      name: in the records.
      restorer: for a JPEG quality factor, or None to score JPEG alone.
      qualities: those it is scored at by default.
      facts: what the results say about it besides its scores; results with other facts, except
        for the description `network`, are results of another method.
      in_colour: whether a restorer of pixels also takes RGB, [n, h, w, 3].
    """

    name: str
    restorer: Callable[[int], Restorer | FileRestorer | None]
    qualities: Sequence[int]
    facts: Mapping[str, Any]
    in_colour: bool = False


class Restored(NamedTuple):
    """A restored picture, and the time it took.

    Attributes:
      pixels: uint8 [h, w], or RGB [h, w, 3].
      seconds: wall-clock, from host to host; includes delays by other programs.
      cpu_seconds: of this process, all its threads, and of the programs it ran; NaN if several
        pictures were restored at once.
    """

    pixels: npt.NDArray[np.uint8]
    seconds: float
    cpu_seconds: float


def timed(restorer: Restorer | FileRestorer) -> Callable[[Degraded], Restored]:
    """Return a function from a picture to the restored one, with its times.

    One that compiles, as those of pixels do, first runs once on each new shape: a data set has few
    shapes, and compiling takes longer than restoring anyway. Others are timed as they are, which
    for a program includes its start.
    """
    compiles = not isinstance(restorer, FileRestorer) or restorer.compiles
    seen: set[tuple[int, ...]] = set()

    def clocked(
        function: Callable[[Any], Any], given: Any, shape: tuple[int, ...]
    ) -> tuple[np.ndarray, float, float]:
        if compiles and shape not in seen:
            seen.add(shape)
            function(given)
        return _clocked(function, given)

    if isinstance(restorer, FileRestorer):
        of_file, alone = restorer.restore, restorer.jobs == 1

        def restore_file(picture: Degraded) -> Restored:
            restored, seconds, cpu_seconds = clocked(of_file, picture.file, picture.pixels.shape)
            if picture.pixels.ndim == 2:
                restored = _luma(restored)
            pixels = _of_the_shape(restored, picture.pixels)
            return Restored(pixels, seconds, cpu_seconds if alone else math.nan)

        return restore_file

    of_pixels = restorer

    def restore_pixels(picture: Degraded) -> Restored:
        degraded = picture.pixels[None]
        if degraded.ndim == 3:
            degraded = degraded[..., None]
        restored, *times = clocked(of_pixels, degraded, degraded.shape)
        if picture.pixels.ndim == 2:
            restored = restored[..., 0]
        return Restored(_of_the_shape(restored[0], picture.pixels), *times)

    return restore_pixels


def _clocked(function: Callable[[Any], Any], given: Any) -> tuple[np.ndarray, float, float]:
    """Call a function; return its result as an array, its wall-clock and its CPU seconds."""
    cpu_start, start = _cpu_seconds(), time.perf_counter()
    result = np.asarray(function(given))
    return result, time.perf_counter() - start, _cpu_seconds() - cpu_start


def _cpu_seconds() -> float:
    """Return the CPU seconds of this process so far, and of the programs it has run."""
    times = os.times()  # in hundredths for programs, which add up without loss
    return time.process_time() + times.children_user + times.children_system


def _luma(restored: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the grey in a program's output: if it only knows colour, it may tint grey slightly."""
    if restored.ndim == 2:
        return restored
    if is_grey(restored):
        return restored[..., 0]
    return rounded(rgb_to_ycbcr(restored)[..., 0])


def _of_the_shape(
    restored: npt.NDArray[np.uint8], degraded: npt.NDArray[np.uint8]
) -> npt.NDArray[np.uint8]:
    if (restored.dtype, restored.shape) != (degraded.dtype, degraded.shape):
        raise ValueError(
            f"expected uint8 {list(degraded.shape)} like the input, "
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
    """Restore pictures in order, some of them ahead of the one requested.

    Args:
      restore: called from `jobs` threads, or, for one job, by the function that is yielded.
      pictures: read as needed, so that few are in memory.
      jobs: how many to restore at once.
      stop: called when the caller ends early, on Ctrl-C say, to end running calls.

    Yields:
      Each picture, and the function that returns its result, or raises the error of restoring it.
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
