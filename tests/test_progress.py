"""What a command over many files says, on a terminal and elsewhere."""

import io

import pytest

from casjax.restoration import progress
from casjax.restoration.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """Time that passes by hand: a list of one number."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def work(stream, clock, *, quiet=False):
    """Three files in 4 seconds: the first is restored, the second fails, the third was there."""
    counter = Progress(stream, sizes=[100, 200, 300], quiet=quiet)
    counter.begin("a.jpg")
    clock[0] += 4
    counter.restore("a.jpg is done", pixels=2_000_000)
    counter.begin("b.jpg")
    counter.fail("b.jpg is damaged")
    counter.skip("c.jpg was there")
    counter.summarise()
    return stream.getvalue()


def test_plain_lines(clock):
    assert work(io.StringIO(), clock).splitlines() == [
        "[1/3] a.jpg is done",
        "error: b.jpg is damaged",
        "[3/3] c.jpg was there",
        "1 restored, 1 skipped, 1 failed: 2.00 Mpixel, 0.50 Mpixel/s, 4 s in all",
    ]


def test_a_terminal_shows_count_speed_and_time_left(clock):
    shown = work(Terminal(), clock)
    assert "\r\x1b[K1/3  a.jpg" in shown
    assert "\r\x1b[K2/3  2.00 Mpixel, 0.50 Mpixel/s, 20 s left  b.jpg" in shown
    assert "\r\x1b[Kerror: b.jpg is damaged\n" in shown


def test_quiet_says_errors_only(clock):
    assert work(io.StringIO(), clock, quiet=True) == "error: b.jpg is damaged\n"
