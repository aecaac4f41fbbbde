"""What is made of a restorer whose effect is known by hand."""

import numpy as np

from casjax.networks.refinement import refined

STEPS = np.full((8, 8), 16, np.int32)
SQUARE = np.full((1, 40, 40, 1), 100, np.uint8)


def only_the_left(pictures):
    changed = pictures.copy()
    changed[:, :, :8] += 20
    return changed


def test_plain():
    same = refined(only_the_left, ensemble=False, steps=None)
    assert np.array_equal(same(SQUARE), only_the_left(SQUARE))


def test_the_ensemble_averages_eight_positions():
    """Eight columns at the left become a quarter of it at each border."""
    change = refined(only_the_left, ensemble=True, steps=None)(SQUARE)[0, ..., 0].astype(int) - 100
    assert (change[8:-8, 8:-8] == 0).all()
    assert (change[:8, 8:-8] == 5).all()
    assert np.array_equal(change, change.T)
    assert np.array_equal(change, change[::-1])


def test_consistency_limits_the_change():
    """A flat block of 100 has a lowest coefficient of -224, 14 steps: 8 less are 1 grey level."""
    restored = refined(only_the_left, ensemble=False, steps=STEPS)(SQUARE)
    assert (restored[:, :, :8] == 101).all()
    assert (restored[:, :, 8:] == 100).all()
