"""Restoring ahead, in order, and to an end when the caller leaves; and what is timed."""

import contextlib
import threading
import time

import numpy as np
import pytest

from casjax.evaluation.degraded import Degraded
from casjax.evaluation.restorers import FileRestorer, ahead, timed


@pytest.mark.parametrize("jobs", [1, 3])
def test_pictures_come_in_their_order_with_what_was_made_of_them(jobs):
    taken = []

    def pictures():
        for i in range(20):
            taken.append(i)
            yield i

    def restore(i):
        if i == 7:
            raise ValueError("seven")
        return i * i

    for i, outcome in ahead(restore, pictures(), jobs=jobs, stop=lambda: None):
        assert len(taken) <= i + 2 * jobs
        if i == 7:
            with pytest.raises(ValueError, match="seven"):
                outcome()
        else:
            assert outcome() == i * i
    assert taken == list(range(20))


def test_leaving_early_stops_what_is_under_way():
    stopped = threading.Event()
    outcomes = ahead(lambda _: stopped.wait(60), range(100), jobs=2, stop=stopped.set)
    with contextlib.closing(outcomes):
        next(outcomes)
    assert stopped.is_set()


def test_jobs_run_at_once():
    together = threading.Barrier(2, timeout=30)
    found = [
        outcome()
        for _, outcome in ahead(lambda _: together.wait(), range(4), jobs=2, stop=lambda: None)
    ]
    np.testing.assert_array_equal(np.sort(found), [0, 0, 1, 1])


@pytest.mark.parametrize("compiles", [True, False])
def test_compiling_for_a_new_shape_is_not_timed(compiles):
    slow = 0.2
    shapes = []

    def restore(file):
        if file not in shapes:
            time.sleep(slow)
        shapes.append(file)
        return np.zeros([int(file), 4, 3], np.uint8)

    restore_file = timed(FileRestorer(restore, compiles=compiles))
    seconds = []
    for height in (3, 3, 5):
        pixels = np.zeros((height, 4, 3), np.uint8)
        picture = Degraded("picture", 20, clean=pixels, file=b"%d" % height, pixels=pixels)
        seconds.append(restore_file(picture).seconds)
    assert [each >= slow for each in seconds] == [not compiles, False, not compiles]
    assert shapes == ([b"3"] * 3 + [b"5"] * 2 if compiles else [b"3", b"3", b"5"])
